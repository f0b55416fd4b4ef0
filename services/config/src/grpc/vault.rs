//! The commands of secrets, in the words of Vault.

use cairn_contract::cairn::config::v1::secret_version::State;
use cairn_contract::cairn::config::v1::{Secret as Row, SecretVersion};
use cairn_contract::cairn::vault::v1 as proto;
use cairn_contract::cairn::vault::v1::vault_service_server::VaultService;
use cairn_contract::google::api::HttpBody;
use cairn_kernel::{Code, Expected, Name, Position};
use cairn_seal::Sensitive;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use super::rejected;
use super::secrets::{Secrets, taken};
use crate::desk::text;
use crate::model::secret::Act;
use crate::model::{Rejection, SecretName, Text};
use crate::vault::{
    Answer, Write, as_data, as_value, health, is_deleted, keys, lookup, metadata, mounts, version, versions, write,
};

/// Most secrets in one list, which has no pages.
const LISTED_MAX: usize = 10_000;
/// Rows that are fetched at once.
const ROWS: i32 = 1_000;
/// How often a write is decided again, because somebody made or deleted the secret meanwhile.
const ATTEMPTS_MAX: usize = 4;

pub struct Vault(pub Secrets);

/// The secret that a path names, if the caller may do there what the method takes. The edge asks only whether they may
/// somewhere.
fn secret(ctx: &Ctx) -> Result<SecretName, Status> {
    let secret = ctx.resource().as_str().parse().map_err(|_| {
        let problem = "a secret's path is its id: there are no folders";
        refuse(Refusal::new(Code::InvalidArgument, "VAULT_UNSUPPORTED", problem))
    })?;
    ctx.require(&ctx.method().permission, ctx.resource())?;
    Ok(secret)
}

fn is_ahead() -> Status {
    let problem = "check-and-set parameter did not match the current version";
    refuse(Refusal::new(Code::FailedPrecondition, "VAULT_CHECK_AND_SET_FAILED", problem))
}

