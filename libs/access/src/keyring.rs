use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::signing_keys::Slots;

/// The secrets of a deployment: what API keys are hashed with and what tokens are signed with.
///
/// Kept in one file, apart from the data: whoever has a copy of the event log alone can neither make a key nor test a
/// guess. Losing the file invalidates every API key and token.
pub struct Keyring {
    deployment: String,
    peppers: Vec<Pepper>,
    /// Replaced now and then; see [`crate::signing_keys`].
    access: ArcSwap<Slots>,
    principal: SigningKey,
    /// Where it is kept, if anywhere.
    path: Option<PathBuf>,
}

/// A key of Ed25519 and its name.
#[derive(Clone)]
pub(crate) struct SigningKey {
    pub kid: String,
    pub pkcs8: Vec<u8>,
    pub public: Vec<u8>,
}

struct Pepper {
    id: String,
    key: hmac::Key,
    secret: Vec<u8>,
}

/// The public half of a key that access tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub kid: String,
    /// The key, base64url.
    pub x: String,
}

/// How an API key is recognized. Holds nothing that the key could be made from.
#[derive(Clone, Eq)]
pub struct Digest {
    pub form: Form,
    pub bytes: Vec<u8>,
    /// Names the pepper it was computed with.
    pub pepper: String,
}

/// How an API key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With prefix, id and checksum: found by its id.
    Structured,
    /// Any text, chosen by the operator: found by its digest.
    Opaque,
}

/// Takes as long whatever the bytes are, so that no comparison anywhere can tell how far a guess agrees.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        let is_same = constant_time::verify_slices_are_equal(&self.bytes, &other.bytes).is_ok();
        is_same & (self.form == other.form) & (self.pepper == other.pepper)
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:?}, pepper {})", self.form, self.pepper)
    }
}

/// Why the key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringFault {
    #[error("the key file {path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the key file {path} is not one of ours: {problem}")]
    Malformed { path: PathBuf, problem: String },
    #[error("the key file {path} can be read by others (mode {mode:o}): run chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
}

/// The file, as JSON. Secrets are base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    deployment: String,
    peppers: Vec<StoredSecret>,
    /// The one that signs.
    access_key: StoredSecret,
    /// The one that signs next. A file of before there was one gets it when it is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key_next: Option<StoredSecret>,
    /// The one that signed until lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_key_previous: Option<StoredSecret>,
    /// Since when the keys for access tokens are in their places, in seconds since 1970.
    #[serde(default)]
    access_keys_since: i64,
    /// Whether they ever were in others.
    #[serde(default)]
    access_keys_moved: bool,
    principal_key: StoredSecret,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSecret {
    id: String,
    secret: String,
}

const VERSION: u32 = 1;

/// Whether there is a file already.
enum Writing {
    New,
    Again,
}

impl Keyring {
    /// Reads the key file, or makes it (mode 0600) if there is none.
    pub fn open(path: &Path) -> Result<Self, KeyringFault> {
        let io = |source| KeyringFault::Io { path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => {
                let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
                if mode & 0o037 != 0 {
                    return Err(KeyringFault::Exposed { path: path.to_owned(), mode });
                }
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                let mut keyring = Self::generate();
                return match keyring.write(path, Writing::New) {
                    // Another process was first: its file counts.
                    Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Self::open(path),
                    Err(fault) => Err(io(fault)),
                    Ok(()) => {
                        keyring.path = Some(path.to_owned());
                        Ok(keyring)
                    }
                };
            }
            Err(fault) => return Err(io(fault)),
        }
        let (mut keyring, is_whole) = Self::read(path)?;
        if !is_whole {
            keyring.write(path, Writing::Again).map_err(io)?;
        }
        keyring.path = Some(path.to_owned());
        Ok(keyring)
    }

    /// Reads the file, and says whether all that belongs into it is there.
    fn read(path: &Path) -> Result<(Self, bool), KeyringFault> {
        let io = |source| KeyringFault::Io { path: path.to_owned(), source };
        let malformed = |problem: String| KeyringFault::Malformed { path: path.to_owned(), problem };
        let stored: Stored =
            serde_json::from_slice(&fs::read(path).map_err(io)?).map_err(|fault| malformed(fault.to_string()))?;
        let is_whole = stored.access_key_next.is_some();
        Ok((Self::from_stored(stored).map_err(malformed)?, is_whole))
    }

    /// Takes over the keys for access tokens as the file has them now: somebody else may have replaced them.
    pub(crate) fn reread(&self) -> Result<(), KeyringFault> {
        let Some(path) = &self.path else { return Ok(()) };
        let (read, _) = Self::read(path)?;
        self.access.store(read.access.load_full());
        Ok(())
    }

