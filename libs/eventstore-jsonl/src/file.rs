//! The file: read at the start, then only added to.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use cairn_eventstore::Log;
use tracing::warn;

use crate::OpenFault;
use crate::line::Line;

/// What the first line begins with.
const FIRST: &[u8] = br#"{"line":"#;

/// The file and how much of it counts. Locked for as long as this lives.
pub(crate) struct LogFile {
    file: File,
    path: PathBuf,
    /// Up to here every line is whole and synced.
    pub bytes: u64,
    pub lines: u64,
}

/// Why lines were not added.
pub(crate) enum AddFault {
    /// Nothing was added, and it can be tried again.
    Refused(io::Error),
    /// What the file holds now is unknown until it is opened again.
    Lost(io::Error),
}

impl LogFile {
    /// Opens the file, or makes it, and reads it into a log.
    pub(crate) fn open(path: &Path) -> Result<(Self, Log), OpenFault> {
        let failed = |source| OpenFault::Io { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let file =
            options.create(true).truncate(false).read(true).write(true).mode(0o600).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenFault::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // A new file's name is durable only when its folder is.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        let mut opened = Self { file, path: path.to_owned(), bytes: 0, lines: 0 };
        let log = opened.read()?;
        Ok((opened, log))
    }

    /// Reads every line that counts, and cuts off what a crash left behind the last one.
    fn read(&mut self) -> Result<Log, OpenFault> {
        let failed = |source| OpenFault::Io { path: self.path.clone(), source };
        let mut log = Log::default();
        let mut text = vec![];
        let mut lines = BufReader::with_capacity(1 << 20, &self.file);
        // Before a line of whatever length is read: a file of somebody else may have no end of lines at all.
        let start = lines.fill_buf().map_err(failed)?;
        if !is_start_of_ours(start) {
            return Err(OpenFault::NotOurs { path: self.path.clone() });
        }
        loop {
            text.clear();
            let size = lines.read_until(b'\n', &mut text).map_err(failed)?;
            if size == 0 {
                break;
            }
            if let Err(why) = self.goes_on(&text, &mut log) {
                if is_followed(self.lines, text, &mut lines).map_err(failed)? {
                    return Err(OpenFault::Damaged { path: self.path.clone(), line: self.lines + 1, why });
                }
                warn!(path = %self.path.display(), line = self.lines, "the end of the log was never synced and is cut off");
                break;
            }
            self.bytes += size as u64;
            self.lines += 1;
        }
        drop(lines);
        self.file.set_len(self.bytes).and_then(|()| self.file.sync_all()).map_err(failed)?;
        self.file.seek(SeekFrom::Start(self.bytes)).map_err(failed)?;
        Ok(log)
    }

    fn goes_on(&self, text: &[u8], log: &mut Log) -> Result<(), String> {
        let text = text.strip_suffix(b"\n").ok_or("it has no end")?;
        let line = Line::read(text)?;
        if line.line != self.lines {
            return Err(format!("it says that it is line {}", line.line));
        }
        line.apply(log)
    }

    /// Adds whole lines and syncs them.
    pub(crate) fn add(&mut self, text: &[u8], lines: u64) -> Result<(), AddFault> {
        if let Err(fault) = self.file.write_all(text) {
            let undone = self.file.set_len(self.bytes).and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            return Err(undone.map_or_else(AddFault::Lost, |_| AddFault::Refused(fault)));
        }
        // What a failed sync has written nobody can know, nor will a second one tell.
        self.file.sync_data().map_err(AddFault::Lost)?;
        self.bytes += text.len() as u64;
        self.lines += lines;
        Ok(())
    }
}

/// Whether a broken line stands among what was synced, so that something that was promised is gone. Otherwise it is what
/// a crash left.
///
/// Lines of one sync reach the disk in any order; those of the next one only after all of them.
fn is_followed(line: u64, mut text: Vec<u8>, rest: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let later = text.strip_suffix(b"\n").and_then(|text| Line::read(text).ok());
        if later.is_some_and(|later| later.since > line) {
            return Ok(true);
        }
        text.clear();
        if rest.read_until(b'\n', &mut text)? == 0 {
            return Ok(false);
        }
    }
}

/// Whether a file may be one of ours by how it begins: with a line, one that was cut short, or one that was not written.
pub(crate) fn is_start_of_ours(text: &[u8]) -> bool {
    let first = &text[..text.len().min(FIRST.len())];
    FIRST.starts_with(first) || first.iter().all(|byte| *byte == 0)
}
