use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

/// How long what the file system said is believed.
const BELIEVED: Duration = Duration::from_millis(20);

/// The disk's free space.
///
/// The prepared log has room when the disk has none, but the views that must take in what is appended have not: it would be
/// kept and could not be answered. So appends end while there is still some space, and views can catch up.
pub(super) struct Space {
    folder: PathBuf,
    free_min: u64,
    asked: Option<Instant>,
    is_low: bool,
}

impl Space {
    pub(super) fn new(database: &Path, free_min: u64) -> Self {
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { folder: folder.to_owned(), free_min, asked: None, is_low: false }
    }

    /// Whether there is too little. What cannot be asked is taken for enough: a full disk also says so itself.
    pub(super) fn is_low(&mut self) -> bool {
        if self.asked.is_none_or(|asked| asked.elapsed() >= BELIEVED) {
            self.asked = Some(Instant::now());
            // A file system without a size of its own has no blocks at all.
            self.is_low = statvfs(&self.folder)
                .is_ok_and(|disk| disk.f_blocks > 0 && disk.f_bavail.saturating_mul(disk.f_frsize) < self.free_min);
        }
        self.is_low
    }
}
