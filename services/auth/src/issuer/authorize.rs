//! Sends people where they are to go: back to an application with a code, or to their provider first.

use cairn_contract::cairn::auth::v1::AuthorizeRequest;
use cairn_kernel::{Name, Principal};
use cairn_service::{Page, refuse};
use tonic::Status;

use super::client::{Client, find};
use super::code::{CODE_LIFE, Code};
use super::fault::OauthFault;
use super::page;
use super::reply::{Answer, Sent};
use super::scope::Scope;
use super::{LOGIN_COOKIE, SESSION_COOKIE};
use crate::desk::{Desk, stream};
use crate::model::session::Grounds;
use crate::model::{IdentityProviderName, PrincipalName, Session, SessionName};
use crate::oidc::{self, Begun};
use crate::public::fresh_secret;

/// Longest challenge, nonce or state.
const TEXT_BYTES_MAX: usize = 2_048;
/// Where a browser goes that was to go nowhere in particular.
const HOME: &str = "/docs";

/// Who is logged in in a browser, and by what.
pub struct Present {
    pub principal: Principal,
    pub session: SessionName,
    pub grounds: Grounds,
}

/// Who is logged in in the browser that sent a request.
pub async fn present(desk: &Desk, sent: &Sent) -> Result<Option<Present>, Status> {
    let Some(cookie) = sent.cookie(&desk.public.cookie_name(SESSION_COOKIE)) else { return Ok(None) };
    let Ok(principal) = desk.access.authenticate_cookie(cookie) else { return Ok(None) };
    let id = principal.credential.clone().unwrap_or_default();
    let session = SessionName::of(&PrincipalName::stored(principal.name.as_str()), &id);
    let loaded = desk.commands.load::<Session>(&stream::<Session>(&session)).await.map_err(refuse)?;
    let Some(grounds) = loaded.state.grounds().filter(|_| loaded.state.is_live(desk.now())) else { return Ok(None) };
    Ok(Some(Present { principal, session, grounds: grounds.clone() }))
}

/// Answers an application that asks for a code.
pub async fn authorize(desk: &Desk, sent: &Sent, request: AuthorizeRequest) -> Result<Answer, Status> {
    // As long as it is not certain whom an answer goes to, it goes to the person alone.
    let Some(client) = find(desk, &request.client_id).await? else {
        return Ok(page::message(400, "Unknown application", "No application of this name may ask you to log in."));
    };
    if !client.may_redirect(&request.redirect_uri) {
        let problem = "The application wants you to be sent back to an address that it was not registered with.";
        return Ok(page::message(400, "Wrong address", problem));
    }
    match ask(desk, sent, &client, &request).await? {
        Ok(answer) => Ok(answer),
        Err(fault) => {
            let pairs = [("error", fault.error), ("error_description", fault.description.as_str())];
            Ok(back(desk, &request, &pairs))
        }
    }
}

async fn ask(
    desk: &Desk,
    sent: &Sent,
    client: &Client,
    request: &AuthorizeRequest,
) -> Result<Result<Answer, OauthFault>, Status> {
    let scope = match check(request) {
        Ok(scope) => scope,
        Err(fault) => return Ok(Err(fault)),
    };
    let is_silent = request.prompt == "none";
    let present = present(desk, sent).await?.filter(|_| !matches!(request.prompt.as_str(), "login" | "select_account"));
    let Some(present) = present else {
        if is_silent {
            return Ok(Err(OauthFault::new("login_required", "nobody is logged in")));
        }
        // Asked for once: who comes back has logged in.
        let again = again(&AuthorizeRequest { prompt: String::new(), ..request.clone() });
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", &again).finish();
        return Ok(Ok(Answer::redirect(format!("/oauth2/login?{query}"))));
    };
    let (expires, _) = desk.now().after(CODE_LIFE).seconds_and_nanos();
    let code = Code {
        id: fresh_secret(),
        owner: present.principal.name,
        client: client.id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.code_challenge.clone(),
        nonce: request.nonce.clone(),
        scope: scope.text(),
        auth_time_micros: present.grounds.auth_time.micros(),
        identity_provider: present.grounds.identity_provider,
        provider_session: present.grounds.provider_session,
        session: present.session.id().to_owned(),
        expires,
    };
    Ok(Ok(back(desk, request, &[("code", &code.seal(desk))])))
}