    /// Puts other keys for access tokens in force, in the file first.
    pub(crate) fn put(&self, slots: Slots) -> Result<(), KeyringFault> {
        let before = self.access.swap(Arc::new(slots));
        let Some(path) = &self.path else { return Ok(()) };
        self.write(path, Writing::Again).map_err(|source| {
            self.access.store(before);
            KeyringFault::Io { path: path.clone(), source }
        })
    }

    /// Fresh keys, kept nowhere.
    pub fn generate() -> Self {
        let id = |bytes: [u8; 8]| hex::encode(bytes);
        Self {
            deployment: id(random()),
            peppers: vec![Pepper::new(id(random()), random::<32>().to_vec())],
            access: ArcSwap::from_pointee(Slots::generate()),
            principal: SigningKey::generate(),
            path: None,
        }
    }

    /// Names this deployment in tokens.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The keys that access tokens are signed with, for whoever checks them elsewhere: the one that signs first, then
    /// the one that will next, then the one that did.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        let slots = self.access.load();
        let keys = [&slots.current, &slots.next].into_iter().chain(&slots.previous);
        keys.map(|key| PublicKey { kid: key.kid.clone(), x: URL_SAFE_NO_PAD.encode(&key.public) }).collect()
    }

    pub(crate) fn slots(&self) -> Arc<Slots> {
        self.access.load_full()
    }

    #[cfg(test)]
    pub(crate) fn access_key(&self) -> SigningKey {
        self.access.load().current.clone()
    }

    /// The tag of each pepper over some bytes, that of the current one first.
    pub(crate) fn tags<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = hmac::Tag> + 'a {
        self.peppers.iter().map(move |pepper| hmac::sign(&pepper.key, bytes))
    }

    pub(crate) fn principal_key(&self) -> &SigningKey {
        &self.principal
    }

    /// What is stored of a key of ours. The id is hashed in, so that equal secrets would not look equal.
    pub fn digest(&self, id: &str, secret: &str) -> Digest {
        let pepper = &self.peppers[0];
        Digest { form: Form::Structured, bytes: pepper.hash(&[id, secret]), pepper: pepper.id.clone() }
    }

    /// What is stored of a key that the operator chose.
    pub fn opaque_digest(&self, text: &str) -> Digest {
        let pepper = &self.peppers[0];
        Digest { form: Form::Opaque, bytes: pepper.hash(&["", text]), pepper: pepper.id.clone() }
    }

    /// What an operator's key may be found by: one digest per pepper.
    pub(crate) fn opaque_digests(&self, text: &str) -> impl Iterator<Item = Vec<u8>> {
        self.peppers.iter().map(move |pepper| pepper.hash(&["", text]))
    }

    /// Whether a digest is that of `secret`. Takes as long for a wrong secret as for the right one, and for an unknown
    /// key (`None`) as for a known one.
    pub(crate) fn is_digest_of(&self, digest: Option<&Digest>, id: &str, secret: &str) -> bool {
        let known = digest.and_then(|digest| self.peppers.iter().find(|pepper| pepper.id == digest.pepper));
        let tag = digest.map_or(&[0; 32][..], |digest| &digest.bytes);
        let is_equal = known.unwrap_or(&self.peppers[0]).verify(&[id, secret], tag);
        is_equal && known.is_some()
    }

    /// The same for a key that the operator chose.
    pub(crate) fn is_opaque_digest_of(&self, digest: Option<&Digest>, text: &str) -> bool {
        self.is_digest_of(digest.filter(|digest| digest.form == Form::Opaque), "", text)
    }

    /// What tells one text from another, and lets nobody without this file try which it was.
    pub fn blind(&self, bytes: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.peppers[0].key);
        context.update(b"blind\0");
        context.update(bytes);
        hex::encode(context.sign())
    }

    fn write(&self, path: &Path, writing: Writing) -> io::Result<()> {
        let slots = self.access.load();
        let secret = |id: &str, secret: &[u8]| StoredSecret { id: id.to_owned(), secret: STANDARD.encode(secret) };
        let stored = Stored {
            version: VERSION,
            deployment: self.deployment.clone(),
            peppers: self.peppers.iter().map(|pepper| secret(&pepper.id, &pepper.secret)).collect(),
            access_key: secret(&slots.current.kid, &slots.current.pkcs8),
            access_key_next: Some(secret(&slots.next.kid, &slots.next.pkcs8)),
            access_key_previous: slots.previous.as_ref().map(|key| secret(&key.kid, &key.pkcs8)),
            access_keys_since: slots.since,
            access_keys_moved: slots.have_moved,
            principal_key: secret(&self.principal.kid, &self.principal.pkcs8),
        };
        let text = serde_json::to_vec_pretty(&stored)?;
        // Written whole under another name and then linked: nobody ever sees half a file, and no file that somebody else
        // made first is replaced.
        let draft = path.with_extension(format!("{}.tmp", hex::encode(random::<8>())));
        match writing {
            Writing::New => {
                let written = write_private(&draft, &text).and_then(|()| fs::hard_link(&draft, path));
                fs::remove_file(&draft)?;
                written?;
            }
            Writing::Again => {
                let written = write_private(&draft, &text).and_then(|()| fs::rename(&draft, path));
                written.inspect_err(|_| drop(fs::remove_file(&draft)))?;
            }
        }
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn from_stored(stored: Stored) -> Result<Self, String> {
        if stored.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", stored.version));
        }
        let decode = |secret: &StoredSecret| {
            STANDARD.decode(&secret.secret).map_err(|_| format!("the secret of {} is not base64", secret.id))
        };
        let mut peppers = vec![];
        for pepper in &stored.peppers {
            let secret = decode(pepper)?;
            if secret.len() < 32 {
                return Err(format!("the pepper {} is shorter than 32 bytes", pepper.id));
            }
            peppers.push(Pepper::new(pepper.id.clone(), secret));
        }
        if peppers.is_empty() {
            return Err("it holds no pepper".into());
        }
        let signing = |key: &StoredSecret| SigningKey::new(key.id.clone(), decode(key)?);
        let slots = Slots {
            current: signing(&stored.access_key)?,
            next: stored.access_key_next.as_ref().map_or_else(|| Ok(SigningKey::generate()), signing)?,
            previous: stored.access_key_previous.as_ref().map(signing).transpose()?,
            since: stored.access_keys_since,
            have_moved: stored.access_keys_moved,
        };
        Ok(Self {
            deployment: stored.deployment,
            peppers,
            access: ArcSwap::from_pointee(slots),
            principal: signing(&stored.principal_key)?,
            path: None,
        })
    }
}

