use std::sync::Arc;

use cairn_contract::cairn::config::v1 as proto;
use cairn_contract::cairn::config::v1::secret_service_server::SecretService;
use cairn_kernel::{Aggregate, Expected, Name, Position, StreamName};
use cairn_seal::Sensitive;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::rejected;
use crate::desk::{Desk, expected, text};
use crate::model::secret::{Act, Command};
use crate::model::{ProjectName, Rejection, Secret, SecretId, SecretName};
use crate::query::Query;

/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64 << 10;

pub struct Secrets(pub Arc<Desk>);

impl Secrets {
    pub(super) fn stream(secret: &SecretName) -> StreamName {
        StreamName::of(Secret::CATEGORY, secret)
    }

    async fn show(&self, query: &Query, name: &SecretName) -> Result<proto::Secret, Status> {
        let found = query.secret(name).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::SecretNotFound(name.clone())))
    }

    /// Carries out one command, waits until it shows, and gives where it is stored.
    pub(super) async fn act(
        &self,
        ctx: &Ctx,
        request_id: &str,
        expected: Expected,
        secret: &SecretName,
        act: Act,
    ) -> Result<Position, Status> {
        let command = Command { secret: secret.clone(), act };
        let (order, stream) = (ctx.order(request_id), Self::stream(secret));
        let done = self.0.commands.execute::<Secret>(&order, &stream, expected, command).await.map_err(refuse)?;
        self.0.settle(ctx, done.position).await?;
        Ok(done.position)
    }
}

/// A value as it was sent, taken out of the request: no copy of it is left there.
pub(super) fn taken(value: String) -> Result<Sensitive, Status> {
    let value = Sensitive::from(value);
    match value.len() {
        0 => Err(refuse(Refusal::invalid("value", "is empty"))),
        bytes if bytes > VALUE_BYTES_MAX => {
            Err(refuse(Refusal::invalid("value", format!("has {bytes} bytes, and {VALUE_BYTES_MAX} at most are kept"))))
        }
        _ => Ok(value),
    }
}

#[tonic::async_trait]
impl SecretService for Secrets {
    async fn create_secret(&self, request: Request<proto::CreateSecretRequest>) -> Reply<proto::Secret> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let id: SecretId = field("secret_id", &request.secret_id)?;
        let secret: SecretName = field("secret_id", &format!("{project}/secrets/{id}"))?;
        let description = text("secret.description", &request.secret.unwrap_or_default().description)?;
        let at = match request.value.map(taken).transpose()? {
            None => {
                let create = Act::Create { description, first: None };
                self.act(&ctx, &request.request_id, Expected::Any, &secret, create).await?
            }
            Some(value) => {
                let create =
                    |number, value| Act::Create { description: description.clone(), first: Some((number, value)) };
                self.add(&ctx, &request.request_id, &secret, value, create).await?.0
            }
        };
        Ok(ctx.reply(self.show(&self.0.query, &secret).await?, at))
    }

    async fn get_secret(&self, request: Request<proto::GetSecretRequest>) -> Reply<proto::Secret> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&query, &name).await?))
    }

    async fn list_secrets(&self, request: Request<proto::ListSecretsRequest>) -> Reply<proto::ListSecretsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent: ProjectName = field("parent", &request.parent)?;
        let page = Page::read("secrets", &[parent.as_str()], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        let under: Name = field("parent", parent.as_str())?;
        let visible = ctx.visible("config.secrets.list", &under);
        let found = query.secrets(&under, &visible, &page).await.map_err(refuse)?;
        let (secrets, next_page_token) = page.cut(found, |secret| &secret.name);
        Ok(Response::new(proto::ListSecretsResponse { secrets, next_page_token }))
    }

    async fn search_secrets(
        &self,
        request: Request<proto::SearchSecretsRequest>,
    ) -> Reply<proto::SearchSecretsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let page = Page::read("secrets of all", &[], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, "").await?;
        let visible = ctx.visible("config.secrets.list", &Name::ROOT);
        let found = query.secrets(&Name::ROOT, &visible, &page).await.map_err(refuse)?;
        let (secrets, next_page_token) = page.cut(found, |secret| &secret.name);
        Ok(Response::new(proto::SearchSecretsResponse { secrets, next_page_token }))
    }

    async fn update_secret(&self, request: Request<proto::UpdateSecretRequest>) -> Reply<proto::Secret> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = request.secret.unwrap_or_default();
        let secret: SecretName = field("secret.name", &wanted.name)?;
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        if let Some(other) = paths.iter().find(|path| *path != "description") {
            let problem = format!("{other:?} cannot be changed; `description` can");
            return Err(refuse(Refusal::invalid("update_mask", problem)));
        }
        let describe = Act::Describe { description: text("secret.description", &wanted.description)? };
        let at = self.act(&ctx, &request.request_id, expected(&wanted.etag)?, &secret, describe).await?;
        Ok(ctx.reply(self.show(&self.0.query, &secret).await?, at))
    }

    async fn delete_secret(&self, request: Request<proto::DeleteSecretRequest>) -> Reply<proto::Secret> {
        let (ctx, request) = Ctx::accept(request)?;
        let secret: SecretName = field("name", &request.name)?;
        let at = self.destroy(&ctx, &request.request_id, &request.etag, &secret, Act::Delete).await?;
        Ok(ctx.reply(self.show(&self.0.query, &secret).await?, at))
    }

    async fn create_secret_version(
        &self,
        request: Request<proto::CreateSecretVersionRequest>,
    ) -> Reply<proto::SecretVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let secret: SecretName = field("parent", &request.parent)?;
        let (value, after) = (taken(request.value)?, request.after_version);
        let add = |number, value| Act::Add { number, value, after };
        let (at, number) = self.add(&ctx, &request.request_id, &secret, value, add).await?;
        Ok(ctx.reply(self.show_version(&self.0.query, &secret, Some(number)).await?, at))
    }

    async fn get_secret_version(
        &self,
        request: Request<proto::GetSecretVersionRequest>,
    ) -> Reply<proto::SecretVersion> {
        self.get_version(request).await
    }

    async fn list_secret_versions(
        &self,
        request: Request<proto::ListSecretVersionsRequest>,
    ) -> Reply<proto::ListSecretVersionsResponse> {
        self.list_versions(request).await
    }

    async fn access_secret_version(
        &self,
        request: Request<proto::AccessSecretVersionRequest>,
    ) -> Reply<proto::AccessSecretVersionResponse> {
        self.access(request).await
    }

    async fn disable_secret_version(
        &self,
        request: Request<proto::DisableSecretVersionRequest>,
    ) -> Reply<proto::SecretVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        self.change_version(&ctx, &request.name, &request.request_id, &request.etag, Act::Disable).await
    }

    async fn enable_secret_version(
        &self,
        request: Request<proto::EnableSecretVersionRequest>,
    ) -> Reply<proto::SecretVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        self.change_version(&ctx, &request.name, &request.request_id, &request.etag, Act::Enable).await
    }

    async fn destroy_secret_version(
        &self,
        request: Request<proto::DestroySecretVersionRequest>,
    ) -> Reply<proto::SecretVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let (secret, number) = super::versions::numbered(&request.name)?;
        let destroy = Act::Destroy(number, text("reason", &request.reason)?);
        let at = self.destroy(&ctx, &request.request_id, &request.etag, &secret, destroy).await?;
        Ok(ctx.reply(self.show_version(&self.0.query, &secret, Some(number)).await?, at))
    }
}
