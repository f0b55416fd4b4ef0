use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_kernel::{Name, Secret};
use cairn_seal::{SealFault, Sealer, is_sealed};
use parking_lot::Mutex;

/// What others gave us to show who we are: the secrets of our clients at identity providers.
///
/// Sealed, in one file beside the keys, for its owner alone: in no event and in no view. Cannot be rebuilt; who loses it
/// sets the secrets again. Read anew each time: another process may have written it.
#[derive(Clone)]
pub struct Secrets {
    path: Arc<PathBuf>,
    writing: Arc<Mutex<()>>,
    sealer: Sealer,
}

const PURPOSE: &str = "client_secret";

/// Why the secrets cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum SecretsFault {
    #[error("the file of secrets {path} cannot be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("the file of secrets {0} is not one of ours")]
    Malformed(PathBuf),
    #[error("the file of secrets {path} can be read by others (mode {mode:o}): run chmod 600 {path}")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("a secret cannot be sealed or opened: {0}")]
    Seal(#[from] SealFault),
    #[error("a secret is no text")]
    Damaged,
}

impl Secrets {
    /// In a file, which is made with the first secret.
    pub fn new(path: &Path, sealer: Sealer) -> Self {
        Self { path: Arc::new(path.to_owned()), writing: Arc::default(), sealer }
    }

    /// The secret of a resource.
    pub async fn find(&self, name: &Name) -> Result<Option<Secret>, SecretsFault> {
        let Some(kept) = self.read()?.remove(name.as_str()) else { return Ok(None) };
        let opened = self.sealer.open_text(name, PURPOSE, &kept).await?;
        let text = String::from_utf8(opened.expose().to_vec()).map_err(|_| SecretsFault::Damaged)?;
        Ok(Some(text.into()))
    }

    /// Keeps the secret of a resource; the one before is gone.
    pub async fn keep(&self, name: &Name, secret: &str) -> Result<(), SecretsFault> {
        let sealed = self.sealer.seal_text(name, PURPOSE, secret).await?;
        self.change(|secrets| drop(secrets.insert(name.to_string(), sealed)))
    }

    /// Seals what an earlier build kept as it was.
    pub async fn seal_the_open(&self) -> Result<(), SecretsFault> {
        for (name, kept) in self.read()? {
            if let (false, Ok(name)) = (is_sealed(&kept), name.parse()) {
                self.keep(&name, &kept).await?;
            }
        }
        Ok(())
    }

    /// Forgets the secret of a resource.
    pub async fn forget(&self, name: &Name) -> Result<(), SecretsFault> {
        self.change(|secrets| drop(secrets.remove(name.as_str())))?;
        // Wherever a copy of the file may lie.
        self.sealer.forget(name).await.map(drop).map_err(SecretsFault::from)
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

    async fn sealer(folder: &Path) -> Sealer {
        cairn_seal::Config::default().start(folder, "test").await.unwrap()
    }

    #[tokio::test]
    async fn secrets_are_sealed_for_their_owner_alone_and_forgotten_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let secrets = Secrets::new(&path, sealer(folder.path()).await);
        let name = |id: &str| format!("identityProviders/{id}").parse::<Name>().unwrap();
        assert!(secrets.find(&name("a")).await.unwrap().is_none());
        secrets.keep(&name("a"), "hush").await.unwrap();
        secrets.keep(&name("b"), "other").await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("hush"));
        let again = Secrets::new(&path, sealer(folder.path()).await);
        assert_eq!(again.find(&name("a")).await.unwrap().unwrap().expose(), "hush");
        let copy = fs::read(&path).unwrap();
        secrets.forget(&name("a")).await.unwrap();
        assert!(secrets.find(&name("a")).await.unwrap().is_none());
        fs::write(&path, copy).unwrap();
        assert!(matches!(secrets.find(&name("a")).await, Err(SecretsFault::Seal(SealFault::Forgotten))));
        assert_eq!(secrets.find(&name("b")).await.unwrap().unwrap().expose(), "other");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(secrets.find(&name("b")).await, Err(SecretsFault::Exposed { .. })));
    }

    #[tokio::test]
    async fn what_an_earlier_build_kept_as_it_was_is_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        write_private(&path, br#"{"identityProviders/a":"hush"}"#).unwrap();
        let secrets = Secrets::new(&path, sealer(folder.path()).await);
        let name = "identityProviders/a".parse().unwrap();
        assert_eq!(secrets.find(&name).await.unwrap().unwrap().expose(), "hush");
        secrets.seal_the_open().await.unwrap();
        assert!(!fs::read_to_string(&path).unwrap().contains("hush"));
        assert_eq!(secrets.find(&name).await.unwrap().unwrap().expose(), "hush");
    }
}
