use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cairn_eventstore::{AppendFault, Carried, ReadFault, Recorded, Retention};
use cairn_kernel::{Position, StreamName};
use parking_lot::Mutex;

use crate::OpenFault;
use crate::file::is_start_of_ours;
use crate::line::{Line, Readable};

/// A log in a file of the same lines, for carrying it: read from front to back and added to, and never held in memory.
///
/// Unlike a log that is [worked with](crate::Jsonl) it may leave out events that are no longer to be kept.
pub struct Copied {
    path: PathBuf,
    readable: Readable,
    state: Arc<Mutex<State>>,
}

struct State {
    file: File,
    /// Lines that are whole, their bytes, and the position of the last event.
    lines: u64,
    bytes: u64,
    end: Position,
    retentions: HashMap<StreamName, Retention>,
    reading: Reading,
}

/// How far somebody has read: the next line begins at `offset`.
struct Reading {
    file: BufReader<File>,
    offset: u64,
    lines: u64,
    /// Read and not asked for yet.
    ahead: VecDeque<Arc<Recorded>>,
    kinds: HashMap<String, Arc<str>>,
    after: Position,
}

impl Copied {
    /// Opens a file that is there, to read it. Reads it once.
    pub fn open(path: &Path, readable: Readable) -> Result<Self, OpenFault> {
        Self::with(path, readable, OpenOptions::new().read(true), false)
    }

    /// Opens a file to add to it, or makes it. What a crash left at its end is cut off.
    pub fn create(path: &Path, readable: Readable) -> Result<Self, OpenFault> {
        Self::with(path, readable, OpenOptions::new().read(true).write(true).create(true).mode(0o600), true)
    }

    fn with(path: &Path, readable: Readable, options: &OpenOptions, is_written: bool) -> Result<Self, OpenFault> {
        let failed = |source| OpenFault::Io { path: path.to_owned(), source };
        let file = options.open(path).map_err(failed)?;
        let locked = if is_written { file.try_lock() } else { file.try_lock_shared() };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenFault::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut start = [0; 64];
        let size = io::Read::read(&mut &file, &mut start).map_err(failed)?;
        if !is_start_of_ours(&start[..size]) {
            return Err(OpenFault::NotOurs { path: path.to_owned() });
        }
        let mut state = State {
            file,
            lines: 0,
            bytes: 0,
            end: Position::START,
            retentions: HashMap::new(),
            // Opened once more, so that reading and writing each have a place of their own in it.
            reading: Reading::new(File::open(path).map_err(failed)?),
        };
        let whole = state.scan(path)?;
        if is_written {
            state.file.set_len(whole).and_then(|()| state.file.sync_all()).map_err(failed)?;
        } else if state.file.metadata().map_err(failed)?.len() > whole {
            let why = "it breaks off; is it still being written?".to_owned();
            return Err(OpenFault::Damaged { path: path.to_owned(), line: state.lines + 1, why });
        }
        Ok(Self { path: path.to_owned(), readable, state: Arc::new(Mutex::new(state)) })
    }

    /// Works with the file where waiting is no harm.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut State) -> T + Send + 'static) -> Result<T, String> {
        let state = Arc::clone(&self.state);
        tokio::task::spawn_blocking(move || work(&mut state.lock())).await.map_err(|fault| fault.to_string())
    }

    fn damaged(&self, why: &str) -> ReadFault {
        ReadFault::Damaged(format!("{}: {why}", self.path.display()))
    }
}

impl State {
    /// Reads every line. Gives how many bytes are of whole ones.
    fn scan(&mut self, path: &Path) -> Result<u64, OpenFault> {
        loop {
            match self.reading.next_line() {
                Ok(Some(line)) => {
                    if let Some((stream, retention)) =
                        line.retention().map_err(|why| damaged(path, self.reading.lines, why))?
                    {
                        self.retentions.insert(stream, retention);
                    }
                    for event in line.positions() {
                        if event <= self.end {
                            let why = format!("event {event} stands behind event {}", self.end);
                            return Err(damaged(path, self.reading.lines, why));
                        }
                        self.end = event;
                    }
                }
                Ok(None) | Err(Broken::Off) => break,
                Err(Broken::Wrong(why)) => return Err(damaged(path, self.reading.lines + 1, why)),
                Err(Broken::Io(source)) => return Err(OpenFault::Io { path: path.to_owned(), source }),
            }
        }
        (self.lines, self.bytes) = (self.reading.lines, self.reading.offset);
        self.reading.rewind().map_err(|source| OpenFault::Io { path: path.to_owned(), source })?;
        Ok(self.bytes)
    }