fn check(request: &AuthorizeRequest) -> Result<Scope, OauthFault> {
    if !request.request.is_empty() || !request.request_uri.is_empty() {
        return Err(OauthFault::new("request_not_supported", "requests are taken from the query only"));
    }
    if request.response_type != "code" {
        return Err(OauthFault::new("unsupported_response_type", "response_type must be code"));
    }
    if !matches!(request.response_mode.as_str(), "" | "query") {
        return Err(OauthFault::invalid("response_mode must be query"));
    }
    let texts = [&request.state, &request.nonce, &request.code_challenge];
    if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(OauthFault::invalid("state, nonce or code_challenge is too long"));
    }
    // `plain` would hand the secret to whoever sees the address.
    if request.code_challenge_method != "S256" || request.code_challenge.len() != 43 {
        return Err(OauthFault::invalid("a code_challenge by S256 is required (RFC 7636)"));
    }
    Scope::read(&request.scope)
}

/// Back to the application, with its state and whom the answer is from (RFC 9207).
fn back(desk: &Desk, request: &AuthorizeRequest, pairs: &[(&str, &str)]) -> Answer {
    let Ok(mut location) = url::Url::parse(&request.redirect_uri) else {
        return page::message(400, "Wrong address", "The address of the application does not read.");
    };
    {
        let mut query = location.query_pairs_mut();
        for (name, value) in pairs {
            query.append_pair(name, value);
        }
        if !request.state.is_empty() {
            query.append_pair("state", &request.state);
        }
        query.append_pair("iss", desk.public.url());
    }
    Answer::redirect(location)
}

/// The path that asks for the same again.
fn again(request: &AuthorizeRequest) -> String {
    let pairs = [
        ("response_type", &request.response_type),
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("scope", &request.scope),
        ("state", &request.state),
        ("nonce", &request.nonce),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", &request.code_challenge_method),
        ("prompt", &request.prompt),
    ];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
    format!("/oauth2/authorize?{}", query.finish())
}

/// Sends somebody to the provider that they chose; to the only one there is; or lets them choose.
pub async fn choose(desk: &Desk, provider: &str, return_to: &str) -> Result<Answer, Status> {
    let return_to = if return_to.is_empty() { HOME } else { return_to };
    if !page::own_path(return_to) {
        return Ok(page::message(
            400,
            "Wrong address",
            "After logging in, you would be sent to another place than this.",
        ));
    }
    if !provider.is_empty() {
        let name = IdentityProviderName::of(provider);
        if name.as_str().parse::<IdentityProviderName>().is_err() {
            return Ok(page::message(400, "Unknown provider", "There is no identity provider of this name."));
        }
        let Begun { location, cookie } = oidc::begin(desk, &name, return_to.to_owned()).await?;
        let cookie = desk.public.cookie(LOGIN_COOKIE, &cookie, oidc::LOGIN_LIFE.as_secs());
        return Ok(Answer::redirect(location).with_cookie(cookie));
    }
    let page_of_all = Page::read("providers to log in by", &[], 1_000, "")?;
    let all = desk.logins.providers(&[Name::ROOT], &page_of_all).await.map_err(refuse)?;
    let open: Vec<_> = all.into_iter().filter(|provider| !provider.disabled).collect();
    let address = |name: &str| {
        let id = name.rsplit('/').next().unwrap_or_default();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("identity_provider", id).append_pair("return_to", return_to);
        format!("/oauth2/login?{}", query.finish())
    };
    Ok(match open.as_slice() {
        [] => {
            let problem = "No identity provider is set up here. Use an API key, or ask whoever runs this deployment.";
            page::message(404, "No identity provider", problem)
        }
        [only] => Answer::redirect(address(&only.name)),
        several => {
            let links = several.iter().map(|one| {
                let title = if one.title.is_empty() { &one.name } else { &one.title };
                (address(&one.name), title.clone())
            });
            page::choice(&links.collect::<Vec<_>>())
        }
    })
}
