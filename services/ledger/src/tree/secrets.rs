use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{hmac, rand};
use cairn_eventstore::Recorded;
use cairn_kernel::Time;
use cairn_tlog::{KeyName, SigningKey, VerifyingKey};
use parking_lot::RwLock;

use super::key_file::{self, Held, KeyFile, Next};
use super::organizations::Whose;

/// What a digest of an event's data begins with.
pub type Salt = [u8; 16];

/// What the ledger signs and salts with, in a file of its own: not among the views, which may be dropped at any time.
///
/// Whoever loses the file can no longer sign as this log nor make its tree again; old proofs stay what they are.
///
/// INVARIANT: what the file says is what is signed with, also after a crash. A key comes in two steps, so that none signs
/// that no event tells of: it is prepared, and adopted once its event is in the log.
pub struct Secrets {
    path: PathBuf,
    salts: hmac::Key,
    file: RwLock<KeyFile>,
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

/// What the log is signed with at a moment.
#[derive(Clone)]
pub struct Signing {
    /// Names the log and its epoch.
    pub origin: String,
    pub epoch: u32,
    /// The newest last; all of them sign, so that whoever knows an older one verifies.
    pub keys: Vec<Signs>,
}

/// A key, and until when it signs. `None`: until it is rotated.
#[derive(Clone)]
pub struct Signs {
    pub key: Arc<SigningKey>,
    pub until: Option<Time>,
}

impl Signing {
    /// What the log signs with, under its own name or an organization's.
    pub fn keys_for(&self, whose: &Whose) -> Vec<SigningKey> {
        let name = whose.origin(&self.origin).parse::<KeyName>().expect("an origin has no space and no plus sign");
        self.keys.iter().map(|signs| signs.key.named(name.clone())).collect()
    }

    /// What others verify that with.
    pub fn verifying_keys(&self, whose: &Whose) -> Vec<VerifyingKey> {
        self.keys_for(whose).iter().map(|key| key.verifying().clone()).collect()
    }
}

/// A key that is to be, and what it will sign as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub origin: String,
    pub epoch: u32,
    pub key: VerifyingKey,
}

impl Secrets {
    /// Reads the file, or makes it (mode 0600) if there is none.
    pub fn open(path: &Path) -> Result<Self, SecretsFault> {
        let fault = |source| SecretsFault::Io { path: path.to_owned(), source };
        if !path.try_exists().map_err(fault)? {
            key_file::write(path, &KeyFile::fresh()).map_err(fault)?;
        }
        let mode = fs::metadata(path).map_err(fault)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretsFault::Exposed { path: path.to_owned(), mode });
        }
        let file = key_file::read(&fs::read(path).map_err(fault)?)
            .map_err(|problem| SecretsFault::Malformed { path: path.to_owned(), problem })?;
        let salts = hmac::Key::new(hmac::HMAC_SHA256, &file.salt_key);
        Ok(Self { path: path.to_owned(), salts, file: RwLock::new(file) })
    }

    /// Names the log, for ever: the origin of its first epoch.
    pub fn log(&self) -> String {
        self.file.read().log.clone()
    }

    /// What the log is signed with.
    pub fn signing(&self, now: Time) -> Signing {
        let file = self.file.read();
        let keys = file.keys.iter().filter(|held| held.signs_at(now));
        let keys = keys.map(|held| Signs { key: Arc::clone(&held.key), until: held.sign_until }).collect();
        Signing { origin: file.origin.clone(), epoch: file.epoch, keys }
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

    /// What was prepared and not adopted.
    pub fn prepared(&self) -> Option<Prepared> {
        self.file.read().next.as_ref().map(Next::told)
    }

    /// Makes another key for this epoch, in place of one that was prepared before. Blocks.
    pub fn prepare_key(&self) -> Result<Prepared, SecretsFault> {
        self.change(|file| file.next = Some(Next::new(file.origin.clone(), file.epoch)))?;
        Ok(self.prepared().expect("it was just prepared"))
    }

    /// Makes the name and the key of another epoch. Blocks.
    pub fn prepare_epoch(&self) -> Result<Prepared, SecretsFault> {
        let mut random = [0; 4];
        rand::fill(&mut random).expect("the system gives randomness");
        self.change(|file| {
            let epoch = file.epoch + 1;
            // Not the number alone: a backup that is restored twice opens the same epoch twice.
            file.next = Some(Next::new(format!("{}/{epoch}-{:08x}", file.log, u32::from_be_bytes(random)), epoch));
        })?;
        Ok(self.prepared().expect("it was just prepared"))
    }

    /// Signs with what was prepared from now on. Older keys of the same epoch sign on until then; those that no longer
    /// sign are destroyed. Blocks.
    pub fn adopt(&self, prepared: &Prepared, older_until: Option<Time>, now: Time) -> Result<(), SecretsFault> {
        self.change(|file| {
            let Some(next) = file.next.take_if(|next| next.told() == *prepared) else { return };
            let is_epoch = next.origin != file.origin;
            for held in &mut file.keys {
                held.sign_until = held.sign_until.or(older_until).min(older_until);
            }
            file.keys.retain(|held| !is_epoch && held.signs_at(now));
            (file.origin, file.epoch) = (next.origin, next.epoch);
            file.keys.push(next.held);
        })
    }

    /// Forgets keys that no longer sign. Blocks.
    pub fn destroy_retired(&self, now: Time) -> Result<(), SecretsFault> {
        if self.file.read().keys.iter().all(|held| held.signs_at(now)) {
            return Ok(());
        }
        self.change(|file| file.keys.retain(|held| held.signs_at(now)))
    }

    /// Changes the file first, and then what is signed with.
    fn change(&self, change: impl FnOnce(&mut KeyFile)) -> Result<(), SecretsFault> {
        let mut file = self.file.write();
        let mut changed = file.clone();
        change(&mut changed);
        key_file::write(&self.path, &changed).map_err(|source| SecretsFault::Io { path: self.path.clone(), source })?;
        *file = changed;
        Ok(())
    }
}

