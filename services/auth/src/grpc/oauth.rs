use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::oauth_service_server::OauthService;
use cairn_contract::google::api::HttpBody;
use cairn_service::{Ctx, Reply};
use serde_json::json;
use tonic::{Code, Request, Status};

use crate::desk::Desk;
use crate::issuer::{self, Answer, Form, LOGIN_COOKIE, OauthFault, SESSION_COOKIE, Sent};
use crate::model::session::Cause;
use crate::model::{IdentityProvider, IdentityProviderName};
use crate::oidc::{self, Returned};
use crate::sessions;

pub struct Oauth(pub Arc<Desk>);

/// Takes a request apart: who stands before the guard, what headers it came with, and what it says.
fn accept<T>(request: Request<T>) -> Result<(Ctx, Sent, T), Status> {
    let sent = Sent::of(request.metadata());
    let (ctx, request) = Ctx::accept(request)?;
    Ok((ctx, sent, request))
}

/// A fault in the words of the standards is an answer.
fn answered(outcome: Result<Answer, OauthFault>) -> Reply<HttpBody> {
    Ok(outcome.unwrap_or_else(Answer::from).reply())
}

/// What a person is to read, when a page of theirs comes to nothing.
fn page(ctx: &Ctx, outcome: Result<Answer, Status>) -> Reply<HttpBody> {
    use tonic_types::StatusExt;
    let status = match outcome {
        Ok(answer) => return Ok(answer.reply()),
        Err(status) => status,
    };
    let http = match status.code() {
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::Unavailable => 503,
        _ => return Err(status),
    };
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    Ok(issuer::failed(http, &reason, status.message(), ctx.request_id()).reply())
}

/// A provider by the last part of a path.
fn provider(id: &str) -> Option<IdentityProviderName> {
    IdentityProviderName::of(id).as_str().parse().ok()
}

#[tonic::async_trait]
impl OauthService for Oauth {
    async fn fetch_discovery(&self, request: Request<proto::FetchDiscoveryRequest>) -> Reply<HttpBody> {
        accept(request)?;
        Ok(issuer::document(&self.0.public).reply())
    }

    async fn authorize(&self, request: Request<proto::AuthorizeRequest>) -> Reply<HttpBody> {
        let (ctx, sent, request) = accept(request)?;
        page(&ctx, issuer::authorize(&self.0, &sent, request).await)
    }

    async fn begin_login(&self, request: Request<proto::BeginLoginRequest>) -> Reply<HttpBody> {
        let (ctx, _, request) = accept(request)?;
        page(&ctx, issuer::choose(&self.0, &request.identity_provider, &request.return_to).await)
    }

    async fn finish_login(&self, request: Request<proto::FinishLoginRequest>) -> Reply<HttpBody> {
        let (ctx, sent, request) = accept(request)?;
        let desk = &self.0;
        let Some(provider) = provider(&request.identity_provider) else {
            let problem = "There is no identity provider of this name.";
            return Ok(issuer::message(404, "Unknown provider", problem).reply());
        };
        let returned = Returned { code: request.code, state: request.state, iss: request.iss, error: request.error };
        let cookie = sent.cookie(&desk.public.cookie_name(LOGIN_COOKIE));
        let finished = match oidc::finish(desk, &ctx, &provider, &returned, cookie).await {
            Ok(finished) => finished,
            Err(status) => return page(&ctx, Err(status)),
        };
        let session = desk.access.cookie(finished.session.id());
        let seconds = desk.login.session_life().as_secs();
        let answer = Answer::redirect(finished.return_to)
            .with_cookie(desk.public.cookie(SESSION_COOKIE, &session, seconds))
            .with_cookie(desk.public.cookie(LOGIN_COOKIE, "", 0));
        Ok(answer.reply())
    }

    async fn issue_token(&self, request: Request<proto::IssueTokenRequest>) -> Reply<HttpBody> {
        let (ctx, sent, request) = accept(request)?;
        match Form::read(request.form) {
            Ok(form) => Ok(issuer::grant(&self.0, &ctx, &sent, &form).await?.reply()),
            Err(fault) => answered(Err(fault)),
        }
    }

    async fn introspect_token(&self, request: Request<proto::IntrospectTokenRequest>) -> Reply<HttpBody> {
        let (_, sent, request) = accept(request)?;
        match Form::read(request.form) {
            Ok(form) => Ok(issuer::introspect(&self.0, &sent, &form).await?.reply()),
            Err(fault) => answered(Err(fault)),
        }
    }

