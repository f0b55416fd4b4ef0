//! Values: sealed before they are written, opened for whoever may have them, destroyed.

use cairn_contract::cairn::config::v1 as proto;
use cairn_contract::cairn::config::v1::secret_version::State;
use cairn_eventstore::CommandFault;
use cairn_kernel::{Aggregate, Expected, Position};
use cairn_seal::{SealFault, Sensitive};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::rejected;
use super::secrets::Secrets;
use crate::desk::{expected, seal_refusal, text};
use crate::model::secret::{Act, Command, Value};
use crate::model::{Rejection, Secret, SecretName, VersionName};
use crate::query::Query;

/// What values are sealed for.
const PURPOSE: &str = "config.secret.value";
/// How often a value is sealed again because another version took its number: as often as commands are decided again.
const ATTEMPTS_MAX: usize = 24;

impl Secrets {
    /// Seals a value for the number it will have, and writes that. Gives where it is stored, and the number.
    ///
    /// The number is part of what is authenticated; when another version takes it meanwhile, the value is sealed anew.
    pub(super) async fn add(
        &self,
        ctx: &Ctx,
        request_id: &str,
        secret: &SecretName,
        value: Sensitive,
        act: impl Fn(u32, Value) -> Act,
    ) -> Result<(Position, u32), Status> {
        let (order, stream) = (ctx.order(request_id), Self::stream(secret));
        for attempt in 1.. {
            let state = self.0.commands.load::<Secret>(&stream).await.map_err(refuse)?.state;
            let number = state.next();
            let command = |value| Command { secret: secret.clone(), act: act(number, value) };
            // A refusal that is certain costs no key. (A repeat is answered as the first time, whatever the rules say now.)
            if order.request.is_none() {
                state.decide(command(Value(Vec::new().into()))).map_err(rejected)?;
            }
            let copy = Sensitive::from(value.expose().to_vec());
            let sealed = self.0.sealer.seal_alone(&secret.subject(number), PURPOSE, copy).await;
            let sealed = sealed.map_err(|fault| refuse(seal_refusal(fault)))?;
            let (key, command) = (sealed.key(), command(Value(sealed.into_bytes().into())));
            let done = self.0.commands.execute::<Secret>(&order, &stream, Expected::Any, command).await;
            // Only where it is certain that nothing is kept which was sealed with it: an append that was not answered may
            // still have been made.
            let is_unused = match &done {
                Ok(done) => done.is_repeat,
                Err(fault) => {
                    !matches!(fault, CommandFault::Append(_) | CommandFault::Read(_) | CommandFault::Decode(_))
                }
            };
            if is_unused {
                self.0.sealer.forget_key(key).await.map_err(|fault| refuse(seal_refusal(fault)))?;
            }
            match done {
                Ok(done) => {
                    self.0.settle(ctx, done.position).await?;
                    return Ok((done.position, if done.is_repeat { done.state.next() - 1 } else { number }));
                }
                Err(CommandFault::Rejected(Rejection::VersionAhead { .. })) if attempt < ATTEMPTS_MAX => {}
                Err(fault) => return Err(refuse(fault)),
            }
        }
        unreachable!("the last attempt answers")
    }

    /// Destroys keys, and then writes down that they are destroyed: the event is true from its first moment.
    pub(super) async fn destroy(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        secret: &SecretName,
        act: Act,
    ) -> Result<Position, Status> {
        let expected = expected(etag)?;
        let stream = Self::stream(secret);
        let loaded = self.0.commands.load::<Secret>(&stream).await.map_err(refuse)?;
        let command = Command { secret: secret.clone(), act: act.clone() };
        let decided = loaded.state.decide(command).map_err(rejected)?;
        if !decided.is_empty() && expected.accepts(loaded.revision) {
            let numbers: Vec<u32> = match &act {
                Act::Destroy(number, _) => vec![*number],
                _ => loaded.state.kept().collect(),
            };
            for number in numbers {
                let forgotten = self.0.sealer.forget(&secret.subject(number)).await;
                forgotten.map_err(|fault| refuse(seal_refusal(fault)))?;
            }
        }
        self.act(ctx, request_id, expected, secret, act).await
    }

    pub(super) async fn change_version(
        &self,
        ctx: &Ctx,
        name: &str,
        request_id: &str,
        etag: &str,
        act: fn(u32) -> Act,
    ) -> Reply<proto::SecretVersion> {
        let (secret, number) = numbered(name)?;
        let at = self.act(ctx, request_id, expected(etag)?, &secret, act(number)).await?;
        Ok(ctx.reply(self.show_version(&self.0.query, &secret, Some(number)).await?, at))
    }

