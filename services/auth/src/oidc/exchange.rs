//! A code for an ID token, and what the provider says beside it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::Secret;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::directory::{Directory, Metadata};
use super::fault::LoginFault;
use crate::model::IdentityProviderName;
use crate::model::identity_provider::{ClientAuthentication, Settings};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 512 << 10;

/// What a code was exchanged for.
#[derive(Deserialize)]
pub struct Exchanged {
    pub id_token: Option<String>,
    pub access_token: Option<String>,
}

/// What is exchanged.
pub struct Code<'a> {
    pub code: &'a str,
    pub redirect_uri: &'a str,
    pub verifier: &'a str,
}

/// Exchanges a code. What the provider answers when it refuses is cut to what fits a log.
pub async fn exchange(
    directory: &Directory,
    provider: (&IdentityProviderName, &Settings),
    metadata: &Metadata,
    secret: Option<&Secret>,
    code: &Code<'_>,
) -> Result<Exchanged, LoginFault> {
    let (name, settings) = provider;
    let unavailable = |fault: String| LoginFault::Unavailable(name.clone(), fault);
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code.code),
        ("redirect_uri", code.redirect_uri),
        ("code_verifier", code.verifier),
    ];
    let mut headers = vec![("accept", "application/json".to_owned())];
    let secret = secret.map(Secret::expose).unwrap_or_default();
    match settings.client_authentication {
        ClientAuthentication::SecretBasic => headers.push(("authorization", basic(&settings.client_id, secret))),
        ClientAuthentication::SecretPost => {
            form.extend([("client_id", settings.client_id.as_str()), ("client_secret", secret)]);
        }
        ClientAuthentication::Nothing => form.push(("client_id", &settings.client_id)),
    }
    let address = directory.address(&metadata.token_endpoint).map_err(unavailable)?;
    let (outbound, timeout) = directory.outbound();
    let answer = outbound.post_form(&address, &headers, &form, ANSWER_BYTES_MAX, timeout).await;
    let answer = answer.map_err(|fault| unavailable(fault.to_string()))?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|fault| unavailable(fault.to_string())),
        400..=499 => Err(LoginFault::Code(error(&answer.body))),
        status => Err(unavailable(format!("its token endpoint answered {status}"))),
    }
}

/// What the provider says of the person, when it says more than in the ID token. Nothing if it does not say it in JSON.
pub async fn user_info(
    directory: &Directory,
    endpoint: &str,
    access_token: &str,
    subject: &str,
) -> Result<Map<String, Value>, LoginFault> {
    let Ok(address) = directory.address(endpoint) else { return Ok(Map::new()) };
    let headers = [("accept", "application/json".to_owned()), ("authorization", format!("Bearer {access_token}"))];
    let (outbound, timeout) = directory.outbound();
    let Ok(answer) = outbound.get(&address, &headers, ANSWER_BYTES_MAX, timeout).await else { return Ok(Map::new()) };
    let Ok(said) = serde_json::from_slice::<Map<String, Value>>(&answer.body) else { return Ok(Map::new()) };
    if answer.status != 200 {
        return Ok(Map::new());
    }
    // Section 5.3.2: without this, one person's token could bring another person's groups.
    match said.get("sub").and_then(Value::as_str) {
        Some(said_subject) if said_subject == subject => Ok(said),
        _ => Err(LoginFault::OtherSubject),
    }
}

/// RFC 6749, section 2.3.1: each part is encoded as in a form before they are joined.
fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
}

/// The `error` of an answer, without what could confuse a reader of the log.
fn error(body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    plain(said["error"].as_str().unwrap_or("nothing that is understood"))
}

/// Words of others, fit for a log.
pub fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}
