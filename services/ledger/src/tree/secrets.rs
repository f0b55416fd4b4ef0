use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_eventstore::Recorded;
use cairn_tlog::{Kind, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// What a digest of an event's data begins with.
pub type Salt = [u8; 16];

const VERSION: u32 = 1;

/// What the ledger signs and salts with, in a file of its own: not among the views, which may be dropped at any time.
///
/// Whoever loses the file can no longer sign as this log nor make its tree again; old proofs stay what they are.
pub struct Secrets {
    origin: String,
    keys: Vec<SigningKey>,
    salts: hmac::Key,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsFault {
    #[error("the ledger's key file {path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the ledger's key file {path} is not one of ours: {problem}")]
    Malformed { path: PathBuf, problem: String },
    #[error("the ledger's key file {path} can be read by others (mode {mode:o}): run chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
}

/// The file, as JSON. Secrets are base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// Names the log, for ever.
    origin: String,
    /// Seeds of the keys it signs with, the newest last; all of them sign, so that whoever knows an older one verifies.
    signing_seeds: Vec<String>,
    salt_key: String,
}

impl Secrets {
    /// Reads the file, or makes it (mode 0600) if there is none.
    pub fn open(path: &Path) -> Result<Self, SecretsFault> {
        let fault = |source| SecretsFault::Io { path: path.to_owned(), source };
        let malformed = |problem: String| SecretsFault::Malformed { path: path.to_owned(), problem };
        if !path.try_exists().map_err(fault)? {
            make(path).map_err(fault)?;
        }
        let mode = fs::metadata(path).map_err(fault)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretsFault::Exposed { path: path.to_owned(), mode });
        }
        let stored = fs::read(path).map_err(fault)?;
        let stored: Stored = serde_json::from_slice(&stored).map_err(|problem| malformed(problem.to_string()))?;
        if stored.version != VERSION {
            return Err(malformed(format!("its version is {}, and {VERSION} is known", stored.version)));
        }
        let name = stored.origin.parse().map_err(|problem| malformed(format!("its origin: {problem}")))?;
        let mut keys = vec![];
        for seed in &stored.signing_seeds {
            let seed = secret(seed).ok_or_else(|| malformed("a seed is not the base64 of 32 bytes".to_owned()))?;
            keys.push(SigningKey::from_seed(Clone::clone(&name), Kind::Log, &seed));
        }
        if keys.is_empty() {
            return Err(malformed("it has no key to sign with".to_owned()));
        }
        let salt = secret(&stored.salt_key).ok_or_else(|| malformed("its salt_key is not 32 bytes".to_owned()))?;
        Ok(Self { origin: stored.origin, keys, salts: hmac::Key::new(hmac::HMAC_SHA256, &salt) })
    }

    /// Names the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the log signs with.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// What others verify it with.
    pub fn verifying_keys(&self) -> Vec<VerifyingKey> {
        self.keys.iter().map(|key| key.verifying().clone()).collect()
    }

    /// The salt of an event: always the same, and to be guessed by nobody.
    pub fn salt(&self, event: &Recorded) -> Salt {
        let mut context = hmac::Context::with_key(&self.salts);
        context.update(event.id.as_bytes());
        context.update(event.stream.as_str().as_bytes());
        let mut salt = Salt::default();
        salt.copy_from_slice(&context.sign().as_ref()[..16]);
        salt
    }
}

fn secret(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// Writes the file whole or not at all: a crash in between leaves none.
fn make(path: &Path) -> io::Result<()> {
    let random = || STANDARD.encode(SigningKey::new_seed());
    let mut id = [0; 8];
    rand::fill(&mut id).expect("the system gives randomness");
    let id = id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let stored = Stored {
        version: VERSION,
        // No address: it is made before anybody knows where the log will be served, and never changes.
        origin: format!("cairn.invalid/{id}/system"),
        signing_seeds: vec![random()],
        salt_key: random(),
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(&stored)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()
}
