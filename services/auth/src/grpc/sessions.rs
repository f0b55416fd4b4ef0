use std::sync::Arc;

use cairn_access::ApiKey;
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::session_service_server::SessionService;
use cairn_eventstore::CommandFault;
use cairn_kernel::{Code, Expected, Name, Position};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse, timestamp};
use tonic::{Request, Response, Status};

use super::api_keys::scopes;
use crate::desk::{Desk, rejected, stream};
use crate::issuer::{self, Pair, RefreshFault};
use crate::model::session::{Act, Cause, Command, Grounds, Holder};
use crate::model::{KeyName, PrincipalName, Rejection, Session, SessionName};
use crate::sessions;

pub struct Sessions(pub Arc<Desk>);

fn told(pair: Pair) -> proto::LoginResponse {
    proto::LoginResponse {
        access_token: pair.access_token,
        token_type: "Bearer".into(),
        expires_in: pair.expires_in,
        refresh_token: pair.refresh_token,
        session_expire_time: Some(timestamp(pair.session_expire_time)),
    }
}

fn refused(fault: RefreshFault) -> Status {
    refuse(match fault {
        RefreshFault::Ended => Refusal::new(Code::Unauthenticated, "SESSION_ENDED", "the session has ended"),
        RefreshFault::Reused => {
            let problem = "the refresh token was used before: the session has ended";
            Refusal::new(Code::Unauthenticated, "REFRESH_TOKEN_REUSED", problem)
        }
    })
}

/// A moment in the contract's whole seconds: those of a credential end long before they overflow.
fn seconds(moment: i64) -> i32 {
    i32::try_from(moment).unwrap_or(i32::MAX)
}

impl Sessions {
    /// The session of a login: begun now, or by the same request before if nobody has refreshed or ended it since.
    async fn begun(&self, ctx: &Ctx, id: &str, grounds: Grounds) -> Result<(SessionName, Grounds, Position), Status> {
        let desk = &self.0;
        let session = SessionName::of(&grounds.owner, id);
        let (order, stream) = (sessions::of_owner(desk, ctx, &grounds.owner).await, stream::<Session>(&session));
        let command = Command { session: session.clone(), act: Act::Start(grounds.clone()) };
        match desk.commands.execute::<Session>(&order, &stream, Expected::Any, command).await {
            Ok(done) => Ok((session, grounds, done.position)),
            Err(CommandFault::Rejected(Rejection::SessionStarted(_))) => {
                let loaded = desk.commands.load::<Session>(&stream).await.map_err(refuse)?;
                let state = &loaded.state;
                match state.grounds() {
                    Some(before)
                        if state.is_live(desk.now()) && state.generation() == 1 && before.scopes == grounds.scopes =>
                    {
                        Ok((session, before.clone(), Position::START))
                    }
                    _ => Err(rejected(Rejection::SessionEnded(session))),
                }
            }
            Err(fault) => Err(refuse(fault)),
        }
    }
}

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn login(&self, request: Request<proto::LoginRequest>) -> Reply<proto::LoginResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let desk = &self.0;
        // Not a token for a session: it would live longer than what it was got with.
        if request.api_key.parse::<ApiKey>().is_err() && request.api_key.split('.').count() == 3 {
            return Err(refuse(Refusal::invalid("api_key", "is a token, and only a key logs in")));
        }
        let principal = desk.access.authenticate(&request.api_key).map_err(refuse)?;
        let Some(key) = &principal.credential else {
            return Err(refuse(Refusal::invalid("api_key", "authentication is switched off, and nobody logs in")));
        };
        let held: Vec<Name> = principal.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let wanted = scopes(&request.scopes)?;
        let excess = wanted.iter().find(|scope| !held.is_empty() && !held.iter().any(|held| held.covers(scope)));
        if let Some(excess) = excess {
            return Err(rejected(Rejection::CredentialTooWide { excess: excess.to_string() }));
        }
        let owner = PrincipalName::stored(principal.name.as_str());
        let now = desk.now();
        let grounds = Grounds {
            holder: Holder::Client,
            client: String::new(),
            identity_provider: String::new(),
            provider_session: String::new(),
            api_key: KeyName::of(&owner, key).to_string(),
            auth_time: now,
            expire_time: now.after(desk.login.session_life()),
            scopes: if wanted.is_empty() { held } else { wanted },
            owner,
        };
        // A repeat of the request finds the session that it made the first time.
        let id = match request.request_id.as_str() {
            "" => sessions::fresh_id(),
            request_id => sessions::id_of(desk, "sessions of logins", &format!("{key} {request_id}")),
        };
        let (session, grounds, at) = self.begun(&ctx, &id, grounds).await?;
        desk.settle(&ctx, at).await?;
        Ok(ctx.reply(told(issuer::pair(desk, &session, &grounds, 1)), at))
    }

    async fn refresh(&self, request: Request<proto::RefreshRequest>) -> Reply<proto::LoginResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let refreshed = issuer::refresh(&self.0, &ctx, &request.refresh_token, "", &request.request_id).await?;
        let refreshed = refreshed.map_err(refused)?;
        Ok(Response::new(told(refreshed.pair)))
    }

    async fn introspect(&self, request: Request<proto::IntrospectRequest>) -> Reply<proto::IntrospectResponse> {
        let (_, request) = Ctx::accept(request)?;
        let Some(found) = issuer::inspect(&self.0, &request.token).await? else {
            return Ok(Response::new(proto::IntrospectResponse::default()));
        };
        Ok(Response::new(proto::IntrospectResponse {
            active: true,
            sub: found.owner,
            scope: found.scopes.join(" "),
            client_id: found.client,
            token_type: found.token_type.to_owned(),
            exp: seconds(found.expires),
            iat: seconds(found.issued),
            session: found.session,
        }))
    }

    async fn revoke(&self, request: Request<proto::RevokeRequest>) -> Reply<proto::RevokeResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        issuer::revoke(&self.0, &ctx, &request.token).await?;
        Ok(Response::new(proto::RevokeResponse {}))
    }

    async fn list_sessions(&self, request: Request<proto::ListSessionsRequest>) -> Reply<proto::ListSessionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let owner: PrincipalName = field("parent", &request.parent)?;
        let page = Page::read("sessions", &[owner.as_str()], request.page_size, &request.page_token)?;
        let (logins, now) = self.0.logins_at(&ctx, &request.as_of).await?;
        let found = logins.sessions(owner.as_str(), &page, now).await.map_err(refuse)?;
        let (sessions, next_page_token) = page.cut(found, |session| &session.name);
        Ok(Response::new(proto::ListSessionsResponse { sessions, next_page_token }))
    }

    async fn revoke_session(&self, request: Request<proto::RevokeSessionRequest>) -> Reply<proto::Session> {
        let (ctx, request) = Ctx::accept(request)?;
        let session: SessionName = field("name", &request.name)?;
        let command = Command { session: session.clone(), act: Act::Revoke { cause: Cause::Revoked } };
        let stream = stream::<Session>(&session);
        let at = self.0.execute::<Session>(&ctx, &request.request_id, &stream, "", command).await?;
        let found = self.0.logins.session(session.as_str(), self.0.now()).await.map_err(refuse)?;
        Ok(ctx.reply(found.ok_or_else(|| rejected(Rejection::SessionNotFound(session)))?, at))
    }
}
