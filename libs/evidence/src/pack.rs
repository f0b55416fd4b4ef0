use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_tlog::{Bundle, BundleFault, Checkpoint, Hash, Note, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::story::{Story, StoryFault};

/// What the file says that it is.
const FORMAT: &str = "cairn.evidence/v1";

/// A file of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    format: String,
    /// The promotion that it is about.
    pub about: String,
    /// What follows from the events, for people.
    pub story: Story,
    /// The events in the order of the log.
    pub events: Vec<Proven>,
    /// What they are proven under: a C2SP signed note.
    pub checkpoint: String,
    /// Over everything above. Finds what was damaged; who changes a file on purpose is found by the rest.
    sha256: String,
}

/// One event, and the way from it to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// What of it is proven, as it is in the tree.
    pub entry: String,
    /// Its place in the tree, from 0.
    pub index: u64,
    pub hashes: Vec<String>,
    /// Base64, as is the payload. Empty: its data holds something that nobody is shown.
    pub salt: String,
    pub payload: String,
}

/// Why a file is no evidence.
#[derive(Debug, thiserror::Error)]
pub enum PackFault {
    #[error("not evidence of Cairn: {0}")]
    Malformed(String),
    #[error("the file was damaged: its digest is another")]
    Damaged,
    #[error("event {position} of the log: {why}")]
    Event { position: u64, why: String },
    #[error("its checkpoint: {0}")]
    Checkpoint(String),
    #[error("stream {stream}: event {missing} is missing")]
    Gap { stream: String, missing: u64 },
    #[error("the story that is told does not follow from the events")]
    Story,
    #[error(transparent)]
    Told(#[from] StoryFault),
}

/// What a file proves.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    pub checkpoint: Checkpoint,
    pub events: usize,
    pub story: Story,
}

impl Pack {
    /// Puts evidence together. The events may come in any order, and twice.
    pub fn new(about: &str, checkpoint: String, events: Vec<Proven>) -> Result<Self, PackFault> {
        let by_index: BTreeMap<u64, Proven> = events.into_iter().map(|event| (event.index, event)).collect();
        let events: Vec<Proven> = by_index.into_values().collect();
        let read = events.iter().map(Proven::read).collect::<Result<Vec<_>, _>>()?;
        let story = Story::of(about, &read)?;
        let (format, about) = (FORMAT.to_owned(), about.to_owned());
        Ok(Self { format, about, story, events, checkpoint, sha256: String::new() }.sealed())
    }

    pub(crate) fn sealed(self) -> Self {
        Self { sha256: self.digest(), ..self }
    }

    /// Holds the text of a file against itself, the log's signature and the events.
    pub fn verify(text: &str, keys: &[VerifyingKey]) -> Result<Verified, PackFault> {
        let malformed = |why: &str| PackFault::Malformed(why.to_owned());
        let pack: Self = serde_json::from_str(text).map_err(|fault| PackFault::Malformed(fault.to_string()))?;
        if pack.format != FORMAT {
            return Err(malformed("it is of another version"));
        }
        if pack.sha256 != pack.digest() {
            return Err(PackFault::Damaged);
        }
        if pack.to_string() != text {
            return Err(malformed("it is not written as such files are"));
        }
        let note: Note = pack.checkpoint.parse().map_err(|fault| PackFault::Checkpoint(format!("{fault}")))?;
        let mut events: Vec<Event> = vec![];
        let mut checkpoint = None;
        for (at, proven) in pack.events.iter().enumerate() {
            if at > 0 && pack.events[at - 1].index >= proven.index {
                return Err(malformed("its events are not in the order of the log"));
            }
            let event = proven.read()?;
            checkpoint = Some(proven.verify(&event, &note, keys)?);
            events.push(event);
        }
        let checkpoint = checkpoint.ok_or_else(|| malformed("it holds no event"))?;
        whole(&events)?;
        let story = Story::of(&pack.about, &events)?;
        if story != pack.story {
            return Err(PackFault::Story);
        }
        Ok(Verified { checkpoint, events: events.len(), story })
    }

    fn digest(&self) -> String {
        let bare = Self { sha256: String::new(), ..self.clone() };
        STANDARD.encode(digest(&SHA256, bare.to_string().as_bytes()))
    }
}

/// The text of the file.
impl std::fmt::Display for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| std::fmt::Error)?)?;
        f.write_str("\n")
    }
}

impl Proven {
    /// The event that is proven, with its data if that is given and is its own.
    fn read(&self) -> Result<Event, PackFault> {
        let mut event = Event::read(&self.entry)
            .ok_or_else(|| PackFault::Malformed(format!("entry {} does not read", self.index)))?;
        let wrong = |why: &str| PackFault::Event { position: event.position, why: why.to_owned() };
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| wrong("salt and payload must be base64"));
        if self.salt.is_empty() {
            return if self.payload.is_empty() { Ok(event) } else { Err(wrong("its data comes without its salt")) };
        }
        let (salt, payload) = (decode(&self.salt)?, decode(&self.payload)?);
        if !event.is_of(&[salt, payload.clone()].concat()) {
            return Err(wrong("its data is not what the log holds"));
        }
        event.payload = Some(payload);
        Ok(event)
    }

    fn verify(&self, event: &Event, note: &Note, keys: &[VerifyingKey]) -> Result<Checkpoint, PackFault> {
        let wrong = |why: String| PackFault::Event { position: event.position, why };
        let hashes = self.hashes.iter().map(|hash| hash.parse()).collect::<Result<Vec<Hash>, _>>();
        let hashes = hashes.map_err(|fault| wrong(format!("a hash of its proof is {fault}")))?;
        let bundle = Bundle { extra: None, index: self.index, hashes, checkpoint: note.clone() };
        bundle.verify(self.entry.as_bytes(), keys).map_err(|fault| match fault {
            BundleFault::Proof(fault) => wrong(fault.to_string()),
            other => PackFault::Checkpoint(other.to_string()),
        })
    }
}

/// Whether each stream begins with its first event and lacks none.
fn whole(events: &[Event]) -> Result<(), PackFault> {
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events {
        let expected = next.entry(&event.stream).or_default();
        if event.revision != *expected {
            return Err(PackFault::Gap { stream: event.stream.clone(), missing: *expected });
        }
        *expected += 1;
    }
    Ok(())
}
