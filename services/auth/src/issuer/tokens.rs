use cairn_kernel::{Name, Principal, PrincipalKind, Time};
use cairn_service::refuse;
use serde_json::json;
use tonic::Status;

use super::refresh;
use crate::desk::Desk;
use crate::model::SessionName;
use crate::model::session::Grounds;

/// What is given out for a session.
#[derive(Debug)]
pub struct Pair {
    pub access_token: String,
    pub refresh_token: String,
    pub expires_in: i32,
    pub session_expire_time: Time,
}

/// An access token and the refresh token of a generation.
pub fn pair(desk: &Desk, session: &SessionName, grounds: &Grounds, generation: u32) -> Pair {
    let principal = principal(&grounds.owner.to_string(), session.id(), &grounds.scopes);
    let left = grounds.expire_time.since(desk.now());
    let life = desk.access.token_life().min(left);
    Pair {
        access_token: desk.access.issue(&principal, &principal.scopes, life),
        refresh_token: refresh::token(desk, session.id(), generation),
        expires_in: i32::try_from(life.as_secs()).expect("ten minutes fit"),
        session_expire_time: grounds.expire_time,
    }
}

fn principal(owner: &str, session: &str, scopes: &[Name]) -> Principal {
    let kind = if owner.starts_with("users/") { PrincipalKind::User } else { PrincipalKind::ServiceAccount };
    let scopes = scopes.iter().map(ToString::to_string).collect();
    Principal { name: owner.to_owned(), kind, credential: Some(session.to_owned()), scopes }
}

/// What an application asked to be told.
pub struct Asked<'a> {
    pub client: &'a str,
    pub nonce: &'a str,
    pub has_profile: bool,
    pub has_email: bool,
}

/// Says to an application who logged in (OpenID Connect Core, section 2).
pub async fn id_token(
    desk: &Desk,
    session: &SessionName,
    grounds: &Grounds,
    asked: &Asked<'_>,
) -> Result<String, Status> {
    let (now, _) = desk.now().seconds_and_nanos();
    let (auth_time, _) = grounds.auth_time.seconds_and_nanos();
    let life = i64::try_from(desk.access.token_life().as_secs()).expect("ten minutes fit");
    let mut claims = json!({
        "iss": desk.public.url(),
        "sub": grounds.owner.as_str(),
        "aud": asked.client,
        "iat": now,
        "exp": now + life,
        "auth_time": auth_time,
        "sid": session.id(),
    });
    if !asked.nonce.is_empty() {
        claims["nonce"] = json!(asked.nonce);
    }
    let person = desk.people.find(grounds.owner.as_str()).await.map_err(refuse)?;
    if asked.has_profile && !person.display_name.is_empty() {
        claims["name"] = json!(person.display_name);
    }
    if asked.has_email && !person.email.is_empty() {
        claims["email"] = json!(person.email);
    }
    Ok(desk.access.issue_id(&claims))
}
