use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_kernel::Secret;
use parking_lot::Mutex;

/// What others gave us to show who we are: the secrets of our clients at identity providers.
///
/// Kept in one file beside the keys, for its owner alone: in no event and in no view. Cannot be rebuilt; who loses it
/// sets the secrets again. Read anew each time: another process may have written it.
#[derive(Clone)]
pub struct Secrets {
    path: Arc<PathBuf>,
    writing: Arc<Mutex<()>>,
}

/// Why the secrets cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretsFault {
    #[error("the file of secrets {path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the file of secrets {0} is not one of ours")]
    Malformed(PathBuf),
    #[error("the file of secrets {path} can be read by others (mode {mode:o}): run chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
}

impl Secrets {
    /// In a file, which is made with the first secret.
    pub fn new(path: &Path) -> Self {
        Self { path: Arc::new(path.to_owned()), writing: Arc::default() }
    }

    /// The secret of a resource.
    pub fn find(&self, name: &str) -> Result<Option<Secret>, SecretsFault> {
        Ok(self.read()?.remove(name).map(Secret::from))
    }

    /// Keeps the secret of a resource; the one before is gone.
    pub fn keep(&self, name: &str, secret: &str) -> Result<(), SecretsFault> {
        self.change(|secrets| drop(secrets.insert(name.to_owned(), secret.to_owned())))
    }

    /// Forgets the secret of a resource.
    pub fn forget(&self, name: &str) -> Result<(), SecretsFault> {
        self.change(|secrets| drop(secrets.remove(name)))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), SecretsFault> {
        let _turn = self.writing.lock();
        let mut secrets = self.read()?;
        let before = secrets.clone();
        change(&mut secrets);
        if secrets == before {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&secrets).map_err(|fault| self.io(fault.into()))?;
        // Written whole under another name: nobody ever reads half a file.
        let draft = self.path.with_extension("tmp");
        let written = write_private(&draft, &text).and_then(|()| fs::rename(&draft, &*self.path));
        written.and_then(|()| self.sync()).map_err(|source| self.io(source))
    }

    fn read(&self) -> Result<BTreeMap<String, String>, SecretsFault> {
        match File::open(&*self.path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(fault) => return Err(self.io(fault)),
            Ok(file) => {
                let mode = file.metadata().map_err(|fault| self.io(fault))?.permissions().mode() & 0o777;
                if mode & 0o037 != 0 {
                    return Err(SecretsFault::Exposed { path: self.path.to_path_buf(), mode });
                }
            }
        }
        let text = fs::read(&*self.path).map_err(|fault| self.io(fault))?;
        serde_json::from_slice(&text).map_err(|_| SecretsFault::Malformed(self.path.to_path_buf()))
    }

    fn sync(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn io(&self, source: io::Error) -> SecretsFault {
        SecretsFault::Io { path: self.path.to_path_buf(), source }
    }
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_for_their_owner_alone_and_forgotten_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let secrets = Secrets::new(&path);
        assert!(secrets.find("identityProviders/a").unwrap().is_none());
        secrets.keep("identityProviders/a", "hush").unwrap();
        secrets.keep("identityProviders/b", "other").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Secrets::new(&path).find("identityProviders/a").unwrap().unwrap().expose(), "hush");
        secrets.forget("identityProviders/a").unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("hush"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(secrets.find("identityProviders/b"), Err(SecretsFault::Exposed { .. })));
    }
}
