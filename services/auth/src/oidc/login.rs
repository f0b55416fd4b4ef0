use std::time::Duration;

use cairn_eventstore::Order;
use cairn_service::{Ctx, Refusal, field, refuse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tonic::Status;
use tracing::{info, warn};

use super::claims::{self, Person};
use super::exchange::{Code, exchange, plain, user_info};
use super::provision::admit;
use super::verify::{TokenFault, Wanted, id_token, logout_token, subject};
use super::{LoginFault, roles};
use crate::desk::Desk;
use crate::model::identity_provider::Settings;
use crate::model::session::{Grounds, Holder};
use crate::model::{IdentityProvider, IdentityProviderName, PrincipalName, SessionName, UserName};
use crate::public::{fresh_secret, sha256};
use crate::sessions;

/// How long somebody may take at their provider.
pub const LOGIN_LIFE: Duration = Duration::from_secs(600);
/// What a login on its way is sealed for.
const SEAL: &str = "logins on their way";

/// A login on its way. The browser that began it holds it, sealed: nobody else can end it, and nothing is kept here.
#[derive(Serialize, Deserialize)]
struct OnItsWay {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    return_to: String,
    expires: i64,
}

/// A login that has begun: where the browser goes, and what it keeps meanwhile.
pub struct Begun {
    pub location: String,
    pub cookie: String,
}

/// What the provider sent the browser back with.
#[derive(Debug, Default)]
pub struct Returned {
    pub code: String,
    pub state: String,
    pub iss: String,
    pub error: String,
}

/// A login that came to its end.
pub struct Finished {
    pub session: SessionName,
    pub return_to: String,
}

/// Somebody, as their provider names them.
struct Shown {
    subject: String,
    provider_session: String,
    auth_time: Option<i64>,
    person: Person,
}

/// A stop on the way: of the login itself, or of ours.
pub enum Stop {
    Login(LoginFault),
    Ours(Status),
}

impl From<LoginFault> for Stop {
    fn from(fault: LoginFault) -> Self {
        Self::Login(fault)
    }
}

impl From<TokenFault> for Stop {
    fn from(fault: TokenFault) -> Self {
        Self::Login(fault.into())
    }
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Ours(status)
    }
}

/// Sends a browser to a provider, to come back and go to `return_to`.
pub async fn begin(desk: &Desk, provider: &IdentityProviderName, return_to: String) -> Result<Begun, Status> {
    begin_at(desk, provider, return_to).await.map_err(|stop| told(provider, stop))
}

async fn begin_at(desk: &Desk, provider: &IdentityProviderName, return_to: String) -> Result<Begun, Stop> {
    let settings = settings(desk, provider).await?;
    let known = desk.providers.find(&settings.issuer).await;
    let known = known.map_err(|fault| LoginFault::Unavailable(provider.clone(), fault))?;
    let (now, _) = desk.now().after(LOGIN_LIFE).seconds_and_nanos();
    let on_its_way = OnItsWay {
        provider: provider.to_string(),
        state: fresh_secret(),
        nonce: fresh_secret(),
        verifier: fresh_secret(),
        return_to,
        expires: now,
    };
    let scope = ["openid"].into_iter().chain(settings.scopes.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let mut location = url::Url::parse(&known.metadata.authorization_endpoint)
        .map_err(|fault| LoginFault::Unavailable(provider.clone(), fault.to_string()))?;
    location
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &desk.redirect_uri(provider))
        .append_pair("scope", &scope)
        .append_pair("state", &on_its_way.state)
        .append_pair("nonce", &on_its_way.nonce)
        .append_pair("code_challenge", &sha256(on_its_way.verifier.as_bytes()))
        .append_pair("code_challenge_method", "S256");
    let words = serde_json::to_vec(&on_its_way).map_err(|fault| Stop::Ours(refuse(Refusal::internal(fault))))?;
    Ok(Begun { location: location.into(), cookie: desk.access.keyring().seal(SEAL, &words) })
}

