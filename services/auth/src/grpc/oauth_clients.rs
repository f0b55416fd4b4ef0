use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::oauth_client_service_server::OauthClientService;
use cairn_kernel::Name;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use crate::desk::{Desk, given, rejected, stream, text};
use crate::issuer::CLI;
use crate::logins::LoginQuery;
use crate::model::oauth_client::{Act, Command, Terms};
use crate::model::{OauthClient, OauthClientName, Rejection, ServiceAccountName, Slug};
use crate::oidc::require_secure;

pub struct OauthClients(pub Arc<Desk>);

/// Most addresses that people are sent back to.
const REDIRECTS_MAX: usize = 20;

impl OauthClients {
    async fn show(&self, logins: &LoginQuery, name: &OauthClientName) -> Result<proto::OauthClient, Status> {
        let found = logins.client(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::OauthClientNotFound(name.clone())))
    }
}

#[tonic::async_trait]
impl OauthClientService for OauthClients {
    async fn create_oauth_client(
        &self,
        request: Request<proto::CreateOauthClientRequest>,
    ) -> Reply<proto::OauthClient> {
        let (ctx, request) = Ctx::accept(request)?;
        let id: Slug = field("oauth_client_id", &request.oauth_client_id)?;
        if id.as_str() == CLI {
            return Err(refuse(Refusal::invalid("oauth_client_id", "is the command line's own")));
        }
        let wanted = given("oauth_client", request.oauth_client)?;
        if !wanted.service_account.is_empty() {
            field::<ServiceAccountName>("oauth_client.service_account", &wanted.service_account)?;
        }
        let terms = Terms {
            title: text("oauth_client.title", &wanted.title)?,
            redirect_uris: redirects(wanted.redirect_uris)?,
            service_account: wanted.service_account,
        };
        let name = OauthClientName::of(id.as_str());
        let command = Command { oauth_client: name.clone(), act: Act::Create(terms) };
        let stream = stream::<OauthClient>(&name);
        let at = self.0.execute::<OauthClient>(&ctx, &request.request_id, &stream, "", command).await?;
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }

    async fn get_oauth_client(&self, request: Request<proto::GetOauthClientRequest>) -> Reply<proto::OauthClient> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let (logins, _) = self.0.logins_at(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&logins, &name).await?))
    }

    async fn list_oauth_clients(
        &self,
        request: Request<proto::ListOauthClientsRequest>,
    ) -> Reply<proto::ListOauthClientsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let page = Page::read("oauthClients", &[], request.page_size, &request.page_token)?;
        let (logins, _) = self.0.logins_at(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.oauthClients.list", &Name::ROOT);
        let found = logins.clients(&visible, &page).await.map_err(refuse)?;
        let (oauth_clients, next_page_token) = page.cut(found, |client| &client.name);
        Ok(Response::new(proto::ListOauthClientsResponse { oauth_clients, next_page_token }))
    }

    async fn delete_oauth_client(
        &self,
        request: Request<proto::DeleteOauthClientRequest>,
    ) -> Reply<proto::OauthClient> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: OauthClientName = field("name", &request.name)?;
        let command = Command { oauth_client: name.clone(), act: Act::Delete };
        let stream = stream::<OauthClient>(&name);
        let at = self.0.execute::<OauthClient>(&ctx, &request.request_id, &stream, &request.etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.logins, &name).await?, at))
    }
}

fn redirects(uris: Vec<String>) -> Result<Vec<String>, Status> {
    let refused = |problem: String| refuse(Refusal::invalid("oauth_client.redirect_uris", problem));
    if uris.len() > REDIRECTS_MAX {
        return Err(refused(format!("must be at most {REDIRECTS_MAX}")));
    }
    for uri in &uris {
        require_secure(uri).map_err(refused)?;
        if uri.contains(['#', '\n', '\r', ' ']) {
            return Err(refused(format!("{uri:?} has a fragment or blanks")));
        }
    }
    Ok(uris)
}
