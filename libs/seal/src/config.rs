use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::{Secret, settings};
use serde::{Deserialize, Serialize};

use crate::keeper::{Environment, Keeper, KeyFile, Transit, TransitSettings};
use crate::{SealFault, Sealer};

/// Who keeps the key-encryption keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeeperKind {
    /// A file.
    File,
    /// Whoever starts the process.
    Environment,
    /// The transit engine of a HashiCorp Vault.
    Vault,
}

settings! {
    /// Who keeps the key that wraps the keys of secrets, and of whatever else is sealed.
    pub struct Config: "sealing" checked by problems {
        /// `file`: a file, made at the first start. `environment`: `keys` below. `vault`: the transit engine of a HashiCorp
        /// Vault.
        keeper: KeeperKind = KeeperKind::File;
        /// The file of keys, for `file`. Absent: `sealing-keys.json` in the data folder. Whoever loses it loses every
        /// secret; whoever has it and the data folder can read them.
        key_file: Option<PathBuf> = None;
        /// For `environment`: keys, each the base64 of 32 random bytes, the newest first, separated by commas.
        keys: Option<Secret> = None, env "CAIRN_SEALING_KEYS";
        /// For `vault`: its address, without a path.
        vault_address: Option<String> = None;
        /// For `vault`: where the transit engine is mounted.
        vault_mount: String = "transit".to_owned();
        /// For `vault`: the name of a key of type `aes256-gcm96`.
        vault_key: String = "cairn".to_owned();
        /// For `vault`: a token that may `update` `encrypt/<key>` and `decrypt/<key>`, and `keys/<key>/rotate` to rotate it
        /// from here.
        vault_token: Option<Secret> = None;
        /// For `vault`: private networks, addresses and hosts that it may be reached at.
        vault_reachable: Vec<String> = vec![];
        /// For `vault`: how long it may take to answer, in milliseconds.
        vault_timeout_ms: u64 = 5_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    match config.keeper {
        KeeperKind::File => {}
        KeeperKind::Environment => match &config.keys {
            None => problems.push("keys must be given when the keeper is environment".to_owned()),
            Some(keys) => problems.extend(Environment::read(keys).err().map(|fault| {
                let text = fault.to_string();
                text.strip_prefix("sealing.").unwrap_or(&text).to_owned()
            })),
        },
        KeeperKind::Vault => {
            if config.vault_address.is_none() {
                problems.push("vault_address must be given when the keeper is vault".to_owned());
            }
            if config.vault_token.is_none() {
                problems.push("vault_token must be given when the keeper is vault".to_owned());
            }
        }
    }
    if !(100..=60_000).contains(&config.vault_timeout_ms) {
        problems.push("vault_timeout_ms must be 100 to 60000".to_owned());
    }
    problems
}

impl Config {
    /// Starts sealing in a data folder.
    pub async fn start(&self, folder: &Path, deployment: &str) -> Result<Sealer, SealFault> {
        let keeper = |may_be_made: bool| -> Result<Arc<dyn Keeper>, _> {
            Ok(match self.keeper {
                KeeperKind::File => {
                    let path = self.key_file.clone().unwrap_or_else(|| folder.join("sealing-keys.json"));
                    Arc::new(KeyFile::open(&path, may_be_made)?)
                }
                KeeperKind::Environment => {
                    Arc::new(Environment::read(self.keys.as_ref().unwrap_or(&Secret::default()))?)
                }
                KeeperKind::Vault => Arc::new(Transit::new(TransitSettings {
                    address: self.vault_address.clone().unwrap_or_default(),
                    mount: self.vault_mount.clone(),
                    key: self.vault_key.clone(),
                    token: self.vault_token.clone().unwrap_or_default(),
                    reachable: self.vault_reachable.clone(),
                    deadline: Duration::from_millis(self.vault_timeout_ms),
                })?),
            })
        };
        Sealer::start(&folder.join("sealing.sqlite"), deployment, keeper).await
    }
}