/// Takes back a browser that a provider sent, and logs the person in.
pub async fn finish(
    desk: &Desk,
    ctx: &Ctx,
    provider: &IdentityProviderName,
    returned: &Returned,
    cookie: Option<&str>,
) -> Result<Finished, Status> {
    finish_at(desk, ctx, provider, returned, cookie).await.map_err(|stop| told(provider, stop))
}

async fn finish_at(
    desk: &Desk,
    ctx: &Ctx,
    provider: &IdentityProviderName,
    returned: &Returned,
    cookie: Option<&str>,
) -> Result<Finished, Stop> {
    let on_its_way = on_its_way(desk, cookie).ok_or(LoginFault::NotBegun)?;
    if on_its_way.provider != provider.as_str() {
        return Err(LoginFault::OtherProvider.into());
    }
    // Both are secrets of this browser and ours; that the cookie reads is what protects, and this says which login it is.
    if returned.state != on_its_way.state {
        return Err(LoginFault::State.into());
    }
    let settings = settings(desk, provider).await?;
    let shown = show(desk, provider, &settings, returned, &on_its_way).await?;
    let user = admit(desk, ctx, provider, &settings, &shown.subject, &shown.person).await?;
    if let Some(groups) = &shown.person.groups {
        roles::follow(desk, ctx, provider, &settings, &user, groups).await?;
    }
    let now = desk.now();
    let auth_time = shown.auth_time.map_or(now, |at| cairn_kernel::Time::from_seconds_and_nanos(at, 0).min(now));
    let grounds = Grounds {
        owner: PrincipalName::from(&user),
        holder: Holder::Browser,
        client: String::new(),
        identity_provider: provider.to_string(),
        provider_session: shown.provider_session,
        api_key: String::new(),
        auth_time,
        expire_time: now.after(desk.login.session_life()),
        scopes: vec![],
    };
    let (session, position) =
        sessions::start(desk, &acting(desk, ctx, &user).await, &sessions::fresh_id(), grounds).await?;
    desk.settle(ctx, position).await?;
    info!(%user, %provider, "logged in");
    Ok(Finished { session, return_to: on_its_way.return_to })
}

/// Who is there, by the word of the provider.
async fn show(
    desk: &Desk,
    provider: &IdentityProviderName,
    settings: &Settings,
    returned: &Returned,
    on_its_way: &OnItsWay,
) -> Result<Shown, Stop> {
    let unavailable = |fault: String| LoginFault::Unavailable(provider.clone(), fault);
    let known = desk.providers.find(&settings.issuer).await.map_err(unavailable)?;
    let metadata = &known.metadata;
    match returned.iss.as_str() {
        "" if metadata.authorization_response_iss_parameter_supported => {
            return Err(LoginFault::NoAnsweringIssuer.into());
        }
        "" => {}
        issuer if issuer != settings.issuer => return Err(LoginFault::AnsweringIssuer.into()),
        _ => {}
    }
    if !returned.error.is_empty() {
        return Err(LoginFault::Refused(plain(&returned.error)).into());
    }
    if returned.code.is_empty() {
        return Err(LoginFault::NoCode.into());
    }
    let secret = desk
        .secrets
        .find(&field("name", provider.as_str())?)
        .await
        .map_err(|fault| refuse(Refusal::internal(fault)))?;
    let redirect_uri = desk.redirect_uri(provider);
    let code = Code { code: &returned.code, redirect_uri: &redirect_uri, verifier: &on_its_way.verifier };
    let exchanged = exchange(&desk.providers, (provider, settings), metadata, secret.as_ref(), &code).await?;
    let token = exchanged.id_token.ok_or(LoginFault::NoToken)?;
    let wanted = Wanted { issuer: &settings.issuer, audience: &settings.client_id, now: desk.now() };
    let checked =
        desk.providers.check(&settings.issuer, |keys| id_token(&token, keys, wanted, &on_its_way.nonce)).await;
    let mut claims = checked.map_err(unavailable)??;
    let subject = subject(&claims)?.to_owned();
    if let (Some(endpoint), Some(access_token)) = (&metadata.userinfo_endpoint, &exchanged.access_token)
        && claims::lacks(&claims, settings)
    {
        let more = user_info(&desk.providers, endpoint, access_token, &subject).await?;
        // What is signed counts.
        for (claim, value) in more {
            claims.entry(claim).or_insert(value);
        }
    }
    let provider_session = claims.get("sid").and_then(Value::as_str).map(hashed).unwrap_or_default();
    let auth_time = claims.get("auth_time").and_then(Value::as_i64);
    Ok(Shown { subject, provider_session, auth_time, person: claims::person(&claims, settings)? })
}

