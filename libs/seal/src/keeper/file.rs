use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use zeroize::{Zeroize, Zeroizing};

use super::local::{LocalKey, LocalKeys};
use super::{Keeper, Kept, Wrapped};
use crate::{DataKey, KeeperFault};

/// Keys in a file that its owner alone can read, the newest first. Made at the first start.
///
/// Keys are never taken out: a backup of the table of keys needs those it was made with.
pub struct KeyFile {
    path: PathBuf,
    keys: RwLock<LocalKeys>,
    /// One rotation at a time.
    turn: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    /// Base64, the newest first.
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    id: String,
    secret: String,
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

const VERSION: u32 = 1;

impl KeyFile {
    /// Reads the file, or makes it if there is none and `may_be_made`: where keys were wrapped with another one, a new
    /// file would open none of them.
    pub fn open(path: &Path, may_be_made: bool) -> Result<Self, KeeperFault> {
        let keys = match read(path) {
            Err(KeeperFault::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                if !may_be_made {
                    return Err(KeeperFault::Lost { path: path.to_owned() });
                }
                let keys = vec![LocalKey::new(DataKey::fresh())];
                write(path, &keys).map_err(|source| KeeperFault::Io { path: path.to_owned(), source })?;
                read(path)?
            }
            read => read?,
        };
        Ok(Self { path: path.to_owned(), keys: RwLock::new(keys), turn: Mutex::default() })
    }

    /// What another process put into the file since it was read.
    fn look_again(&self) -> Result<(), KeeperFault> {
        let keys = read(&self.path)?;
        *self.keys.write() = keys;
        Ok(())
    }
}

#[async_trait]
impl Keeper for KeyFile {
    async fn wrap(&self, key: &DataKey, context: &[u8]) -> Result<Wrapped, KeeperFault> {
        Ok(self.keys.read().wrap(key, context))
    }

    async fn unwrap(&self, wrapped: &Wrapped, context: &[u8]) -> Result<DataKey, KeeperFault> {
        let here = self.keys.read().unwrap(wrapped, context);
        if let Some(unwrapped) = here {
            return unwrapped;
        }
        self.look_again()?;
        let unknown = || Err(KeeperFault::Unknown { ids: wrapped.by.clone() });
        self.keys.read().unwrap(wrapped, context).unwrap_or_else(unknown)
    }

    async fn describe(&self) -> Result<Kept, KeeperFault> {
        let keys = self.keys.read();
        Ok(Kept {
            kind: "file",
            place: self.path.display().to_string(),
            newest: keys.newest().id.clone(),
            known: Some(keys.ids()),
        })
    }

    async fn rotate(&self) -> Result<String, KeeperFault> {
        let _turn = self.turn.lock().await;
        let fresh = LocalKey::new(DataKey::fresh());
        let mut keys = vec![fresh];
        keys.extend(read_keys(&self.path)?);
        write(&self.path, &keys).map_err(|source| KeeperFault::Io { path: self.path.clone(), source })?;
        self.look_again()?;
        Ok(self.keys.read().newest().id.clone())
    }
}

fn read(path: &Path) -> Result<LocalKeys, KeeperFault> {
    let none = || KeeperFault::Malformed { path: path.to_owned(), problem: "it holds no key".to_owned() };
    LocalKeys::new(read_keys(path)?).ok_or_else(none)
}

fn read_keys(path: &Path) -> Result<Vec<LocalKey>, KeeperFault> {
    let io = |source| KeeperFault::Io { path: path.to_owned(), source };
    let malformed = |problem: String| KeeperFault::Malformed { path: path.to_owned(), problem };
    let mode = fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o037 != 0 {
        return Err(KeeperFault::Exposed { path: path.to_owned(), mode });
    }
    let bytes = Zeroizing::new(fs::read(path).map_err(io)?);
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|fault| malformed(fault.to_string()))?;
    if stored.version != VERSION {
        return Err(malformed(format!("it has version {}, and this program knows {VERSION}", stored.version)));
    }
    let key = |stored: &StoredKey| {
        let bytes = Zeroizing::new(STANDARD.decode(&stored.secret).unwrap_or_default());
        let key = DataKey::from_bytes(&bytes).map(LocalKey::new).filter(|key| key.id == stored.id);
        key.ok_or_else(|| malformed(format!("key {} is damaged", stored.id)))
    };
    stored.keys.iter().map(key).collect()
}

/// Puts a whole file in the place of the one that is there, so that no crash leaves half of one.
fn write(path: &Path, keys: &[LocalKey]) -> io::Result<()> {
    let key = |key: &LocalKey| StoredKey { id: key.id.clone(), secret: STANDARD.encode(key.key.expose()) };
    let stored = Stored { version: VERSION, keys: keys.iter().map(key).collect() };
    let bytes = Zeroizing::new(serde_json::to_vec_pretty(&stored)?);
    let half = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_its_owners_alone_and_keeps_every_key_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let file = KeyFile::open(&path, true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let key = DataKey::fresh();
        let wrapped = file.wrap(&key, b"here").await.unwrap();
        let (other, first) = (KeyFile::open(&path, false).unwrap(), wrapped.by.clone());
        let second = file.rotate().await.unwrap();
        assert_ne!(first, second);
        assert_eq!(file.describe().await.unwrap().known.unwrap(), [second.clone(), first]);
        let again = file.rewrap(&wrapped, b"here").await.unwrap();
        assert_eq!(again.by, second);
        // A process that read the file before looks again.
        assert!(other.unwrap(&again, b"here").await.unwrap().expose() == key.expose());
        assert!(other.unwrap(&wrapped, b"here").await.unwrap().expose() == key.expose());
        assert!(fs::read_dir(folder.path()).unwrap().count() == 1, "nothing is left of writing it");
    }

    #[test]
    fn a_file_that_is_gone_open_to_others_or_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        assert!(matches!(KeyFile::open(&path, false), Err(KeeperFault::Lost { .. })));
        drop(KeyFile::open(&path, true).unwrap());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyFile::open(&path, true), Err(KeeperFault::Exposed { mode: 0o644, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("\"secret\": \"", "\"secret\": \"AAAA", 1)).unwrap();
        assert!(matches!(KeyFile::open(&path, true), Err(KeeperFault::Malformed { .. })));
        fs::write(&path, "{\"version\": 1, \"keys\": []}").unwrap();
        assert!(matches!(KeyFile::open(&path, true), Err(KeeperFault::Malformed { .. })));
    }
}
