//! The token endpoint: what is exchanged for tokens, each in its own way.

use cairn_eventstore::CommandFault;
use cairn_kernel::{Expected, Name, Time};
use cairn_service::{Ctx, refuse};
use serde_json::{Value, json};
use tonic::Status;
use tracing::warn;

use super::client::{Asking, identify};
use super::code::Code;
use super::device;
use super::fault::OauthFault;
use super::form::Form;
use super::refresh::{RefreshFault, refresh};
use super::reply::{Answer, Sent};
use super::scope::{Scope, narrowed};
use super::tokens::{Asked, Pair, id_token, pair};
use crate::desk::{Desk, stream};
use crate::federation;
use crate::model::session::{Act, Cause, Command, Grounds, Holder};
use crate::model::{PrincipalName, Rejection, Session, SessionName};
use crate::public::sha256;
use crate::sessions;

/// What came of a request: an answer, a refusal in the words of the standards, or a fault of ours.
pub type Outcome<T> = Result<Result<T, OauthFault>, Status>;

/// Answers a request for tokens.
pub async fn grant(desk: &Desk, ctx: &Ctx, sent: &Sent, form: &Form) -> Result<Answer, Status> {
    // A workload shows itself by the token that it brings.
    if form.get("grant_type") == Some(federation::GRANT) {
        let given = federation::exchange(desk, form).await?;
        return Ok(given.map_or_else(Answer::from, |token| Answer::json(&token)));
    }
    let asking = match identify(desk, sent, form).await? {
        Ok(asking) => asking,
        Err(fault) => return Ok(fault.into()),
    };
    let given = match form.get("grant_type") {
        Some("authorization_code") => by_code(desk, ctx, &asking, form).await?,
        Some("refresh_token") => by_refresh_token(desk, ctx, &asking, form).await?,
        Some("client_credentials") => by_secret(desk, &asking, form),
        Some(device::GRANT) => device::poll(desk, ctx, &asking, form).await?,
        Some(_) => Err(OauthFault::new("unsupported_grant_type", "this kind of grant is not known here")),
        None => Err(OauthFault::invalid("grant_type is missing")),
    };
    Ok(given.map_or_else(Answer::from, |tokens| Answer::json(&tokens)))
}

async fn by_code(desk: &Desk, ctx: &Ctx, asking: &Asking, form: &Form) -> Outcome<Value> {
    let refused = || Ok(Err(OauthFault::grant("the code does not hold, or not for this client and address")));
    let Some(code) = form.get("code").and_then(|text| Code::read(desk, text)) else { return refused() };
    let verifier = form.get("code_verifier").unwrap_or_default();
    let is_theirs = code.client == asking.client.id && form.get("redirect_uri") == Some(&code.redirect_uri);
    if !is_theirs || !(43..=128).contains(&verifier.len()) || sha256(verifier.as_bytes()) != code.challenge {
        return refused();
    }
    let owner = PrincipalName::stored(code.owner.as_str());
    if desk.access.check_credential(&code.session, owner.as_str()).is_err() {
        return refused();
    }
    let scope = code.scope();
    let grounds = Grounds {
        owner,
        holder: Holder::Client,
        client: asking.client.id.clone(),
        identity_provider: code.identity_provider.clone(),
        provider_session: code.provider_session.clone(),
        api_key: String::new(),
        auth_time: Time::from_micros(code.auth_time_micros),
        expire_time: desk.now().after(desk.login.session_life()),
        scopes: scope.names.clone(),
    };
    let id = sessions::id_of(desk, "sessions of codes", &code.id);
    let Some((session, pair)) = begin(desk, ctx, &id, &grounds).await? else {
        warn!(client = %asking.client.id, "an authorization code came a second time: its session has ended");
        return refused();
    };
    let mut tokens = told(&pair, &scope);
    if scope.has("openid") {
        let (has_profile, has_email) = (scope.has("profile"), scope.has("email"));
        let asked = Asked { client: &asking.client.id, nonce: &code.nonce, has_profile, has_email };
        tokens["id_token"] = json!(id_token(desk, &session, &grounds, &asked).await?);
    }
    Ok(Ok(tokens))
}

/// Begins the one session that something makes. When it is made a second time, it ends: somebody else has the code.
pub async fn begin(desk: &Desk, ctx: &Ctx, id: &str, grounds: &Grounds) -> Result<Option<(SessionName, Pair)>, Status> {
    let order = sessions::of_owner(desk, ctx, &grounds.owner).await;
    let session = SessionName::of(&grounds.owner, id);
    let stream = stream::<Session>(&session);
    let command = Command { session: session.clone(), act: Act::Start(grounds.clone()) };
    match desk.commands.execute::<Session>(&order, &stream, Expected::Any, command).await {
        Ok(done) => {
            desk.settle(ctx, done.position).await?;
            let pair = pair(desk, &session, grounds, done.state.generation());
            Ok(Some((session, pair)))
        }
        Err(CommandFault::Rejected(Rejection::SessionStarted(_))) => {
            let command = Command { session, act: Act::Revoke { cause: Cause::Reuse } };
            let done =
                desk.commands.execute::<Session>(&order, &stream, Expected::Any, command).await.map_err(refuse)?;
            desk.settle(ctx, done.position).await?;
            Ok(None)
        }
        Err(fault) => Err(refuse(fault)),
    }
}

async fn by_refresh_token(desk: &Desk, ctx: &Ctx, asking: &Asking, form: &Form) -> Outcome<Value> {
    let token = match form.need("refresh_token") {
        Ok(token) => token,
        Err(fault) => return Ok(Err(fault)),
    };
    Ok(match refresh(desk, ctx, token, &asking.client.id, "").await? {
        Ok(done) => Ok(told(&done.pair, &Scope { words: vec![], names: done.grounds.scopes })),
        Err(RefreshFault::Ended) => Err(OauthFault::grant("the session has ended")),
        Err(RefreshFault::Reused) => Err(OauthFault::grant("the refresh token was used before: the session has ended")),
    })
}

/// A client for itself. No refresh token: its secret is one.
fn by_secret(desk: &Desk, asking: &Asking, form: &Form) -> Result<Value, OauthFault> {
    let principal = asking.principal.as_ref().ok_or_else(OauthFault::client)?;
    let wanted = Scope::read(form.get("scope").unwrap_or_default())?;
    let held: Vec<Name> = principal.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
    let names = narrowed(&held, wanted.names)?;
    let scopes: Vec<String> = names.iter().map(ToString::to_string).collect();
    let life = desk.access.token_life();
    Ok(json!({
        "access_token": desk.access.issue(principal, &scopes, life),
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
        "scope": scopes.join(" "),
    }))
}

/// A pair of tokens as a client reads it.
pub fn told(pair: &Pair, scope: &Scope) -> Value {
    json!({
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "refresh_token": pair.refresh_token,
        "scope": scope.text(),
    })
}