impl Held {
    fn signs_at(&self, now: Time) -> bool {
        self.sign_until.is_none_or(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn names(secrets: &Secrets, now: Time) -> Vec<String> {
        secrets.signing(now).verifying_keys(&Whose::Everybodys).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_prepared_key_signs_once_it_is_adopted_and_the_older_until_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger/keys.json");
        let now = Time::from_micros(0);
        let secrets = Secrets::open(&path).unwrap();
        let first = names(&secrets, now);
        let prepared = secrets.prepare_key().unwrap();
        assert_eq!(names(&secrets, now), first, "nothing signs with it yet");

        let secrets = Secrets::open(&path).unwrap();
        assert_eq!(secrets.prepared(), Some(prepared.clone()), "a restart keeps it");
        secrets.adopt(&prepared, Some(now.after(DAY)), now).unwrap();
        let both = vec![first[0].clone(), prepared.key.to_string()];
        for secrets in [&secrets, &Secrets::open(&path).unwrap()] {
            assert_eq!(names(secrets, now), both);
            assert_eq!(names(secrets, now.after(DAY)), both[1..]);
            assert_eq!(secrets.prepared(), None);
        }
        secrets.destroy_retired(now.after(DAY)).unwrap();
        assert_eq!(names(&Secrets::open(&path).unwrap(), now), both[1..], "its secret is gone");
    }

    #[test]
    fn an_epoch_has_a_name_and_a_key_of_its_own_and_the_salts_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let now = Time::from_micros(0);
        let secrets = Secrets::open(&path).unwrap();
        let (log, salt) = (secrets.log(), key_file::read(&fs::read(&path).unwrap()).unwrap().salt_key);
        let abandoned = secrets.prepare_epoch().unwrap();
        let prepared = secrets.prepare_epoch().unwrap();
        assert_ne!(abandoned.origin, prepared.origin, "the same number is not the same name");
        secrets.adopt(&abandoned, None, now).unwrap();
        assert_eq!(secrets.signing(now).origin, log, "what was abandoned is not adopted");
        secrets.adopt(&prepared, None, now).unwrap();
        let signing = Secrets::open(&path).unwrap().signing(now);
        assert_eq!((signing.origin, signing.epoch), (prepared.origin.clone(), 2));
        assert!(prepared.origin.starts_with(&format!("{log}/2-")));
        assert_eq!(names(&secrets, now), [prepared.key.to_string()], "keys of an ended epoch sign nothing");
        assert_eq!(Secrets::open(&path).unwrap().log(), log);
        assert_eq!(key_file::read(&fs::read(&path).unwrap()).unwrap().salt_key, salt);
    }

    #[test]
    fn an_older_key_never_signs_longer_than_it_was_to() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(&folder.path().join("keys.json")).unwrap();
        let now = Time::from_micros(0);
        let until = |days| Some(now.after(DAY * days));
        secrets.adopt(&secrets.prepare_key().unwrap(), until(2), now).unwrap();
        secrets.adopt(&secrets.prepare_key().unwrap(), until(9), now).unwrap();
        let untils: Vec<_> = secrets.signing(now).keys.iter().map(|signs| signs.until).collect();
        assert_eq!(untils, [until(2), until(9), None]);
        secrets.adopt(&secrets.prepare_key().unwrap(), Some(now), now).unwrap();
        let untils: Vec<_> = secrets.signing(now).keys.iter().map(|signs| signs.until).collect();
        assert_eq!(untils, [None], "at once is at once");
    }
}
