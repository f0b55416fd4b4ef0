use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
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
        create_folder(folder_of(database)).map_err(failed)?;
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
    let folder = folder_of(database);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| OpenFault::Io { path: folder.to_owned(), source })
}

/// Creates a folder and those above it, each durable before something is put into it.
fn create_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    create_folder(above)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => File::open(above)?.sync_all(),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
