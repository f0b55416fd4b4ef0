use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::service_account_service_server::ServiceAccountService;
use cairn_kernel::{Expected, Name};
use cairn_service::{Ctx, Page, Reply, field, refuse};
use tonic::{Request, Response, Status};

use crate::desk::{Desk, Reading, expected, given, made_id, masked, rejected, require_open, stream, text};
use crate::model::administrators::{self, Administrators};
use crate::model::service_account::{Act, Command};
use crate::model::{OrganizationName, PrincipalName, Rejection, ServiceAccount, ServiceAccountName, Slug};

pub struct ServiceAccounts(pub Arc<Desk>);

impl ServiceAccounts {
    async fn show(&self, reading: &Reading, name: &ServiceAccountName) -> Result<proto::ServiceAccount, Status> {
        let found = reading.query.service_account(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::ServiceAccountNotFound(name.clone())))
    }

    async fn act(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        service_account: ServiceAccountName,
        act: Act,
    ) -> Reply<proto::ServiceAccount> {
        let command = Command { service_account: service_account.clone(), act };
        let stream = stream::<ServiceAccount>(&service_account);
        let at = self.0.execute::<ServiceAccount>(ctx, request_id, &stream, etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &service_account).await?, at))
    }

    /// A change of whether an account is let in, which may be the last administrator.
    async fn stand(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        account: ServiceAccountName,
        act: Act,
    ) -> Reply<proto::ServiceAccount> {
        let principal = PrincipalName::from(&account);
        let count = match act {
            Act::Enable => administrators::Command::Resume { principal },
            _ => administrators::Command::Suspend { principal },
        };
        let (expected, command) = (expected(etag)?, Command { service_account: account.clone(), act });
        let attempt = |mut work: cairn_eventstore::Work| {
            let (account, command, count) = (account.clone(), command.clone(), count.clone());
            async move {
                work.decide::<ServiceAccount>(&stream::<ServiceAccount>(&account), expected, command).await?;
                let all = stream::<Administrators>(&Administrators::STREAM_ID);
                work.decide::<Administrators>(&all, Expected::Any, count).await?;
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(request_id), attempt).await.map_err(refuse)?;
        self.0.settle(ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &account).await?, at))
    }
}

#[tonic::async_trait]
impl ServiceAccountService for ServiceAccounts {
    async fn create_service_account(
        &self,
        request: Request<proto::CreateServiceAccountRequest>,
    ) -> Reply<proto::ServiceAccount> {
        let (ctx, request) = Ctx::accept(request)?;
        let given = request.service_account.unwrap_or_default();
        let id = match request.service_account_id.as_str() {
            "" => format!("s-{}", made_id(&ctx.order(&request.request_id))),
            chosen => field::<Slug>("service_account_id", chosen)?.to_string(),
        };
        let account = ServiceAccountName::stored(format!("serviceAccounts/{id}"));
        let (title, description) = (text("title", &given.title)?, text("description", &given.description)?);
        let organization = match request.parent.as_str() {
            "" => None,
            text => Some(field::<OrganizationName>("parent", text)?),
        };
        let act = Act::Create { title, description, organization: organization.clone() };
        let command = Command { service_account: account.clone(), act };
        let attempt = |mut work: cairn_eventstore::Work| {
            let (organization, command, account) = (organization.clone(), command.clone(), account.clone());
            async move {
                if let Some(organization) = &organization {
                    require_open(&mut work, organization).await?;
                }
                let stream = stream::<ServiceAccount>(&account);
                work.decide::<ServiceAccount>(&stream, Expected::Any, command).await?;
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(&request.request_id), attempt).await.map_err(refuse)?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &account).await?, at))
    }

    async fn get_service_account(
        &self,
        request: Request<proto::GetServiceAccountRequest>,
    ) -> Reply<proto::ServiceAccount> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_service_accounts(
        &self,
        request: Request<proto::ListServiceAccountsRequest>,
    ) -> Reply<proto::ListServiceAccountsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let state = request.state();
        if !request.parent.is_empty() {
            field::<OrganizationName>("parent", &request.parent)?;
        }
        let filter = [state.as_str_name(), request.parent.as_str()];
        let page = Page::read("serviceAccounts", &filter, request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.serviceAccounts.list", &Name::ROOT);
        let found = reading.query.service_accounts(&visible, &page, state, &request.parent).await.map_err(refuse)?;
        let (service_accounts, next_page_token) = page.cut(found, |account| &account.name);
        Ok(Response::new(proto::ListServiceAccountsResponse { service_accounts, next_page_token }))
    }

    async fn update_service_account(
        &self,
        request: Request<proto::UpdateServiceAccountRequest>,
    ) -> Reply<proto::ServiceAccount> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("service_account", request.service_account)?;
        let account: ServiceAccountName = field("service_account.name", &wanted.name)?;
        let fields = [("title", wanted.title.as_str()), ("description", wanted.description.as_str())];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let title = masked.contains(&"title").then(|| text("service_account.title", &wanted.title)).transpose()?;
        let description = masked.contains(&"description");
        let description = description.then(|| text("service_account.description", &wanted.description)).transpose()?;
        self.act(&ctx, &request.request_id, &wanted.etag, account, Act::Describe { title, description }).await
    }

    async fn disable_service_account(
        &self,
        request: Request<proto::DisableServiceAccountRequest>,
    ) -> Reply<proto::ServiceAccount> {
        let (ctx, request) = Ctx::accept(request)?;
        let (account, reason) = (field("name", &request.name)?, text("reason", &request.reason)?);
        self.stand(&ctx, &request.request_id, &request.etag, account, Act::Disable { reason }).await
    }

    async fn enable_service_account(
        &self,
        request: Request<proto::EnableServiceAccountRequest>,
    ) -> Reply<proto::ServiceAccount> {
        let (ctx, request) = Ctx::accept(request)?;
        let account = field("name", &request.name)?;
        self.stand(&ctx, &request.request_id, &request.etag, account, Act::Enable).await
    }

    async fn delete_service_account(
        &self,
        request: Request<proto::DeleteServiceAccountRequest>,
    ) -> Reply<proto::ServiceAccount> {
        let (ctx, request) = Ctx::accept(request)?;
        let account = field("name", &request.name)?;
        self.stand(&ctx, &request.request_id, &request.etag, account, Act::Delete).await
    }
}
