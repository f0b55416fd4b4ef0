//! What a token is, to those who may know; and its end.

use cairn_access::ApiKey;
use cairn_kernel::{Name, Time};
use cairn_service::{Ctx, refuse};
use serde_json::{Value, json};
use tonic::Status;

use super::client::identify;
use super::fault::OauthFault;
use super::form::Form;
use super::refresh::session_of;
use super::reply::{Answer, Sent};
use crate::desk::{Desk, stream};
use crate::model::session::Cause;
use crate::model::{PrincipalName, Session, SessionName};
use crate::sessions;

/// What it takes to be told of everybody's tokens.
const INTROSPECT: &str = "auth.tokens.introspect";

/// A token that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    pub owner: String,
    pub scopes: Vec<String>,
    pub client: String,
    pub token_type: &'static str,
    /// In seconds. 0: not by itself.
    pub expires: i64,
    /// In seconds. 0: not known.
    pub issued: i64,
    /// Empty: none.
    pub session: String,
}

/// What a token is; nothing if it does not hold.
pub async fn inspect(desk: &Desk, token: &str) -> Result<Option<Inspected>, Status> {
    if let Some((session, generation)) = session_of(desk, token) {
        let loaded = desk.commands.load::<Session>(&stream::<Session>(&session)).await.map_err(refuse)?;
        let state = &loaded.state;
        let Some(grounds) = state.grounds().filter(|_| state.is_live(desk.now()) && state.generation() == generation)
        else {
            return Ok(None);
        };
        if desk.access.check_credential(session.id(), grounds.owner.as_str()).is_err() {
            return Ok(None);
        }
        return Ok(Some(Inspected {
            owner: grounds.owner.to_string(),
            scopes: grounds.scopes.iter().map(ToString::to_string).collect(),
            client: grounds.client.clone(),
            token_type: "refresh_token",
            expires: grounds.expire_time.seconds_and_nanos().0,
            issued: 0,
            session: session.to_string(),
        }));
    }
    let Ok(principal) = desk.access.authenticate(token) else { return Ok(None) };
    let credential = principal.credential.clone().unwrap_or_default();
    let Some((issued, expires)) = desk.access.life_of(token) else {
        let world = desk.access.world();
        let end =
            world.key(&credential).and_then(|key| key.expire_time).map_or(0, |end: Time| end.seconds_and_nanos().0);
        let (owner, scopes) = (principal.name, principal.scopes);
        return Ok(Some(Inspected { owner, scopes, token_type: "api_key", expires: end, ..Inspected::default() }));
    };
    let mut inspected = Inspected {
        owner: principal.name,
        scopes: principal.scopes,
        token_type: "access_token",
        expires,
        issued,
        ..Inspected::default()
    };
    if desk.access.world().credential(&credential).is_some() {
        let session = SessionName::of(&PrincipalName::stored(inspected.owner.as_str()), &credential);
        let loaded = desk.commands.load::<Session>(&stream::<Session>(&session)).await.map_err(refuse)?;
        inspected.client = loaded.state.grounds().map(|grounds| grounds.client.clone()).unwrap_or_default();
        inspected.session = session.to_string();
    }
    Ok(Some(inspected))
}

/// Answers a client that asks what a token is. Of others' tokens it learns only what it has a right to.
pub async fn introspect(desk: &Desk, sent: &Sent, form: &Form) -> Result<Answer, Status> {
    let asking = match identify(desk, sent, form).await? {
        Ok(asking) => asking,
        Err(fault) => return Ok(fault.into()),
    };
    let Some(principal) = asking.principal else { return Ok(OauthFault::client().into()) };
    let token = match form.need("token") {
        Ok(token) => token,
        Err(fault) => return Ok(fault.into()),
    };
    let reach = cairn_access::Reach::Exact;
    let may_know_all = desk.access.decide(&principal, INTROSPECT, &Name::ROOT, reach).is_allowed();
    let inspected = inspect(desk, token).await?;
    let inspected = inspected.filter(|found| {
        may_know_all || found.owner == principal.name || (!found.client.is_empty() && found.client == asking.client.id)
    });
    Ok(Answer::json(&inspected.map_or_else(|| json!({"active": false}), |found| told(desk, &found))))
}

fn told(desk: &Desk, found: &Inspected) -> Value {
    let mut told = json!({
        "active": true,
        "iss": desk.public.url(),
        "sub": found.owner,
        "scope": found.scopes.join(" "),
        "token_type": found.token_type,
    });
    for (field, value) in [("client_id", &found.client), ("sid", &found.session)] {
        if !value.is_empty() {
            told[field] = json!(value);
        }
    }
    for (field, value) in [("exp", found.expires), ("iat", found.issued)] {
        if value > 0 {
            told[field] = json!(value);
        }
    }
    told
}

/// Ends the session of a token, if it has one. Who has the token may end it.
pub async fn revoke(desk: &Desk, ctx: &Ctx, token: &str) -> Result<(), Status> {
    let session = match session_of(desk, token) {
        Some((session, _)) => Some(session),
        None if token.parse::<ApiKey>().is_ok() => None,
        None => desk.access.authenticate(token).ok().and_then(|principal| {
            let credential = principal.credential?;
            desk.access.world().credential(&credential)?;
            Some(SessionName::of(&PrincipalName::stored(principal.name), &credential))
        }),
    };
    if let Some(session) = session {
        sessions::end(desk, ctx, &session, Cause::Logout).await?;
    }
    Ok(())
}

/// Says to an application who logged in.
pub async fn user_info(desk: &Desk, sent: &Sent) -> Result<Answer, Status> {
    let token = sent.authorization.as_deref().and_then(|value| value.trim().split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let principal = desk.access.authenticate(token.unwrap_or_default()).map_err(refuse)?;
    let person = desk.people.find(&principal.name).await.map_err(refuse)?;
    let mut told = json!({"sub": principal.name});
    for (claim, value) in [("name", person.display_name), ("email", person.email)] {
        if !value.is_empty() {
            told[claim] = json!(value);
        }
    }
    Ok(Answer::json(&told))
}
