use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_access::ApiKey;
use cairn_kernel::Principal;
use cairn_service::refuse;
use tonic::Status;

use super::CLI;
use super::fault::OauthFault;
use super::form::Form;
use super::reply::Sent;
use crate::desk::{Desk, stream};
use crate::model::{OauthClient, OauthClientName};

/// A client that is known here.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    redirect_uris: Vec<String>,
    /// Whose keys are its secret. Empty: it keeps none.
    pub service_account: String,
}

/// A client that asks for something itself.
pub struct Asking {
    pub client: Client,
    /// As whom it showed itself. `None`: it keeps no secret.
    pub principal: Option<Principal>,
}

/// What a client calls itself, and its secret.
struct Shown {
    id: String,
    secret: Option<String>,
}

impl Client {
    /// Whether people may be sent back there. Exactly what was registered; for the command line, any port of this very
    /// machine (RFC 8252, section 7.3).
    pub fn may_redirect(&self, uri: &str) -> bool {
        if self.id == CLI {
            let port = ["http://127.0.0.1:", "http://[::1]:"].iter().find_map(|start| uri.strip_prefix(start));
            let port = port.and_then(|rest| rest.strip_suffix("/callback"));
            return port.is_some_and(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port));
        }
        self.redirect_uris.iter().any(|known| known == uri)
    }
}

/// A client by its id.
pub async fn find(desk: &Desk, id: &str) -> Result<Option<Client>, Status> {
    if id == CLI {
        return Ok(Some(Client { id: id.into(), redirect_uris: vec![], service_account: String::new() }));
    }
    let name = OauthClientName::of(id);
    if name.as_str().parse::<OauthClientName>().is_err() {
        return Ok(None);
    }
    let loaded = desk.commands.load::<OauthClient>(&stream::<OauthClient>(&name)).await.map_err(refuse)?;
    Ok(loaded.state.terms().map(|terms| Client {
        id: id.to_owned(),
        redirect_uris: terms.redirect_uris.clone(),
        service_account: terms.service_account.clone(),
    }))
}

/// Who asks: a client that keeps a secret must show it, and one that keeps none must not have any.
pub async fn identify(desk: &Desk, sent: &Sent, form: &Form) -> Result<Result<Asking, OauthFault>, Status> {
    let shown = match shown(sent, form) {
        Ok(shown) => shown,
        Err(fault) => return Ok(Err(fault)),
    };
    // A service account needs no client of its own: it is one, by its own id and key.
    let client = match find(desk, &shown.id).await? {
        Some(client) => client,
        None => {
            let account = match shown.id.starts_with("serviceAccounts/") {
                true => shown.id.clone(),
                false => format!("serviceAccounts/{}", shown.id),
            };
            Client { id: shown.id.clone(), redirect_uris: vec![], service_account: account }
        }
    };
    Ok(match (client.service_account.is_empty(), shown.secret) {
        (true, None) => Ok(Asking { client, principal: None }),
        (true, Some(_)) | (false, None) => Err(OauthFault::client()),
        (false, Some(secret)) => match of_key(desk, &secret) {
            Some(principal) if principal.name == client.service_account => {
                Ok(Asking { client, principal: Some(principal) })
            }
            _ => Err(OauthFault::client()),
        },
    })
}

/// Whose API key a secret is. A token is none: it would be a secret that a client gets, not one that it keeps.
fn of_key(desk: &Desk, secret: &str) -> Option<Principal> {
    if secret.parse::<ApiKey>().is_err() && secret.split('.').count() == 3 {
        return None;
    }
    desk.access.authenticate(secret).ok()
}

fn shown(sent: &Sent, form: &Form) -> Result<Shown, OauthFault> {
    let in_form = form.get("client_id");
    let Some(authorization) = &sent.authorization else {
        let id = in_form.ok_or_else(|| OauthFault::invalid("client_id is missing"))?.to_owned();
        return Ok(Shown { id, secret: form.get("client_secret").map(str::to_owned) });
    };
    let (id, secret) = basic(authorization).ok_or_else(OauthFault::client)?;
    // RFC 6749, section 2.3: one way of showing oneself in each request.
    if form.get("client_secret").is_some() || in_form.is_some_and(|other| other != id) {
        return Err(OauthFault::invalid("the client shows itself in two ways"));
    }
    Ok(Shown { id, secret: Some(secret).filter(|secret| !secret.is_empty()) })
}

/// `Basic`, each part encoded as in a form (RFC 6749, section 2.3.1).
fn basic(authorization: &str) -> Option<(String, String)> {
    let (scheme, rest) = authorization.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((decoded(id)?, decoded(secret)?))
}

fn decoded(text: &str) -> Option<String> {
    // One value of a form: `=` and `&` would be read as its structure.
    let quoted = text.replace('=', "%3D").replace('&', "%26");
    let mut pairs = url::form_urlencoded::parse(quoted.as_bytes());
    Some(pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, uris: &[&str]) -> Client {
        let redirect_uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        Client { id: id.into(), redirect_uris, service_account: String::new() }
    }

    #[test]
    fn people_are_sent_back_exactly_where_it_was_said() {
        let app = client("app", &["https://app.example.org/back"]);
        assert!(app.may_redirect("https://app.example.org/back"));
        for uri in [
            "https://app.example.org/back/",
            "https://app.example.org/back?x=1",
            "https://app.example.org/Back",
            "https://app.example.org.evil.example/back",
            "https://app.example.org:443/back",
            "",
        ] {
            assert!(!app.may_redirect(uri), "{uri}");
        }
    }

    #[test]
    fn the_command_line_is_on_the_persons_own_machine() {
        let cli = client(CLI, &[]);
        for uri in ["http://127.0.0.1:54321/callback", "http://[::1]:80/callback"] {
            assert!(cli.may_redirect(uri), "{uri}");
        }
        for uri in [
            "http://localhost:54321/callback",
            "http://127.0.0.1:0x1/callback",
            "http://127.0.0.1:1@evil.example/callback",
            "http://127.0.0.1:99999/callback",
            "http://127.0.0.1:080/callback",
            "http://127.0.0.2:80/callback",
            "https://evil.example/callback",
            "http://127.0.0.1:80/other",
        ] {
            assert!(!cli.may_redirect(uri), "{uri}");
        }
    }

    #[test]
    fn a_clients_name_and_secret_are_read_as_they_were_encoded() {
        let header = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(basic(&header("a:b")), Some(("a".into(), "b".into())));
        assert_eq!(
            basic(&header("serviceAccounts%2Fci:a%3Ab%2B+c")),
            Some(("serviceAccounts/ci".into(), "a:b+ c".into()))
        );
        assert_eq!(basic(&header("a:b=c&d")), Some(("a".into(), "b=c&d".into())));
        assert_eq!(basic("Bearer x"), None);
    }
}
