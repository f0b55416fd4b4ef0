use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// The address under which people and applications reach this deployment. It is the issuer of ID tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    url: String,
}

impl Public {
    /// At an origin, e.g. `https://cairn.example.org`.
    pub fn at(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    /// The address itself, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A path below it.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Whether a page that says it is from this origin is one of ours.
    pub fn is_origin(&self, origin: &str) -> bool {
        origin == self.url
    }

    /// A cookie's name. Over https it is one that no neighbour and no plain connection can set.
    pub fn cookie_name(&self, name: &str) -> String {
        if self.is_secure() { format!("__Host-{name}") } else { name.to_owned() }
    }

    /// A cookie for the whole address and no script, for so many seconds.
    pub fn cookie(&self, name: &str, value: &str, seconds: u64) -> String {
        let secure = if self.is_secure() { "; Secure" } else { "" };
        format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", self.cookie_name(name))
    }

    fn is_secure(&self) -> bool {
        self.url.starts_with("https://")
    }
}

/// Words nobody can guess: 43 characters of base64url.
pub fn fresh_secret() -> String {
    let halves = [Uuid::new_v4(), Uuid::new_v4()];
    // The fixed bits of a UUID are hashed away.
    let bytes = halves.map(Uuid::into_bytes).concat();
    sha256(&bytes)
}

/// SHA-256, as base64url.
pub fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_over_https_is_one_that_only_the_host_itself_can_set() {
        let cookie = Public::at("https://cairn.example.org/").cookie("cairn", "v", 60);
        assert_eq!(cookie, "__Host-cairn=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        let cookie = Public::at("http://127.0.0.1:3001").cookie("cairn", "v", 60);
        assert_eq!(cookie, "cairn=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_challenge_is_that_of_the_standards_example() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(sha256(verifier.as_bytes()), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_ne!(fresh_secret(), fresh_secret());
    }
}
