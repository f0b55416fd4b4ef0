use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::Time;
use cairn_tlog::{Kind, SigningKey};
use serde::{Deserialize, Serialize};

use super::secrets::Prepared;

const VERSION: u32 = 2;
/// Had one epoch, and keys that signed for ever.
const VERSION_BEFORE: u32 = 1;

/// What is in the file.
#[derive(Clone)]
pub struct KeyFile {
    pub log: String,
    pub origin: String,
    pub epoch: u32,
    /// The newest last.
    pub keys: Vec<Held>,
    pub next: Option<Next>,
    pub salt_key: [u8; 32],
}

/// A key that signs.
#[derive(Clone)]
pub struct Held {
    seed: [u8; 32],
    pub key: Arc<SigningKey>,
    pub sign_until: Option<Time>,
}

/// A key that will sign once its event is in the log.
#[derive(Clone)]
pub struct Next {
    pub origin: String,
    pub epoch: u32,
    pub held: Held,
}

/// The file, as JSON. Secrets are base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// Names the log, for ever.
    log: String,
    /// Names the epoch.
    origin: String,
    epoch: u32,
    keys: Vec<StoredKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<StoredNext>,
    salt_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    seed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_until: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredNext {
    origin: String,
    epoch: u32,
    seed: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredBefore {
    #[serde(rename = "version")]
    _version: u32,
    origin: String,
    signing_seeds: Vec<String>,
    salt_key: String,
}

impl KeyFile {
    /// Another log's.
    pub fn fresh() -> Self {
        let mut id = [0; 8];
        rand::fill(&mut id).expect("the system gives randomness");
        // No address: it is made before anybody knows where the log will be served, and never changes.
        let origin = format!("cairn.invalid/{:016x}/system", u64::from_be_bytes(id));
        let keys = vec![Held::new(&origin, SigningKey::new_seed(), None).expect("the name is one")];
        Self { log: origin.clone(), origin, epoch: 1, keys, next: None, salt_key: SigningKey::new_seed() }
    }
}

impl Held {
    fn new(origin: &str, seed: [u8; 32], sign_until: Option<Time>) -> Result<Self, String> {
        let name = origin.parse().map_err(|problem| format!("its origin: {problem}"))?;
        Ok(Self { seed, key: Arc::new(SigningKey::from_seed(name, Kind::Log, &seed)), sign_until })
    }
}

impl Next {
    pub fn new(origin: String, epoch: u32) -> Self {
        let held = Held::new(&origin, SigningKey::new_seed(), None).expect("the name of an epoch is one");
        Self { origin, epoch, held }
    }

    pub fn told(&self) -> Prepared {
        Prepared { origin: self.origin.clone(), epoch: self.epoch, key: self.held.key.verifying().clone() }
    }
}

/// Reads the file of any version.
pub fn read(bytes: &[u8]) -> Result<KeyFile, String> {
    let text: serde_json::Value = serde_json::from_slice(bytes).map_err(|problem| problem.to_string())?;
    let file = match text["version"].as_u64() {
        Some(version) if version == u64::from(VERSION) => {
            let stored: Stored = serde_json::from_value(text).map_err(|problem| problem.to_string())?;
            of_stored(stored)?
        }
        Some(version) if version == u64::from(VERSION_BEFORE) => {
            let stored: StoredBefore = serde_json::from_value(text).map_err(|problem| problem.to_string())?;
            of_before(stored)?
        }
        version => return Err(format!("its version is {version:?}, and {VERSION} is known")),
    };
    match file.keys.is_empty() {
        true => Err("it has no key to sign with".to_owned()),
        false => Ok(file),
    }
}

fn of_stored(stored: Stored) -> Result<KeyFile, String> {
    let until = |text: String| Time::parse(&text).ok_or_else(|| format!("sign_until {text:?} is no time"));
    let held = |key: StoredKey| Held::new(&stored.origin, seed(&key.seed)?, key.sign_until.map(until).transpose()?);
    let next = stored.next.map(|next| {
        let held = Held::new(&next.origin, seed(&next.seed)?, None)?;
        Ok::<_, String>(Next { origin: next.origin, epoch: next.epoch, held })
    });
    Ok(KeyFile {
        keys: stored.keys.into_iter().map(held).collect::<Result<_, _>>()?,
        next: next.transpose()?,
        salt_key: salt_key(&stored.salt_key)?,
        log: stored.log,
        origin: stored.origin,
        epoch: stored.epoch,
    })
}

fn of_before(stored: StoredBefore) -> Result<KeyFile, String> {
    let held = |text: &String| Held::new(&stored.origin, seed(text)?, None);
    Ok(KeyFile {
        keys: stored.signing_seeds.iter().map(held).collect::<Result<_, _>>()?,
        next: None,
        salt_key: salt_key(&stored.salt_key)?,
        log: stored.origin.clone(),
        origin: stored.origin,
        epoch: 1,
    })
}

fn seed(text: &str) -> Result<[u8; 32], String> {
    secret(text).ok_or_else(|| "a seed is not the base64 of 32 bytes".to_owned())
}

fn salt_key(text: &str) -> Result<[u8; 32], String> {
    secret(text).ok_or_else(|| "its salt_key is not the base64 of 32 bytes".to_owned())
}

fn secret(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Writes the file whole or not at all: a crash in between leaves the one before.
pub fn write(path: &Path, file: &KeyFile) -> io::Result<()> {
    let key = |held: &Held| StoredKey {
        seed: STANDARD.encode(held.seed),
        sign_until: held.sign_until.map(|until| until.to_string()),
    };
    let next = |next: &Next| StoredNext {
        origin: next.origin.clone(),
        epoch: next.epoch,
        seed: STANDARD.encode(next.held.seed),
    };
    let stored = Stored {
        version: VERSION,
        log: file.log.clone(),
        origin: file.origin.clone(),
        epoch: file.epoch,
        keys: file.keys.iter().map(key).collect(),
        next: file.next.as_ref().map(next),
        salt_key: STANDARD.encode(file.salt_key),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = path.with_extension("new");
    let mut opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    opened.write_all(&serde_json::to_vec_pretty(&stored)?)?;
    opened.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_version_before_signs_on_as_the_same_log() {
        let seeds = [[1; 32], [2; 32]].map(|seed| STANDARD.encode(seed));
        let before = serde_json::json!({
            "version": 1, "origin": "cairn.invalid/7/system", "signing_seeds": seeds,
            "salt_key": STANDARD.encode([9; 32]),
        });
        let file = read(before.to_string().as_bytes()).unwrap();
        assert_eq!((&*file.log, &*file.origin, file.epoch), ("cairn.invalid/7/system", "cairn.invalid/7/system", 1));
        assert_eq!(file.salt_key, [9; 32]);
        assert_eq!(file.keys.iter().map(|held| held.seed).collect::<Vec<_>>(), [[1; 32], [2; 32]]);
        assert!(file.keys.iter().all(|held| held.sign_until.is_none()));
    }

    #[test]
    fn what_is_no_key_file_is_told_without_its_secrets() {
        let told = |text: &str| read(text.as_bytes()).err().unwrap();
        assert!(told("{").contains("EOF"));
        assert!(told(r#"{"version": 3}"#).contains("version is Some(3)"));
        let no_key = r#"{"version":2,"log":"l","origin":"l","epoch":1,"keys":[],"salt_key":"SALT"}"#;
        assert_eq!(told(no_key), "its salt_key is not the base64 of 32 bytes");
        let no_key = no_key.replace("SALT", &STANDARD.encode([9; 32]));
        assert_eq!(told(&no_key), "it has no key to sign with");
        let bad_seed = no_key.replace("[]", r#"[{"seed":"hunter2"}]"#);
        assert_eq!(told(&bad_seed), "a seed is not the base64 of 32 bytes");
    }
}
