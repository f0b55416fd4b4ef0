use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use cairn_kernel::Time;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, OpenOptions};
use uuid::Uuid;

use crate::{Key, Listed, ObjectFault};

/// The folders an object store consists of, as open handles. Everything here blocks.
pub(super) struct Disk {
    /// Objects, under their keys.
    pub objects: Dir,
    /// Files being written, under names of their own.
    pub drafts: Dir,
    /// Uploads in parts, a folder each.
    pub uploads: Dir,
}

impl Disk {
    pub fn open(root: &Path) -> io::Result<Self> {
        // The one place that names a path: everything below goes through the handles.
        Dir::create_ambient_dir_all(root, ambient_authority())?;
        let root = Dir::open_ambient_dir(root, ambient_authority())?;
        let open = |name: &str| {
            root.create_dir_all(name)?;
            root.open_dir(name)
        };
        let disk = Self { objects: open("objects")?, drafts: open("drafts")?, uploads: open("uploads")? };
        disk.sweep_drafts()?;
        sync(&root)?;
        Ok(disk)
    }

    /// Removes drafts that nobody writes any more. A draft is locked for as long as its writer lives; the lock of a
    /// process that ends goes with it, however it ends.
    fn sweep_drafts(&self) -> io::Result<()> {
        for left in self.drafts.entries()? {
            let name = left?.file_name();
            let file = match self.drafts.open(&name) {
                Ok(file) => file.into_std(),
                // Its writer has made an object of it meanwhile.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                Err(fault) => return Err(fault),
            };
            match file.try_lock() {
                Ok(()) => match self.drafts.remove_file(&name) {
                    Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                    _ => {}
                },
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(fault)) => return Err(fault),
            }
        }
        Ok(())
    }

    /// A new draft: its name and the file, which is the writer's for as long as it is open.
    pub fn create_draft(&self) -> Result<(String, File), ObjectFault> {
        let options = OpenOptions::new().write(true).create_new(true).clone();
        loop {
            let name = Uuid::new_v4().simple().to_string();
            let file = self.drafts.open_with(&name, &options).map_err(ObjectFault::disk)?.into_std();
            file.lock().map_err(ObjectFault::disk)?;
            // Somebody who opened the folder between these two steps has taken it for nobody's.
            if self.drafts.exists(&name) {
                return Ok((name, file));
            }
        }
    }

    /// Removes a draft that was given up. What cannot be removed now goes when the folder is next opened.
    pub fn remove_draft(&self, name: &str) {
        let _ = self.drafts.remove_file(name);
    }

    /// Makes a draft the object of this key, and waits until the disk knows.
    pub fn keep(&self, draft: &str, key: &Key) -> Result<(), ObjectFault> {
        let folder = self.make_folder(key)?;
        let fault = |fault: io::Error| match fault.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::DirectoryNotEmpty => {
                ObjectFault::Obstructed { key: key.clone() }
            }
            _ => ObjectFault::disk(fault),
        };
        self.drafts.rename(draft, &folder, key.file_name()).map_err(fault)?;
        sync(&folder).map_err(ObjectFault::disk)
    }

    /// An object's file and its size.
    pub fn read(&self, key: &Key) -> Result<(File, u64), ObjectFault> {
        let file = self.objects.open(key.as_str()).map_err(|fault| not_found(fault, key))?;
        let about = file.metadata().map_err(ObjectFault::disk)?;
        if !about.is_file() {
            return Err(ObjectFault::NotFound { key: key.clone() });
        }
        Ok((file.into_std(), about.len()))
    }

    /// What a listing says of an object.
    pub fn head(&self, key: &Key) -> Result<Listed, ObjectFault> {
        let about = self.objects.symlink_metadata(key.as_str()).map_err(|fault| not_found(fault, key))?;
        if !about.is_file() {
            return Err(ObjectFault::NotFound { key: key.clone() });
        }
        Ok(listed(key.clone(), &about))
    }

    /// Removes an object, and the folders that are empty without it.
    pub fn remove(&self, key: &Key) -> Result<(), ObjectFault> {
        match self.objects.remove_file(key.as_str()) {
            Ok(()) => {}
            Err(fault) => {
                return match not_found(fault, key) {
                    ObjectFault::NotFound { .. } => Ok(()),
                    fault => Err(fault),
                };
            }
        }
        // The nearest folder that stays must know on the disk that its entry is gone.
        let mut path = key.as_str();
        while let Some((folder, _)) = path.rsplit_once('/') {
            if self.objects.remove_dir(folder).is_err() {
                let folder = self.objects.open_dir(folder).or_else(|_| self.objects.try_clone());
                return folder.and_then(|folder| sync(&folder)).map_err(ObjectFault::disk);
            }
            path = folder;
        }
        sync(&self.objects).map_err(ObjectFault::disk)
    }

    /// The folder a key's file lies in, made and known to the disk.
    fn make_folder(&self, key: &Key) -> Result<Dir, ObjectFault> {
        let mut folder = self.objects.try_clone().map_err(ObjectFault::disk)?;
        let mut segments: Vec<&str> = key.segments().collect();
        segments.pop();
        for segment in segments {
            let next = folder.open_dir(segment).or_else(|fault| match fault.kind() {
                io::ErrorKind::NotFound => {
                    // Another writer may have made it meanwhile.
                    match folder.create_dir(segment) {
                        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => return Err(fault),
                        _ => sync(&folder)?,
                    }
                    folder.open_dir(segment)
                }
                _ => Err(fault),
            });
            folder = next.map_err(|fault| match fault.kind() {
                io::ErrorKind::NotADirectory => ObjectFault::Obstructed { key: key.clone() },
                _ => ObjectFault::disk(fault),
            })?;
        }
        Ok(folder)
    }
}

/// What a listing says of a file.
pub(super) fn listed(key: Key, about: &Metadata) -> Listed {
    Listed { key, size: about.len(), modify_time: time_of(about) }
}

/// When a file or folder was last written.
pub(super) fn time_of(about: &Metadata) -> Time {
    let since = about.modified().ok().map(|time| time.into_std());
    let since = since.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    Time::default().after(since)
}

/// Waits until a folder's entries are on the disk. The handle itself only names a place, so it is opened for that.
pub(super) fn sync(folder: &Dir) -> io::Result<()> {
    folder.open(".")?.sync_all()
}

/// A path that is not there, or leads through a file or out of the root, is an object that is not there.
pub(super) fn not_found(fault: io::Error, key: &Key) -> ObjectFault {
    match fault.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::PermissionDenied => ObjectFault::NotFound { key: key.clone() },
        _ => ObjectFault::disk(fault),
    }
}