    fn held(&mut self, after: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, String> {
        let read = &mut self.reading;
        if after < read.after {
            read.rewind().map_err(|fault| fault.to_string())?;
        }
        while read.ahead.len() < limit && read.offset < self.bytes {
            let Some(line) = read.next_line().map_err(|broken| broken.said(read.lines + 1))? else { break };
            let kinds = &mut read.kinds;
            let mut kind = |name: &str| Arc::clone(kinds.entry(name.to_owned()).or_insert_with(|| Arc::from(name)));
            let events = line.recorded(&mut kind).map_err(|why| format!("line {}: {why}", read.lines))?;
            read.ahead.extend(events.into_iter().map(Arc::new).filter(|event| event.position > after));
        }
        while read.ahead.front().is_some_and(|event| event.position <= after) {
            read.ahead.pop_front();
        }
        let count = limit.min(read.ahead.len());
        let events: Vec<_> = read.ahead.drain(..count).collect();
        read.after = events.last().map_or(after, |last| last.position);
        Ok(events)
    }

    /// Adds whole lines and syncs them; or leaves the file as it was.
    fn add(&mut self, text: &[u8], lines: u64) -> Result<(), AppendFault> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.bytes))?;
            self.file.write_all(text)?;
            self.file.sync_data()
        };
        if let Err(fault) = write() {
            // What cannot be cut off now is when the file is opened again.
            let _ = self.file.set_len(self.bytes);
            return Err(not_written(&fault));
        }
        self.bytes += text.len() as u64;
        self.lines += lines;
        Ok(())
    }
}

impl Reading {
    fn new(file: File) -> Self {
        Self {
            file: BufReader::with_capacity(1 << 20, file),
            offset: 0,
            lines: 0,
            ahead: VecDeque::new(),
            kinds: HashMap::new(),
            after: Position::START,
        }
    }

    fn rewind(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        (self.offset, self.lines, self.after) = (0, 0, Position::START);
        self.ahead.clear();
        Ok(())
    }

    fn next_line(&mut self) -> Result<Option<Line>, Broken> {
        let mut text = vec![];
        let size = self.file.read_until(b'\n', &mut text).map_err(Broken::Io)?;
        if size == 0 {
            return Ok(None);
        }
        let Some(whole) = text.strip_suffix(b"\n") else { return Err(Broken::Off) };
        let line = Line::read(whole).map_err(Broken::Wrong)?;
        if line.line != self.lines {
            return Err(Broken::Wrong(format!("it says that it is line {}", line.line)));
        }
        self.offset += size as u64;
        self.lines += 1;
        Ok(Some(line))
    }
}

/// What is wrong with a line.
enum Broken {
    /// It has no end.
    Off,
    Wrong(String),
    Io(io::Error),
}

impl Broken {
    fn said(self, line: u64) -> String {
        match self {
            Self::Off => format!("line {line} breaks off"),
            Self::Wrong(why) => format!("line {line}: {why}"),
            Self::Io(fault) => fault.to_string(),
        }
    }
}

fn damaged(path: &Path, line: u64, why: String) -> OpenFault {
    OpenFault::Damaged { path: path.to_owned(), line, why }
}

fn not_written(fault: &io::Error) -> AppendFault {
    match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendFault::StorageFull,
        _ => AppendFault::Unavailable(fault.to_string()),
    }
}

#[async_trait]
impl Carried for Copied {
    async fn end(&self) -> Result<Position, ReadFault> {
        Ok(self.state.lock().end)
    }

    async fn held(&self, after: Position, limit: usize) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        let read = self.run(move |state| state.held(after, limit)).await;
        read.and_then(|events| events).map_err(|why| self.damaged(&why))
    }

    async fn retentions(&self) -> Result<Vec<(StreamName, Retention)>, ReadFault> {
        let mut all: Vec<_> = self.state.lock().retentions.iter().map(|(name, kept)| (name.clone(), *kept)).collect();
        all.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        all.retain(|(_, retention)| *retention != Retention::default());
        Ok(all)
    }

    async fn take_over(&self, events: Vec<Arc<Recorded>>) -> Result<(), AppendFault> {
        let readable = Arc::clone(&self.readable);
        let added = self.run(move |state| {
            let [Some(first), Some(last)] = [events.first(), events.last()] else { return Ok(()) };
            if first.position <= state.end {
                let why = format!("event {} cannot be taken over: the log has reached {}", first.position, state.end);
                return Err(AppendFault::Invalid(why));
            }
            let (mut text, since) = (vec![], state.lines);
            for (line, event) in (since..).zip(events.chunks(1)) {
                Line::of_events(line, since, event, &readable).write(&mut text);
            }
            state.add(&text, events.len() as u64)?;
            state.end = last.position;
            Ok(())
        });
        added.await.unwrap_or_else(|why| Err(AppendFault::Unavailable(why)))
    }

    async fn take_over_retention(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        let stream = stream.clone();
        let added = self.run(move |state| {
            if state.retentions.get(&stream) == Some(&retention) {
                return Ok(());
            }
            let mut text = vec![];
            Line::of_retention(state.lines, state.lines, &stream, retention).write(&mut text);
            state.add(&text, 1)?;
            state.retentions.insert(stream, retention);
            Ok(())
        });
        added.await.unwrap_or_else(|why| Err(AppendFault::Unavailable(why)))
    }
}
