use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// How far the file is prepared at a time.
const STEP: u64 = 4 << 20;

/// The write-ahead log's file, prepared ahead of what is written to it.
///
/// A sync of a file that grew must also note down its new length and blocks, which the file system does with a commit of
/// its own journal: it takes longer, and waits for everybody else's file operations. So the file is lengthened with
/// zeros, in large steps, and appends only overwrite. SQLite takes a stretch of zeros for the end of the log: no frame
/// without the log's current salt and checksum counts. Once the log was restarted, the file is as long as it needs to be.
pub(super) struct Wal {
    path: PathBuf,
    /// What is prepared at most: what is longer is for SQLite to lengthen.
    bytes_max: u64,
    /// The file's length when it was last looked at.
    prepared: u64,
    /// At least what was written since the store was opened, by estimate.
    written: u64,
}

impl Wal {
    pub(super) fn new(database: &Path, bytes_max: u64) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self { path: path.into(), bytes_max, prepared: 0, written: 0 }
    }

    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }

    /// Whether what is written next may be beyond what is prepared.
    pub(super) fn is_short(&self) -> bool {
        self.prepared < self.bytes_max && self.written.saturating_add(STEP / 2) >= self.prepared
    }

    /// Lengthens the file by a step. Best effort: without it appends are only slower, and a full disk speaks for itself
    /// when there is something to append.
    ///
    /// For whoever holds the database's write lock: what SQLite has written ends before the end of the file, and nobody
    /// else lengthens it now.
    pub(super) fn prepare(&mut self) {
        match self.lengthen() {
            Ok(length) => self.prepared = length,
            Err(error) => {
                tracing::debug!(%error, "the write-ahead log was not prepared");
                // To be tried again when some more was written.
                self.prepared = self.written.saturating_add(STEP);
            }
        }
    }

    fn lengthen(&self) -> io::Result<u64> {
        let file: File = OpenOptions::new().write(true).open(&self.path)?;
        let zeros = vec![0; 1 << 18];
        let mut length = file.metadata()?.len();
        let wanted = self.bytes_max.min(length.max(self.written) + STEP);
        while length < wanted {
            let step = zeros.len().min(usize::try_from(wanted - length).unwrap_or(usize::MAX));
            file.write_all_at(&zeros[..step], length)?;
            length += step as u64;
        }
        Ok(length)
    }
}