fn reason_of(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

impl Vault {
    /// A secret that is there.
    async fn find(&self, ctx: &Ctx, name: &SecretName) -> Result<Row, Status> {
        let query = self.0.0.reading(ctx, "").await?;
        let found = query.secret(name).await.map_err(refuse)?.filter(|found| !found.deleted);
        found.ok_or_else(|| rejected(Rejection::SecretNotFound(name.clone())))
    }

    async fn version(&self, name: &SecretName, number: u32) -> Result<SecretVersion, Status> {
        self.0.show_version(&self.0.0.query, name, Some(number)).await
    }

    async fn read(&self, ctx: &Ctx, asked: &str) -> Result<Answer, Status> {
        let name = secret(ctx)?;
        let found = self.find(ctx, &name).await?;
        let number = match asked {
            "" | "0" => found.last_version,
            asked => field("version", asked)?,
        };
        if number == 0 {
            return Ok(Answer::nothing()); // There is a secret, and no version of it.
        }
        let told = self.version(&name, number).await?;
        if is_deleted(&told) {
            let data = serde_json::json!({ "data": null, "metadata": version(&told) });
            return Ok(Answer::data(ctx, &data).absent());
        }
        let (_, opened) = self.0.open(ctx, &name, Some(number)).await?;
        let value =
            std::str::from_utf8(opened.expose()).map_err(|_| refuse(Refusal::internal("a value is no text")))?;
        let data = serde_json::json!({ "data": as_data(value), "metadata": version(&told) });
        Ok(Answer::data(ctx, &data))
    }

    /// Adds a version, to a new secret if there is none.
    async fn add(&self, ctx: &Ctx, name: &SecretName, write: &Write) -> Result<(Position, u32), Status> {
        let value = || taken(as_value(&write.data));
        for attempt in 1.. {
            let found = self.0.0.query.secret(name).await.map_err(refuse)?.filter(|found| !found.deleted);
            let added = match found {
                Some(_) => {
                    let add = |number, value| Act::Add { number, value, after: write.after };
                    self.0.add(ctx, "", name, value()?, add).await
                }
                None if write.after.is_some_and(|after| after > 0) => return Err(is_ahead()),
                None => self.create(ctx, name, value()?).await,
            };
            let reason = added.as_ref().err().map(reason_of).unwrap_or_default();
            match (reason.as_str(), added) {
                // The secret has come to be meanwhile, or is gone.
                ("SECRET_EXISTS" | "SECRET_NOT_FOUND", _) if attempt < ATTEMPTS_MAX => {}
                ("SECRET_VERSION_AHEAD", _) if write.after.is_some() => return Err(is_ahead()),
                (_, added) => return added,
            }
        }
        unreachable!("the last attempt answers")
    }

    async fn create(&self, ctx: &Ctx, name: &SecretName, value: Sensitive) -> Result<(Position, u32), Status> {
        let project = ctx.resource().project().unwrap_or_default();
        ctx.require("config.secrets.create", &project)?;
        let description: Text = text("description", "")?;
        let create = |number, value| Act::Create { description: description.clone(), first: Some((number, value)) };
        self.0.add(ctx, "", name, value, create).await
    }

    /// Changes those versions that are there and stand otherwise. Vault passes over the others too.
    async fn change(&self, ctx: &Ctx, numbers: Vec<u32>, from: State, act: fn(u32) -> Act) -> Result<Answer, Status> {
        let name = secret(ctx)?;
        self.find(ctx, &name).await?;
        let mut answer = Answer::empty();
        for number in numbers {
            let found = self.0.0.query.version(&name, number).await.map_err(refuse)?;
            if found.is_some_and(|found| found.state() == from) {
                answer = answer.stored(self.0.act(ctx, "", Expected::Any, &name, act(number)).await?);
            }
        }
        Ok(answer)
    }

    async fn all_versions(&self, name: &SecretName) -> Result<Vec<SecretVersion>, Status> {
        let (mut versions, mut token) = (vec![], String::new());
        loop {
            let page = Page::read("versions for vault", &[name.as_str()], ROWS, &token)?;
            let found = self.0.0.query.versions(name, &page).await.map_err(refuse)?;
            let number = |found: SecretVersion| (found.name.rsplit('/').next().unwrap_or_default().to_owned(), found);
            let numbered: Vec<(String, SecretVersion)> = found.into_iter().map(number).collect();
            let (more, next) = page.cut(numbered, |(number, _)| number);
            versions.extend(more.into_iter().map(|(_, version)| version));
            if next.is_empty() {
                return Ok(versions);
            }
            token = next;
        }
    }

    async fn list(&self, ctx: &Ctx, project: &Name, folder: &str) -> Result<Answer, Status> {
        if !folder.trim_matches('/').is_empty() {
            return Ok(Answer::nothing());
        }
        let query = self.0.0.reading(ctx, "").await?;
        let visible = ctx.visible("config.secrets.list", project);
        let (mut ids, mut token) = (vec![], String::new());
        loop {
            let page = Page::read("secrets for vault", &[project.as_str()], ROWS, &token)?;
            let found = query.secrets(project, &visible, &page).await.map_err(refuse)?;
            let (more, next) = page.cut(found, |secret| &secret.name);
            ids.extend(more.iter().map(|secret| secret.name.rsplit('/').next().unwrap_or_default().to_owned()));
            if ids.len() > LISTED_MAX {
                let problem = format!("there are more than {LISTED_MAX} secrets, which Vault's list does not page");
                return Err(refuse(Refusal::new(Code::InvalidArgument, "VAULT_UNSUPPORTED", problem)));
            }
            if next.is_empty() {
                break;
            }
            token = next;
        }
        Ok(if ids.is_empty() { Answer::nothing() } else { Answer::data(ctx, &keys(&ids)) })
    }
}

#[tonic::async_trait]
impl VaultService for Vault {
    async fn read_secret(&self, request: Request<proto::ReadSecretRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(self.read(&ctx, &request.version).await?.reply(&ctx))
    }

    async fn write_secret(&self, request: Request<proto::WriteSecretRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, write) = (secret(&ctx)?, write(request.body)?);
        let (at, number) = self.add(&ctx, &name, &write).await?;
        let told = self.version(&name, number).await?;
        Ok(Answer::data(&ctx, &version(&told)).stored(at).reply(&ctx))
    }

    async fn delete_latest_version(&self, request: Request<proto::DeleteLatestVersionRequest>) -> Reply<HttpBody> {
        let (ctx, _) = Ctx::accept(request)?;
        let last = self.find(&ctx, &secret(&ctx)?).await?.last_version;
        Ok(self.change(&ctx, vec![last], State::Enabled, Act::Disable).await?.reply(&ctx))
    }

    async fn delete_versions(&self, request: Request<proto::DeleteVersionsRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(self.change(&ctx, versions(request.body)?, State::Enabled, Act::Disable).await?.reply(&ctx))
    }

    async fn undelete_versions(&self, request: Request<proto::UndeleteVersionsRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(self.change(&ctx, versions(request.body)?, State::Disabled, Act::Enable).await?.reply(&ctx))
    }

    async fn destroy_versions(&self, request: Request<proto::DestroyVersionsRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, numbers) = (secret(&ctx)?, versions(request.body)?);
        self.find(&ctx, &name).await?;
        let mut answer = Answer::empty();
        for number in numbers {
            let found = self.0.0.query.version(&name, number).await.map_err(refuse)?;
            if found.is_some_and(|found| found.state() != State::Destroyed) {
                let destroy = Act::Destroy(number, text("reason", "")?);
                answer = answer.stored(self.0.destroy(&ctx, "", "", &name, destroy).await?);
            }
        }
        Ok(answer.reply(&ctx))
    }

    async fn read_metadata(&self, request: Request<proto::ReadMetadataRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        if request.list == "true" {
            // What stands below a secret, of which there is nothing.
            secret(&ctx)?;
            return Ok(Answer::nothing().reply(&ctx));
        }
        let name = secret(&ctx)?;
        let found = self.find(&ctx, &name).await?;
        let versions = self.all_versions(&name).await?;
        Ok(Answer::data(&ctx, &metadata(&found, &versions)).reply(&ctx))
    }

    async fn list_secrets(&self, request: Request<proto::ListSecretsRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        Ok(self.list(&ctx, ctx.resource(), &request.folder).await?.reply(&ctx))
    }

    async fn delete_secret(&self, request: Request<proto::DeleteSecretRequest>) -> Reply<HttpBody> {
        let (ctx, _) = Ctx::accept(request)?;
        let name = secret(&ctx)?;
        self.find(&ctx, &name).await?;
        let at = self.0.destroy(&ctx, "", "", &name, Act::Delete).await?;
        Ok(Answer::empty().stored(at).reply(&ctx))
    }

    async fn look_up_self(&self, request: Request<proto::LookUpSelfRequest>) -> Reply<HttpBody> {
        let (ctx, _) = Ctx::accept(request)?;
        if ctx.principal().is_anonymous() {
            return Err(refuse(Refusal::new(Code::Unauthenticated, "CREDENTIAL_MISSING", "no token came")));
        }
        Ok(Answer::data(&ctx, &lookup(ctx.principal())).reply(&ctx))
    }

    async fn fetch_health(&self, request: Request<proto::FetchHealthRequest>) -> Reply<HttpBody> {
        let (ctx, _) = Ctx::accept(request)?;
        Ok(Answer::body(health(self.0.0.commands.clock().now())).reply(&ctx))
    }

    async fn fetch_mounts(&self, request: Request<proto::FetchMountsRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let found = mounts(request.path.trim_matches('/'));
        Ok(found.map_or_else(Answer::nothing, |found| Answer::data(&ctx, &found)).reply(&ctx))
    }
}
