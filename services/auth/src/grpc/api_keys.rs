use std::sync::Arc;
use std::time::Duration;

use cairn_access::{ApiKey, Form, KeyKind, Roles, Standing};
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::api_key_service_server::ApiKeyService;
use cairn_kernel::{Name, Time};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use crate::desk::{Desk, KEYS_MAX, Reading, expected, made_id, rejected, stream, text};
use crate::giving::require_all_held;
use crate::model::key::{Act, Command, Digest, Grounds, LIFE_DEFAULT};
use crate::model::{HolderName, Key, KeyName, PrincipalName, Rejection};
use crate::stored::time;

pub struct ApiKeys(pub Arc<Desk>);

/// Most resource names that a key is narrowed to.
const SCOPES_MAX: usize = 32;
/// Most permissions that a key is narrowed to.
const PERMISSIONS_MAX: usize = 256;

impl ApiKeys {
    async fn show(&self, reading: &Reading, name: &KeyName) -> Result<proto::ApiKey, Status> {
        let found = reading.query.key(name.as_str(), reading.now).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::KeyNotFound(name.clone())))
    }

    /// Carries out a command that gives a key a secret. Only the first answer to a request shows it: a repeat did not
    /// store the digest of the secret made for it.
    async fn show_once(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        command: Command,
        made: &ApiKey,
    ) -> Reply<proto::ApiKey> {
        let name = command.key.clone();
        let (order, stream) = (ctx.order(request_id), stream::<Key>(&name));
        let done = self.0.commands.execute::<Key>(&order, &stream, expected(etag)?, command).await.map_err(refuse)?;
        self.0.settle(ctx, done.position).await?;
        let mut key = self.show(&self.0.present(), &name).await?;
        if !done.is_repeat {
            key.secret = made.reveal();
        }
        Ok(ctx.reply(key, done.position))
    }

    fn digest(&self, made: &ApiKey) -> Digest {
        digest(self.0.access.keyring().digest(made.id(), made.secret()))
    }

    /// Refuses a key that would reach further than the credential it is made with.
    fn require_within(&self, ctx: &Ctx, scopes: &[Name], permissions: &[String]) -> Result<(), Status> {
        let too_wide = |excess: String| Err(rejected(Rejection::CredentialTooWide { excess }));
        let held: Vec<Name> = ctx.principal().scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        if !ctx.principal().scopes.is_empty() {
            if scopes.is_empty() {
                return too_wide("it would not be narrowed to any scope".into());
            }
            if let Some(excess) = scopes.iter().find(|scope| !held.iter().any(|held| held.covers(scope))) {
                return too_wide(excess.to_string());
            }
        }
        let world = self.0.access.world();
        let credential = ctx.principal().credential.as_deref().and_then(|id| world.key(id));
        match credential.map(|key| key.permissions.as_slice()) {
            None | Some([]) => Ok(()),
            Some(_) if permissions.is_empty() => too_wide("it would not be narrowed to any permission".into()),
            Some(held) => match permissions.iter().find(|word| !held.contains(word)) {
                Some(excess) => too_wide(excess.clone()),
                None => Ok(()),
            },
        }
    }

    /// Refuses a key of somebody who holds more than the caller: whoever has it acts as them.
    fn require_no_gain(&self, ctx: &Ctx, owner: &PrincipalName) -> Result<(), Status> {
        if ctx.principal().name == owner.as_str() {
            return Ok(());
        }
        require_all_held(ctx, &self.0.access.world(), &HolderName::from(owner))
    }

    /// Refuses a key for somebody who is not let in, or who has too many.
    fn require_room(&self, owner: &PrincipalName) -> Result<(), Status> {
        let world = self.0.access.world();
        if world.standing(owner.as_str()) != Some(Standing::Active) {
            return Err(rejected(Rejection::PrincipalDisabled(HolderName::from(owner))));
        }
        if world.live_keys(owner.as_str()) >= KEYS_MAX {
            let principal = HolderName::from(owner);
            return Err(rejected(Rejection::TooMany { principal, what: "API keys", limit: KEYS_MAX }));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn create_api_key(&self, request: Request<proto::CreateApiKeyRequest>) -> Reply<proto::ApiKey> {
        let (ctx, request) = Ctx::accept(request)?;
        let owner: PrincipalName = field("parent", &request.parent)?;
        let wanted = request.api_key.unwrap_or_default();
        let (scopes, permissions) = (scopes(&wanted.scopes)?, permissions(wanted.permissions)?);
        let title = text("api_key.title", &wanted.title)?;
        self.require_within(&ctx, &scopes, &permissions)?;
        self.require_no_gain(&ctx, &owner)?;
        self.require_room(&owner)?;

        let made = ApiKey::generate(kind(&owner), &made_id(&ctx.order(&request.request_id)));
        let now = self.0.now();
        let grounds = Grounds {
            title,
            digest: self.digest(&made),
            scopes,
            permissions,
            expire_time: Some(expiry(wanted.expire_time, now)),
            is_bootstrap: false,
            owner: owner.clone(),
        };
        let command = Command { key: KeyName::of(&owner, made.id()), act: Act::Create { grounds, now } };
        self.show_once(&ctx, &request.request_id, "", command, &made).await
    }

    async fn get_api_key(&self, request: Request<proto::GetApiKeyRequest>) -> Reply<proto::ApiKey> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_api_keys(&self, request: Request<proto::ListApiKeysRequest>) -> Reply<proto::ListApiKeysResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let owner: PrincipalName = field("parent", &request.parent)?;
        let revoked = if request.show_revoked { "revoked too" } else { "" };
        let page = Page::read("apiKeys", &[owner.as_str(), revoked], request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let found = reading.query.keys(owner.as_str(), &page, request.show_revoked, reading.now).await;
        let (api_keys, next_page_token) = page.cut(found.map_err(refuse)?, |key| &key.name);
        Ok(Response::new(proto::ListApiKeysResponse { api_keys, next_page_token }))
    }

    async fn rotate_api_key(&self, request: Request<proto::RotateApiKeyRequest>) -> Reply<proto::ApiKey> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: KeyName = field("name", &request.name)?;
        let grace = match request.grace {
            None => Duration::ZERO,
            Some(grace) => {
                Duration::try_from(grace).map_err(|_| refuse(Refusal::invalid("grace", "must not be negative")))?
            }
        };
        let world = self.0.access.world();
        let record = world.key(name.id()).filter(|record| record.name == name.as_str());
        let record = record.ok_or_else(|| rejected(Rejection::KeyNotFound(name.clone())))?;
        self.require_within(&ctx, &record.scopes, &record.permissions)?;
        self.require_no_gain(&ctx, &PrincipalName::stored(record.owner.as_str()))?;

        let made = ApiKey::generate(kind(&PrincipalName::stored(record.owner.as_str())), name.id());
        let now = self.0.now();
        let (digest, expire_time) = (self.digest(&made), expiry(request.expire_time, now));
        let command = Command { key: name, act: Act::Rotate { digest, expire_time, grace, now } };
        self.show_once(&ctx, &request.request_id, &request.etag, command, &made).await
    }

    async fn revoke_api_key(&self, request: Request<proto::RevokeApiKeyRequest>) -> Reply<proto::ApiKey> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: KeyName = field("name", &request.name)?;
        let command = Command { key: name.clone(), act: Act::Revoke { reason: text("reason", &request.reason)? } };
        let stream = stream::<Key>(&name);
        let at = self.0.execute::<Key>(&ctx, &request.request_id, &stream, &request.etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &name).await?, at))
    }
}