    async fn revoke_token(&self, request: Request<proto::RevokeTokenRequest>) -> Reply<HttpBody> {
        let (ctx, _, request) = accept(request)?;
        let form = Form::read(request.form);
        let token = match form.as_ref().map_err(OauthFault::clone).and_then(|form| form.need("token")) {
            Ok(token) => token,
            Err(fault) => return answered(Err(fault)),
        };
        issuer::revoke(&self.0, &ctx, token).await?;
        Ok(Answer::empty().reply())
    }

    async fn fetch_user_info(&self, request: Request<proto::FetchUserInfoRequest>) -> Reply<HttpBody> {
        let (_, sent, _) = accept(request)?;
        Ok(issuer::user_info(&self.0, &sent).await?.reply())
    }

    async fn begin_device_login(&self, request: Request<proto::BeginDeviceLoginRequest>) -> Reply<HttpBody> {
        let (_, sent, request) = accept(request)?;
        match Form::read(request.form) {
            Ok(form) => Ok(issuer::begin_device(&self.0, &sent, &form).await?.reply()),
            Err(fault) => answered(Err(fault)),
        }
    }

    async fn show_device_login(&self, request: Request<proto::ShowDeviceLoginRequest>) -> Reply<HttpBody> {
        let (ctx, sent, request) = accept(request)?;
        page(&ctx, issuer::show_device(&self.0, &sent, &request.user_code).await)
    }

    async fn decide_device_login(&self, request: Request<proto::DecideDeviceLoginRequest>) -> Reply<HttpBody> {
        let (ctx, sent, request) = accept(request)?;
        match Form::read(request.form) {
            Ok(form) => page(&ctx, issuer::decide_device(&self.0, &ctx, &sent, &form).await),
            Err(fault) => answered(Err(fault)),
        }
    }

    async fn logout(&self, request: Request<proto::LogoutRequest>) -> Reply<HttpBody> {
        let (ctx, sent, request) = accept(request)?;
        let desk = &self.0;
        let form = match Form::read(request.form) {
            Ok(form) => form,
            Err(fault) => return answered(Err(fault)),
        };
        let gone = desk.public.cookie(SESSION_COOKIE, "", 0);
        let Some(present) = issuer::present(desk, &sent).await? else {
            return Ok(Answer::json(&json!({})).with_cookie(gone).reply());
        };
        issuer::require_own_page(desk, &sent, present.session.id(), form.get("csrf"))?;
        sessions::end(desk, &ctx, &present.session, Cause::Logout).await?;
        let there = self.logout_there(&present.grounds.identity_provider).await;
        let answer = there.map_or_else(|| json!({}), |address| json!({"end_session_endpoint": address}));
        Ok(Answer::json(&answer).with_cookie(gone).reply())
    }

    async fn logout_by_provider(&self, request: Request<proto::LogoutByProviderRequest>) -> Reply<HttpBody> {
        let (ctx, _, request) = accept(request)?;
        let form = Form::read(request.form);
        let token = match form.as_ref().map_err(OauthFault::clone).and_then(|form| form.need("logout_token")) {
            Ok(token) => token,
            Err(fault) => return answered(Err(fault)),
        };
        let Some(provider) = provider(&request.identity_provider) else {
            return answered(Err(OauthFault::invalid("the provider is unknown")));
        };
        match oidc::logged_out(&self.0, &ctx, &provider, token).await {
            Ok(_) => Ok(Answer::empty().reply()),
            Err(status) if status.code() == Code::Unauthenticated => {
                answered(Err(OauthFault::invalid("the logout token does not hold")))
            }
            Err(status) => Err(status),
        }
    }
}

impl Oauth {
    /// Where people log out at the provider itself, if it says so.
    async fn logout_there(&self, provider: &str) -> Option<String> {
        let desk = &self.0;
        let stream = crate::desk::stream::<IdentityProvider>(&provider);
        let loaded = desk.commands.load::<IdentityProvider>(&stream).await.ok()?;
        let settings = loaded.state.settings()?;
        let known = desk.providers.find(&settings.issuer).await.ok()?;
        let mut address = url::Url::parse(known.metadata.end_session_endpoint.as_deref()?).ok()?;
        address.query_pairs_mut().append_pair("client_id", &settings.client_id);
        Some(address.into())
    }
}
