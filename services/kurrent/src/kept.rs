//! What is said of a program's stream: how long its events are shown, and whether it is still there.

use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::eventstore::events::v1::{StreamMetadataAppended, StreamTombstoned};
use cairn_eventstore::{Direction, EventStore, ReadFault, Recorded};
use cairn_kernel::{Expected, Revision, Time};
use moka::sync::Cache;
use prost::{Message, Name};
use serde::Deserialize;

use crate::names::ProgramStream;

/// A stream whose events before this revision are not shown has been deleted, until it is appended to.
const DELETED: u64 = i64::MAX.cast_unsigned();
/// Streams of which it is remembered what was said of them last.
const REMEMBERED_MAX: u64 = 100_000;

/// The last thing that was said of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Where it stands among what was said. `None`: nothing was.
    pub revision: Option<Revision>,
    pub limits: Limits,
    /// Whether the stream has ended for good.
    pub is_tombstoned: bool,
}

/// Which events of a stream are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    max_age: Option<Duration>,
    max_count: Option<u64>,
    before: Option<u64>,
}

/// As programs write it. What cannot be understood limits nothing: the stream says so to whoever reads it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    #[serde(rename = "$maxAge")]
    max_age: Option<u64>,
    #[serde(rename = "$maxCount")]
    max_count: Option<u64>,
    #[serde(rename = "$tb")]
    before: Option<u64>,
}

impl Limits {
    /// Only the newest event: what is said of streams is kept so.
    pub const NEWEST: Self = Self { max_age: None, max_count: Some(1), before: None };

    fn read(data: &[u8]) -> Self {
        let Written { max_age, max_count, before } = serde_json::from_slice(data).unwrap_or_default();
        Self { max_age: max_age.map(Duration::from_secs), max_count, before }
    }

    /// The first revision that may be shown of a stream that ends at `last`.
    pub fn first(&self, last: Revision) -> u64 {
        let counted = self.max_count.map_or(0, |count| (last.0 + 1).saturating_sub(count));
        counted.max(self.before.unwrap_or(0))
    }

    /// Whether an event is too old to be shown.
    pub fn is_outdated(&self, event: &Recorded, now: Time) -> bool {
        self.max_age.is_some_and(|age| now.since(event.time) > age)
    }
}

impl Kept {
    /// Whether the stream has been deleted and not been appended to since.
    pub fn is_deleted(&self) -> bool {
        self.limits.before == Some(DELETED)
    }

    /// What an append beside it expects, so that neither goes unnoticed by the other.
    pub fn unchanged(&self) -> Expected {
        Expected::after(self.revision)
    }

    fn of(last: Option<&Arc<Recorded>>) -> Self {
        let Some(last) = last else { return Self::default() };
        let kind = last.kind.rsplit('.').next().unwrap_or_default();
        let said =
            (kind == StreamMetadataAppended::NAME).then(|| StreamMetadataAppended::decode(last.payload.clone()).ok());
        let limits = said.flatten().map(|said| Limits::read(&said.data)).unwrap_or_default();
        Self { revision: Some(last.revision), limits, is_tombstoned: kind == StreamTombstoned::NAME }
    }
}

/// What is said by which a stream is deleted.
pub fn deletion() -> String {
    format!(r#"{{"$tb":{DELETED}}}"#)
}

/// What is said by which a deleted stream goes on.
pub fn revival(first: u64) -> String {
    format!(r#"{{"$tb":{first}}}"#)
}

/// What was said last of streams.
#[derive(Clone)]
pub struct Keeping {
    store: Arc<dyn EventStore>,
    remembered: Cache<ProgramStream, Kept>,
}

impl Keeping {
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, remembered: Cache::new(REMEMBERED_MAX) }
    }

    /// As the log has it now.
    pub async fn now(&self, stream: &ProgramStream) -> Result<Kept, ReadFault> {
        let last = self.store.read(&stream.metadata(), Revision(u64::MAX), Direction::Backwards, 1).await?;
        let kept = Kept::of(last.first());
        self.remembered.insert(stream.clone(), kept);
        Ok(kept)
    }

    /// As it was when somebody looked last. For appends, which are refused where it is not so any more.
    pub async fn lately(&self, stream: &ProgramStream) -> Result<Kept, ReadFault> {
        match self.remembered.get(stream) {
            Some(kept) => Ok(kept),
            None => self.now(stream).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_stream_is_what_every_limit_lets_through() {
        let first = |said: &str, last| Limits::read(said.as_bytes()).first(Revision(last));
        assert_eq!(first("{}", 9), 0);
        assert_eq!(first(r#"{"$maxCount": 3}"#, 9), 7);
        assert_eq!(first(r#"{"$maxCount": 30}"#, 9), 0);
        assert_eq!(first(r#"{"$maxCount": 3, "$tb": 8}"#, 9), 8);
        assert_eq!(first(r#"{"$maxCount": 3, "$tb": 2}"#, 9), 7);
        assert_eq!(first("no JSON", 9), 0);
        assert_eq!(first(r#"{"$maxCount": "three"}"#, 9), 0);
    }

    #[test]
    fn a_deletion_is_told_from_every_other_limit() {
        let kept = |said: &str| Kept { limits: Limits::read(said.as_bytes()), ..Kept::default() };
        assert!(kept(&deletion()).is_deleted());
        assert!(!kept(&revival(7)).is_deleted());
        assert!(!kept(r#"{"$acl": {"$r": "ops"}}"#).is_deleted());
    }
}