    pub(super) async fn show_version(
        &self,
        query: &Query,
        secret: &SecretName,
        number: Option<u32>,
    ) -> Result<proto::SecretVersion, Status> {
        let number = match number {
            Some(number) => number,
            None => match query.secret(secret).await.map_err(refuse)? {
                None => return Err(rejected(Rejection::SecretNotFound(secret.clone()))),
                Some(found) if found.latest_version == 0 => {
                    return Err(rejected(Rejection::NothingEnabled(secret.clone())));
                }
                Some(found) => found.latest_version,
            },
        };
        let found = query.version(secret, number).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::VersionNotFound { secret: secret.clone(), version: number }))
    }

    pub(super) async fn get_version(
        &self,
        request: Request<proto::GetSecretVersionRequest>,
    ) -> Reply<proto::SecretVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let VersionName { secret, number } = field("name", &request.name)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show_version(&query, &secret, number).await?))
    }

    pub(super) async fn list_versions(
        &self,
        request: Request<proto::ListSecretVersionsRequest>,
    ) -> Reply<proto::ListSecretVersionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let secret: SecretName = field("parent", &request.parent)?;
        let page = Page::read("versions", &[secret.as_str()], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        if query.secret(&secret).await.map_err(refuse)?.is_none() {
            return Err(rejected(Rejection::SecretNotFound(secret)));
        }
        let found = query.versions(&secret, &page).await.map_err(refuse)?;
        let number = |version: &proto::SecretVersion| version.name.rsplit('/').next().unwrap_or_default().to_owned();
        let numbered: Vec<(String, proto::SecretVersion)> =
            found.into_iter().map(|version| (number(&version), version)).collect();
        let (numbered, next_page_token) = page.cut(numbered, |(number, _)| number);
        let versions = numbered.into_iter().map(|(_, version)| version).collect();
        Ok(Response::new(proto::ListSecretVersionsResponse { versions, next_page_token }))
    }

    pub(super) async fn access(
        &self,
        request: Request<proto::AccessSecretVersionRequest>,
    ) -> Reply<proto::AccessSecretVersionResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let VersionName { secret, number } = field("name", &request.name)?;
        text("reason", &request.reason)?;
        let (version, opened) = self.open(&ctx, &secret, number).await?;
        let value =
            std::str::from_utf8(opened.expose()).map_err(|_| refuse(Refusal::internal("a value is no text")))?;
        let answer = proto::AccessSecretVersionResponse { name: secret.version(version), value: value.to_owned() };
        Ok(Response::new(answer))
    }

    /// The value of a version, and its number. `None`: of the newest that is enabled.
    pub(super) async fn open(
        &self,
        ctx: &Ctx,
        secret: &SecretName,
        number: Option<u32>,
    ) -> Result<(u32, Sensitive), Status> {
        let query = self.0.reading(ctx, "").await?;
        let secret = secret.clone();
        let found = query.secret(&secret).await.map_err(refuse)?.filter(|found| !found.deleted);
        let found = found.ok_or_else(|| rejected(Rejection::SecretNotFound(secret.clone())));
        // A version of a deleted secret is told as destroyed, which it is.
        let sealed = query.sealed(&secret, number).await.map_err(refuse)?;
        let sealed = match (sealed, number) {
            (Some(sealed), _) => sealed,
            (None, Some(version)) => {
                found?;
                return Err(rejected(Rejection::VersionNotFound { secret, version }));
            }
            (None, None) => {
                found?;
                return Err(rejected(Rejection::NothingEnabled(secret)));
            }
        };
        let version = sealed.number;
        match sealed.state {
            State::Enabled => {}
            State::Disabled => return Err(rejected(Rejection::VersionDisabled { secret, version })),
            _ => return Err(rejected(Rejection::VersionDestroyed { secret, version })),
        }
        let opened = match self.0.sealer.open(&secret.subject(version), PURPOSE, &sealed.bytes).await {
            // Its key is destroyed, and the event of that on its way.
            Err(SealFault::Forgotten) => return Err(rejected(Rejection::VersionDestroyed { secret, version })),
            opened => opened.map_err(|fault| refuse(seal_refusal(fault)))?,
        };
        Ok((version, opened))
    }
}

/// A version that is named by its number.
pub(super) fn numbered(name: &str) -> Result<(SecretName, u32), Status> {
    let VersionName { secret, number } = field("name", name)?;
    let number = number.ok_or_else(|| refuse(Refusal::invalid("name", "must name the version by its number")))?;
    Ok((secret, number))
}
