use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::OpenFault;

/// The right to write to one database, held until dropped or until the process ends, however it ends.
pub(crate) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the database's folder if need be, and takes the lock beside it.
    pub(crate) fn take(database: &Path) -> Result<Self, OpenFault> {
        let lock = lock_path(database);
        let failed = |source| OpenFault::Io { path: database.to_owned(), source };
        if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&lock).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenFault::InUse { path: database.to_owned(), lock }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Makes a new file's name durable, which syncing the file itself does not.
pub(crate) fn sync_folder(database: &Path) -> Result<(), OpenFault> {
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| OpenFault::Io { path: folder.to_owned(), source })
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