impl SigningKey {
    pub fn generate() -> Self {
        let pkcs8 =
            Ed25519KeyPair::generate().and_then(|key| key.to_pkcs8()).expect("a key can be made from randomness");
        Self::new(hex::encode(random::<8>()), pkcs8.as_ref().to_vec()).expect("what was just made reads")
    }

    fn new(kid: String, pkcs8: Vec<u8>) -> Result<Self, String> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| format!("the key {kid} is no Ed25519 key"))?;
        Ok(Self { kid, public: pair.public_key().as_ref().to_vec(), pkcs8 })
    }
}

impl Pepper {
    fn new(id: String, secret: Vec<u8>) -> Self {
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, &secret), secret }
    }

    fn hash(&self, parts: &[&str; 2]) -> Vec<u8> {
        hmac::sign(&self.key, &joined(parts)).as_ref().to_vec()
    }

    /// Compares in constant time. The one place where a secret is compared with what is kept of it.
    fn verify(&self, parts: &[&str; 2], tag: &[u8]) -> bool {
        #[cfg(test)]
        tests::COMPARED.with_borrow_mut(|compared| compared.push((joined(parts).len(), tag.len())));
        hmac::verify(&self.key, &joined(parts), tag).is_ok()
    }
}

/// No id contains a zero byte, so no two pairs are joined to the same bytes.
fn joined(parts: &[&str; 2]) -> Vec<u8> {
    [parts[0].as_bytes(), b"\0", parts[1].as_bytes()].concat()
}

/// Bytes nobody can guess. The seam is the operating system's: nothing that is random here is ever replayed.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

/// Writes a new file that only its owner can read, down to the disk.
fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// How much was compared with how much, each time.
        pub static COMPARED: RefCell<Vec<(usize, usize)>> = const { RefCell::new(vec![]) };
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let made = Keyring::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Keyring::open(&path).unwrap();
        assert_eq!(read.deployment(), made.deployment());
        assert_eq!(read.public_keys(), made.public_keys());
        assert!(read.is_digest_of(Some(&made.digest("id", "secret")), "id", "secret"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        Keyring::open(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Keyring::open(&path), Err(KeyringFault::Exposed { mode: 0o644, .. })));
    }

    #[test]
    fn a_damaged_key_file_is_refused_rather_than_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        write_private(&path, b"{\"version\": 1").unwrap();
        assert!(matches!(Keyring::open(&path), Err(KeyringFault::Malformed { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"{\"version\": 1");
    }

    #[test]
    fn a_digest_fits_one_id_and_one_secret() {
        let keyring = Keyring::generate();
        let digest = keyring.digest("id", "secret");
        assert!(keyring.is_digest_of(Some(&digest), "id", "secret"));
        assert!(!keyring.is_digest_of(Some(&digest), "id", "secreT"));
        assert!(!keyring.is_digest_of(Some(&digest), "ie", "secret"));
        assert!(!keyring.is_digest_of(None, "id", "secret"));
        assert!(!Keyring::generate().is_digest_of(Some(&digest), "id", "secret"), "another pepper");
    }
}
