//! Where everything lies in the data folder.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The suite's data folder. Only its owner can enter it: it holds keys.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens the folder, making it if there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let path = path.canonicalize()?;
        if fs::metadata(&path)?.permissions().mode() & 0o002 != 0 {
            let problem = format!("{} can be written by everybody; `chmod 700` it", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
        }
        Ok(Self(path))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The event log, in an engine that keeps it in a file: the one thing here that cannot be made again.
    pub fn events(&self, extension: &str) -> PathBuf {
        self.0.join("events").join("events").with_extension(extension)
    }

    /// Read models. Dropped, they are built again.
    pub fn views(&self) -> PathBuf {
        self.0.join("views")
    }

    /// Artifacts, when they are kept here.
    pub fn artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }

    /// Signing keys and the pepper of API keys.
    pub fn keyring(&self) -> PathBuf {
        self.0.join("keyring.json")
    }

    /// The first administrator's key, when the program made it itself.
    pub fn first_key(&self) -> PathBuf {
        self.0.join("boot.key")
    }
}
