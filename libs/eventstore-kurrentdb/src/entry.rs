//! What the log's stream holds: an entry of the log is an event of KurrentDB's.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cairn_eventstore::{Recorded, Retention};
use cairn_eventstore_sqlite::Entry;
use cairn_kernel::{Position, Revision, StreamName, Time};
use eventstore::{EventData, RecordedEvent};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Type of the stream's first event, which names the log.
pub(crate) const LOG: &str = "cairn.log.v1";
/// Type of an event that says how much of a stream is kept.
const RETENTION: &str = "cairn.retention.v1";

/// Bytes that an entry takes beside those of its event, at most but for names of unusual length.
pub(crate) const OVERHEAD_BYTES: usize = 1_024;

/// The first event's data.
#[derive(Serialize, Deserialize)]
struct Named {
    log: Uuid,
}

/// The metadata of an event of the log: what KurrentDB has no place for, or another.
#[derive(Serialize, Deserialize)]
struct Placed {
    id: Uuid,
    stream: String,
    revision: u64,
    position: u64,
    /// Microseconds since 1970.
    time: i64,
    #[serde(flatten)]
    metadata: Raw,
}

/// Bytes as they are: text where they are text, so that people can read them.
#[derive(Serialize, Deserialize)]
enum Raw {
    #[serde(rename = "metadata")]
    Text(String),
    #[serde(rename = "metadata_base64")]
    Base64(String),
}

#[derive(Serialize, Deserialize)]
struct Kept {
    stream: String,
    max_age_us: Option<u64>,
    max_count: Option<u64>,
}

/// Names a log. The event's id is its own each time: two processes that begin the same stream must not take the other's for
/// theirs.
pub(crate) fn name(log: Uuid) -> EventData {
    json(LOG, &Named { log })
}

/// The log that a stream's first event names.
pub(crate) fn named(event: &RecordedEvent) -> Result<Uuid, String> {
    let foreign = || format!("its first event is of type {:?}, not {LOG}", event.event_type);
    if event.event_type != LOG {
        return Err(foreign());
    }
    serde_json::from_slice::<Named>(&event.data).map(|named| named.log).map_err(|_| foreign())
}

/// An entry as it is sent.
///
/// KurrentDB's id of an event is made up here and not the event's own, which two processes may both try to append, and which
/// another stream of ours may hold as well. It serves to send the same batch again.
pub(crate) fn written(entry: &Entry) -> EventData {
    match entry {
        Entry::Event(event) => {
            let placed = Placed {
                id: event.id,
                stream: event.stream.to_string(),
                revision: event.revision.0,
                position: event.position.0,
                time: event.time.micros(),
                metadata: Raw::of(&event.metadata),
            };
            let data = EventData::binary(&*event.kind, event.payload.clone()).id(Uuid::new_v4());
            data.metadata_as_json(&placed).expect("names and numbers are JSON")
        }
        Entry::Retention(stream, retention) => {
            let max_age_us = retention.max_age.map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
            json(RETENTION, &Kept { stream: stream.to_string(), max_age_us, max_count: retention.max_count })
        }
    }
}

/// The entry that an event of the stream is.
pub(crate) fn read(event: &RecordedEvent) -> Result<Entry, String> {
    let foreign =
        |why: String| format!("its event {} ({}) is none of the log's: {why}", event.revision, event.event_type);
    if event.event_type == RETENTION {
        let kept: Kept = serde_json::from_slice(&event.data).map_err(|fault| foreign(fault.to_string()))?;
        let max_age = kept.max_age_us.map(Duration::from_micros);
        let retention = Retention { max_age, max_count: kept.max_count };
        return Ok(Entry::Retention(StreamName::stored(kept.stream), retention));
    }
    let placed: Placed = serde_json::from_slice(&event.custom_metadata).map_err(|fault| foreign(fault.to_string()))?;
    let metadata = placed.metadata.bytes().map_err(foreign)?;
    Ok(Entry::Event(Arc::new(Recorded {
        id: placed.id,
        stream: StreamName::stored(placed.stream),
        kind: event.event_type.as_str().into(),
        revision: Revision(placed.revision),
        position: Position(placed.position),
        time: Time::from_micros(placed.time),
        payload: event.data.clone(),
        metadata,
    })))
}

impl Raw {
    fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(BASE64_STANDARD.encode(bytes)),
        }
    }

    fn bytes(self) -> Result<Bytes, String> {
        match self {
            Self::Text(text) => Ok(Bytes::from(text)),
            Self::Base64(text) => BASE64_STANDARD.decode(text).map(Bytes::from).map_err(|fault| fault.to_string()),
        }
    }
}

fn json(kind: &str, data: &impl Serialize) -> EventData {
    EventData::json(kind, data).expect("names and numbers are JSON").id(Uuid::new_v4())
}
