use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cairn_kernel::Secret;
use cairn_outbound::{Address, Allowed, Outbound};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::{Keeper, Kept, Wrapped};
use crate::{DataKey, KeeperFault};

/// The transit engine of a HashiCorp Vault: keys are wrapped and unwrapped over there.
///
/// Takes a key of type `aes256-gcm96`, whose versions Vault counts. Vault's own `rewrap` does not take what a key is bound
/// to, so a key is unwrapped and wrapped again.
pub struct Transit {
    outbound: Outbound,
    encrypt: Address,
    decrypt: Address,
    rotate: Address,
    place: String,
    token: Secret,
    deadline: Duration,
}

/// Where the engine is, and how to be let in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Without a path: `https://vault.example.org:8200`.
    pub address: String,
    /// Where the engine is mounted.
    pub mount: String,
    /// The name of the key.
    pub key: String,
    pub token: Secret,
    /// Networks and hosts that may be reached although they are private.
    pub reachable: Vec<String>,
    pub deadline: Duration,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    ciphertext: String,
    #[serde(default)]
    plaintext: String,
}

impl Drop for Data {
    fn drop(&mut self) {
        self.plaintext.zeroize();
    }
}

impl Transit {
    /// Nothing is sent yet.
    pub fn new(settings: Settings) -> Result<Self, KeeperFault> {
        let Settings { address, mount, key, token, reachable, deadline } = settings;
        let reachable = Allowed::parse(reachable.iter().map(String::as_str));
        let reachable = reachable.map_err(|fault| KeeperFault::Reachable(fault.to_string()))?;
        let outbound = Outbound::new(reachable, "cairn")?;
        let base = format!("{}/v1/{}", address.trim_end_matches('/'), mount.trim_matches('/'));
        Ok(Self {
            encrypt: outbound.address(&format!("{base}/encrypt/{key}"))?,
            decrypt: outbound.address(&format!("{base}/decrypt/{key}"))?,
            rotate: outbound.address(&format!("{base}/keys/{key}/rotate"))?,
            outbound,
            place: format!("{base}/keys/{key}"),
            token,
            deadline,
        })
    }

    async fn post(&self, to: &Address, body: &Value) -> Result<Bytes, KeeperFault> {
        let headers = [("x-vault-token", self.token.expose().to_owned())];
        let answer = self.outbound.post(to, &headers, body.to_string().into(), self.deadline).await?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        // Vault tells what is wrong, and no secrets; still no more than its own list of errors is passed on.
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<String>,
        }
        let errors = serde_json::from_slice::<Errors>(&answer.body).map(|told| told.errors).unwrap_or_default();
        let message: String = errors.join("; ").chars().filter(|c| !c.is_control()).take(300).collect();
        Err(KeeperFault::Refused { status: answer.status, message })
    }
}

#[async_trait]
impl Keeper for Transit {
    async fn wrap(&self, key: &DataKey, context: &[u8]) -> Result<Wrapped, KeeperFault> {
        let plaintext = Zeroizing::new(STANDARD.encode(key.expose()));
        let body = json!({"plaintext": *plaintext, "associated_data": STANDARD.encode(context)});
        let answer: Answer = read(&self.post(&self.encrypt, &body).await?)?;
        let text = &answer.data.ciphertext;
        Ok(Wrapped { by: version(text).ok_or(KeeperFault::Unreadable)?.to_owned(), bytes: text.clone().into_bytes() })
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<DataKey, KeeperFault> {
        let text = std::str::from_utf8(&wrapped.bytes).map_err(|_| KeeperFault::Foreign)?;
        if version(text).is_none() {
            return Err(KeeperFault::Unknown { ids: wrapped.by.clone() });
        }
        let body = json!({"ciphertext": text, "associated_data": STANDARD.encode(context)});
        let answer = match self.post(&self.decrypt, &body).await {
            // What Vault cannot authenticate it calls a bad request.
            Err(KeeperFault::Refused { status: 400, .. }) => return Err(KeeperFault::Foreign),
            answer => answer?,
        };
        let answer: Answer = read(&answer)?;
        let bytes = Zeroizing::new(STANDARD.decode(&answer.data.plaintext).unwrap_or_default());
        DataKey::from_bytes(&bytes).ok_or(KeeperFault::Unreadable)
    }

    async fn describe(&self) -> Result<Kept, KeeperFault> {
        // Which version is the newest is told by what it wraps; reading the key takes a right that wrapping does not.
        let newest = self.wrap(&DataKey::fresh(), b"which version").await?.by;
        Ok(Kept { kind: "vault", place: self.place.clone(), newest, known: None })
    }

    async fn rotate(&self) -> Result<String, KeeperFault> {
        self.post(&self.rotate, &json!({})).await?;
        Ok(self.describe().await?.newest)
    }
}

fn read(bytes: &[u8]) -> Result<Answer, KeeperFault> {
    serde_json::from_slice(bytes).map_err(|_| KeeperFault::Unreadable)
}

/// `vault:v3` of `vault:v3:…`.
fn version(ciphertext: &str) -> Option<&str> {
    let (version, _) = ciphertext.rsplit_once(':')?;
    let number = version.strip_prefix("vault:v")?;
    number.parse::<u32>().ok().map(|_| version)
}
