use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_access::{Access, AuthenticationFault};
use cairn_contract::cairn::options::v1::Dialect;
use cairn_kernel::{Code, Principal};
use cairn_service::Refusal;
use http::{HeaderMap, header};

/// Turns the credential of a request into a principal, and a principal into what the services behind believe.
pub struct Authenticator {
    pub(crate) access: Arc<Access>,
    origin: Origin,
}

/// Where pages of ours come from, and the cookie that they hold a session by.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// E.g. `https://cairn.example.org`. Empty: no page is one of ours, and no cookie counts.
    pub url: String,
    /// The name of the cookie.
    pub cookie: String,
}

/// The header that a page of another site cannot send.
const OWN_PAGE: &str = "x-cairn-csrf";

/// A known caller, and the proof of it for the services behind.
#[derive(Clone, Debug)]
pub struct Known {
    pub principal: Principal,
    pub token: String,
}

impl Authenticator {
    pub fn new(access: Arc<Access>, origin: Origin) -> Self {
        Self { access, origin }
    }

    /// Who calls; nobody in particular when no credential came, unless authentication is switched off. A credential
    /// that is not accepted is refused even where none is needed: whoever sends one wants to know.
    ///
    /// A cookie counts where no other credential came; and of what changes something only when it comes from a page of
    /// ours, because a browser sends it whoever asks. One that does not hold is nobody's: it may be an old one.
    ///
    /// Nothing is remembered here, so that a revocation works as soon as the replica has heard of it.
    pub fn identify(&self, headers: &HeaderMap, dialect: Dialect, is_read: bool) -> Result<Option<Known>, Refusal> {
        let principal = match (self.access.everybody(), credential(headers, dialect)?) {
            (Some(everybody), _) => everybody,
            (None, Some(credential)) => self.access.authenticate(&credential)?,
            (None, None) => match self.of_cookie(headers) {
                Some(principal) if is_read || self.is_own_page(headers) => principal,
                Some(_) => return Err(cross_site()),
                None => return Ok(None),
            },
        };
        let token = self.access.sign(&principal)?;
        Ok(Some(Known { principal, token }))
    }

    fn of_cookie(&self, headers: &HeaderMap) -> Option<Principal> {
        if self.origin.url.is_empty() {
            return None;
        }
        self.access.authenticate_cookie(&cookie(headers, &self.origin.cookie)?).ok()
    }

    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        text("origin") == Some(&self.origin.url) && text(OWN_PAGE) == Some("1")
    }
}

fn cross_site() -> Refusal {
    let problem = "a browser's cookie changes nothing unless a page of this deployment asks for it";
    Refusal::new(Code::PermissionDenied, "CROSS_SITE_REFUSED", problem)
}

/// The value of a cookie. Of two with one name none counts: one of them was planted.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

const CREDENTIAL_LEN_MAX: usize = 8 << 10;

/// The one credential of a request. Two different ones are refused: which of them counts would be a guess.
fn credential(headers: &HeaderMap, dialect: Dialect) -> Result<Option<String>, AuthenticationFault> {
    let mut found: Option<String> = None;
    let authorizations = headers.get_all(header::AUTHORIZATION).iter().map(|value| {
        let value = value.to_str().map_err(|_| AuthenticationFault::Invalid)?;
        authorization(value).ok_or(AuthenticationFault::Invalid)
    });
    let theirs = (dialect == Dialect::Vault).then(|| headers.get_all("x-vault-token").iter());
    let keys = headers
        .get_all("x-api-key")
        .iter()
        .chain(theirs.into_iter().flatten())
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
        credential(&headers, Dialect::Cairn)
    }

    #[test]
    fn a_token_for_vault_counts_where_vault_is_spoken() {
        let headers: HeaderMap =
            [(http::HeaderName::from_static("x-vault-token"), "k".parse().unwrap())].into_iter().collect();
        assert_eq!(credential(&headers, Dialect::Vault), Ok(Some("k".into())));
        assert_eq!(credential(&headers, Dialect::Cairn), Ok(None));
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
    fn a_cookie_that_is_there_twice_is_none() {
        let headers =
            |lines: &[&str]| lines.iter().map(|line| (header::COOKIE, line.parse().unwrap())).collect::<HeaderMap>();
        assert_eq!(cookie(&headers(&["a=1; cairn=x"]), "cairn"), Some("x".into()));
        assert_eq!(cookie(&headers(&["a=1", "cairn=x"]), "cairn"), Some("x".into()), "HTTP/2 may split them");
        assert_eq!(cookie(&headers(&["cairn=x; cairn=y"]), "cairn"), None);
        assert_eq!(cookie(&headers(&["__Host-cairn=x"]), "cairn"), None);
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