/// A digest in the model's words.
pub fn digest(digest: cairn_access::Digest) -> Digest {
    Digest { is_opaque: digest.form == Form::Opaque, bytes: digest.bytes, pepper: digest.pepper }
}

fn kind(owner: &PrincipalName) -> KeyKind {
    if owner.is_user() { KeyKind::Personal } else { KeyKind::ServiceAccount }
}

fn expiry(asked: Option<Timestamp>, now: Time) -> Time {
    asked.map_or_else(|| now.after(LIFE_DEFAULT), time)
}

/// Resource names that a credential is to be narrowed to.
pub fn scopes(texts: &[String]) -> Result<Vec<Name>, Status> {
    if texts.len() > SCOPES_MAX {
        return Err(refuse(Refusal::invalid("scopes", format!("must be at most {SCOPES_MAX}"))));
    }
    texts.iter().map(|text| field("scopes", text)).collect()
}

/// Permissions that a key is to be narrowed to: words of the contract, so that a misspelled one is not taken for a key
/// that works.
fn permissions(words: Vec<String>) -> Result<Vec<String>, Status> {
    if words.len() > PERMISSIONS_MAX {
        return Err(refuse(Refusal::invalid("permissions", format!("must be at most {PERMISSIONS_MAX}"))));
    }
    match words.iter().find(|word| !Roles::built_in().knows(word)) {
        Some(unknown) => Err(refuse(Refusal::invalid("permissions", format!("{unknown:?} is no permission")))),
        None => Ok(words),
    }
}
