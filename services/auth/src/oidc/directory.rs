use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_outbound::{Address, Outbound};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::Keys;
use super::verify::TokenFault;

/// How long what a provider says of itself, and its keys, are taken for true.
const KEPT: Duration = Duration::from_secs(3600);
/// Longest description, or set of keys, that is read.
const ANSWER_BYTES_MAX: usize = 512 << 10;

/// What a provider says of itself (OpenID Connect Discovery).
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub userinfo_endpoint: Option<String>,
    pub end_session_endpoint: Option<String>,
    /// The answer to an authorization says whom it is from (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// A provider and its keys.
#[derive(Clone)]
pub struct Known {
    pub metadata: Metadata,
    pub keys: Keys,
    told: Instant,
    keys_told: Instant,
}

/// What is known of providers. Asks them, and remembers what they said for a while.
pub struct Directory {
    outbound: Outbound,
    timeout: Duration,
    /// A token with an unknown key makes the keys be read again; no more often than this.
    keys_again: Duration,
    known: Mutex<HashMap<String, Arc<Known>>>,
}

impl Directory {
    pub fn new(outbound: Outbound, timeout: Duration, keys_again: Duration) -> Self {
        Self { outbound, timeout, keys_again, known: Mutex::default() }
    }

    /// How others are reached.
    pub fn outbound(&self) -> (&Outbound, Duration) {
        (&self.outbound, self.timeout)
    }

    /// A provider by its issuer.
    pub async fn find(&self, issuer: &str) -> Result<Arc<Known>, String> {
        if let Some(known) = self.known.lock().get(issuer).filter(|known| known.told.elapsed() < KEPT) {
            return Ok(Arc::clone(known));
        }
        self.ask(issuer).await
    }

    /// Asks anew, whatever is remembered.
    pub async fn ask(&self, issuer: &str) -> Result<Arc<Known>, String> {
        let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata: Metadata = serde_json::from_slice(&self.read(&at).await?)
            .map_err(|fault| format!("its description does not read: {fault}"))?;
        // Who may say who somebody is must be who says so: otherwise one provider could speak for another.
        if metadata.issuer != issuer {
            return Err(format!("it calls itself {:?}, not {issuer:?}", metadata.issuer));
        }
        for address in [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri] {
            require_secure(address)?;
        }
        let keys = self.keys(&metadata).await?;
        let (told, keys_told) = (Instant::now(), Instant::now());
        let known = Arc::new(Known { metadata, keys, told, keys_told });
        self.known.lock().insert(issuer.to_owned(), Arc::clone(&known));
        Ok(known)
    }

    /// Checks a token with a provider's keys, and once more with its newest ones if it names a key that is not known.
    pub async fn check(
        &self,
        issuer: &str,
        check: impl Fn(&Keys) -> Result<Map<String, Value>, TokenFault>,
    ) -> Result<Result<Map<String, Value>, TokenFault>, String> {
        let known = self.find(issuer).await?;
        let checked = check(&known.keys);
        if checked != Err(TokenFault::UnknownKey) || known.keys_told.elapsed() < self.keys_again {
            return Ok(checked);
        }
        let keys = self.keys(&known.metadata).await?;
        let known = Arc::new(Known { keys, keys_told: Instant::now(), ..Known::clone(&known) });
        self.known.lock().insert(issuer.to_owned(), Arc::clone(&known));
        Ok(check(&known.keys))
    }

    async fn keys(&self, metadata: &Metadata) -> Result<Keys, String> {
        let bytes = self.read(&metadata.jwks_uri).await?;
        Keys::read(&bytes).map_err(|fault| format!("its keys do not read: {fault}"))
    }

    async fn read(&self, at: &str) -> Result<Vec<u8>, String> {
        let address = self.address(at)?;
        let accept = [("accept", "application/json".to_owned())];
        let answer = self.outbound.get(&address, &accept, ANSWER_BYTES_MAX, self.timeout).await;
        let answer = answer.map_err(|fault| fault.to_string())?;
        if answer.status != 200 {
            return Err(format!("{} answered {}", address.origin(), answer.status));
        }
        Ok(answer.body.to_vec())
    }

    /// An address that a provider gave, unless it leads where nothing may be sent to.
    pub fn address(&self, at: &str) -> Result<Address, String> {
        require_secure(at)?;
        self.outbound.address(at).map_err(|fault| fault.to_string())
    }
}

/// Refuses to say anything of a login over a wire that others listen to. On this machine nobody does.
pub fn require_secure(address: &str) -> Result<(), String> {
    let url = url::Url::parse(address).map_err(|fault| format!("{address:?} is no address: {fault}"))?;
    let is_local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local => Ok(()),
        _ => Err(format!("{} is not https", url.origin().ascii_serialization())),
    }
}