/// Ends the sessions that a provider says are over there. Gives how many.
pub async fn logged_out(desk: &Desk, ctx: &Ctx, provider: &IdentityProviderName, token: &str) -> Result<usize, Status> {
    let claims = logout_claims(desk, provider, token).await.map_err(|stop| told(provider, stop))?;
    let provider_session = claims.get("sid").and_then(Value::as_str).map(hashed);
    let user = match claims.get("sub").and_then(Value::as_str) {
        Some(subject) => {
            let settings = settings(desk, provider).await.map_err(|stop| told(provider, stop))?;
            match super::provision::known(desk, &settings.issuer, subject).await? {
                Some(user) => Some(user),
                // Nobody we know has nothing to end.
                None => return Ok(0),
            }
        }
        None => None,
    };
    let owner = user.as_ref().map(UserName::as_str);
    let found = desk.logins.of_provider(provider.as_str(), provider_session.as_deref(), owner, desk.now()).await;
    let found = found.map_err(refuse)?;
    for name in &found {
        let session = SessionName::stored(name.as_str());
        sessions::end(desk, ctx, &session, crate::model::session::Cause::Provider).await?;
    }
    Ok(found.len())
}

async fn logout_claims(desk: &Desk, provider: &IdentityProviderName, token: &str) -> Result<Map<String, Value>, Stop> {
    let settings = settings(desk, provider).await?;
    let wanted = Wanted { issuer: &settings.issuer, audience: &settings.client_id, now: desk.now() };
    let checked = desk.providers.check(&settings.issuer, |keys| logout_token(token, keys, wanted)).await;
    Ok(checked.map_err(|fault| LoginFault::Unavailable(provider.clone(), fault))??)
}

async fn settings(desk: &Desk, provider: &IdentityProviderName) -> Result<Settings, Stop> {
    let stream = crate::desk::stream::<IdentityProvider>(provider);
    let loaded = desk.commands.load::<IdentityProvider>(&stream).await.map_err(refuse)?;
    match loaded.state.settings() {
        Some(settings) if !settings.is_disabled => Ok(settings.clone()),
        Some(_) => Err(LoginFault::Unavailable(provider.clone(), "it is disabled".into()).into()),
        None => Err(LoginFault::Unavailable(provider.clone(), "there is none".into()).into()),
    }
}

fn on_its_way(desk: &Desk, cookie: Option<&str>) -> Option<OnItsWay> {
    let words = desk.access.keyring().unseal(SEAL, cookie?)?;
    let on_its_way: OnItsWay = serde_json::from_slice(&words).ok()?;
    let (now, _) = desk.now().seconds_and_nanos();
    (now < on_its_way.expires).then_some(on_its_way)
}

/// A provider's session is its own affair: all that is kept is what recognizes it.
fn hashed(session: &str) -> String {
    sha256(session.as_bytes())
}

/// What is stored of what somebody does who is just coming in.
pub async fn acting(desk: &Desk, ctx: &Ctx, user: &UserName) -> Order {
    sessions::of_owner(desk, ctx, &PrincipalName::from(user)).await
}

/// Says in the log why a login came to nothing; outside, less.
fn told(provider: &IdentityProviderName, stop: Stop) -> Status {
    match stop {
        Stop::Login(fault) => {
            warn!(%provider, reason = fault.reason(), %fault, "login refused");
            refuse(fault)
        }
        Stop::Ours(status) => status,
    }
}
