use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_access::{Access, AuthenticationFault};
use cairn_kernel::Principal;
use cairn_service::Refusal;
use http::{HeaderMap, header};

/// Turns the credential of a request into a principal, and a principal into what the services behind believe.
pub struct Authenticator {
    access: Arc<Access>,
}

/// A known caller, and the proof of it for the services behind.
#[derive(Clone, Debug)]
pub struct Known {
    pub principal: Principal,
    pub token: String,
}

impl Authenticator {
    pub fn new(access: Arc<Access>) -> Self {
        Self { access }
    }

    /// Who calls; nobody in particular when no credential came, unless authentication is switched off. A credential
    /// that is not accepted is refused even where none is needed: whoever sends one wants to know.
    ///
    /// Nothing is remembered here, so that a revocation works as soon as the replica has heard of it.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Option<Known>, Refusal> {
        let principal = match (self.access.everybody(), credential(headers)?) {
            (Some(everybody), _) => everybody,
            (None, Some(credential)) => self.access.authenticate(&credential)?,
            (None, None) => return Ok(None),
        };
        let token = self.access.sign(&principal)?;
        Ok(Some(Known { principal, token }))
    }
}

const CREDENTIAL_LEN_MAX: usize = 8 << 10;

/// The one credential of a request. Two different ones are refused: which of them counts would be a guess.
fn credential(headers: &HeaderMap) -> Result<Option<String>, AuthenticationFault> {
    let mut found: Option<String> = None;
    let authorizations = headers.get_all(header::AUTHORIZATION).iter().map(|value| {
        let value = value.to_str().map_err(|_| AuthenticationFault::Invalid)?;
        authorization(value).ok_or(AuthenticationFault::Invalid)
    });
    let keys = headers
        .get_all("x-api-key")
        .iter()
        .map(|value| value.to_str().map(str::to_owned).map_err(|_| AuthenticationFault::Invalid));
    for credential in authorizations.chain(keys) {
        let credential = credential?;
        if credential.is_empty()
            || credential.len() > CREDENTIAL_LEN_MAX
            || found.as_ref().is_some_and(|other| *other != credential)
        {
            return Err(AuthenticationFault::Invalid);
        }
        found = Some(credential);
    }
    Ok(found)
}

/// `Bearer <credential>`, or `Basic` with it as the password — or as the user name, for tools that know no other place.
fn authorization(value: &str) -> Option<String> {
    let (scheme, rest) = value.trim().split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(if password.is_empty() { user } else { password }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pairs: &[(&'static str, &str)]) -> Result<Option<String>, AuthenticationFault> {
        let headers =
            pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        credential(&headers)
    }

    #[test]
    fn a_credential_is_found_wherever_clients_put_it() {
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(found(&[]), Ok(None));
        for value in ["Bearer k", "bearer  k ", &basic("k:"), &basic("me:k"), &basic("me:k").replace("Basic", "BASIC")]
        {
            assert_eq!(found(&[("authorization", value)]), Ok(Some("k".into())), "{value}");
        }
        assert_eq!(found(&[("x-api-key", "k")]), Ok(Some("k".into())));
        assert_eq!(found(&[("x-api-key", "k"), ("authorization", "Bearer k")]), Ok(Some("k".into())));
        assert_eq!(found(&[("authorization", &basic("me:a:b"))]), Ok(Some("a:b".into())));
    }

    #[test]
    fn what_is_no_credential_or_two_is_invalid() {
        let long = format!("Bearer {}", "k".repeat(CREDENTIAL_LEN_MAX + 1));
        for headers in [
            vec![("authorization", "k")],
            vec![("authorization", "Digest k")],
            vec![("authorization", "Basic %%")],
            vec![("authorization", "Basic bm9jb2xvbg==")],
            vec![("authorization", "Bearer ")],
            vec![("x-api-key", "")],
            vec![("authorization", long.as_str())],
            vec![("authorization", "Bearer a"), ("x-api-key", "b")],
            vec![("x-api-key", "a"), ("x-api-key", "b")],
        ] {
            assert_eq!(found(&headers), Err(AuthenticationFault::Invalid), "{headers:?}");
        }
    }
}
