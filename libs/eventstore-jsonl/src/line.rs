//! A line of the file: one append, or a limit on what is shown of a stream.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cairn_eventstore::{Log, Recorded, Retention};
use cairn_kernel::{Position, Revision, StreamName, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Writes an event's contents so that people can read them. What is stored does not depend on it.
pub type Readable = Arc<dyn Fn(&str, &[u8]) -> Option<Value> + Send + Sync>;

/// What stands before a line's checksum: a CRC-32 of everything before this.
const SEAL: &str = r#","crc32":""#;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Which line this is, from 0.
    pub line: u64,
    /// The first of the lines that were synced together with this one.
    pub since: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retain: Option<Retain>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Event {
    position: u64,
    time: String,
    stream: String,
    revision: u64,
    id: Uuid,
    r#type: String,
    /// As it was given, to the byte, if it is JSON on one line; otherwise in Base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<String>,
    /// What the payload says, for people.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// In Base64. This is what counts.
    payload: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Retain {
    stream: String,
    max_age_micros: Option<u64>,
    max_count: Option<u64>,
}

impl Line {
    pub(crate) fn of_events(line: u64, since: u64, events: &[Arc<Recorded>], readable: &Readable) -> Self {
        let events = events.iter().map(|event| Event::of(event, readable)).collect();
        Self { line, since, events, retain: None }
    }

    pub(crate) fn of_retention(line: u64, since: u64, stream: &StreamName, retention: Retention) -> Self {
        let retain = Retain {
            stream: stream.to_string(),
            max_age_micros: retention.max_age.map(|age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX)),
            max_count: retention.max_count,
        };
        Self { line, since, events: vec![], retain: Some(retain) }
    }

    /// Writes the line with its checksum and its end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // INVARIANT: every key is a text and writing into memory cannot fail.
        serde_json::to_writer(&mut *out, self).expect("a line can be written as JSON");
        out.pop();
        let sum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(format!("{SEAL}{sum:08x}\"}}\n").as_bytes());
    }

    /// Reads a line without its end. The error says what is wrong with it.
    pub(crate) fn read(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        let (body, seal) = text.rsplit_once(SEAL).ok_or("it has no checksum at its end")?;
        let sum = seal.strip_suffix("\"}").and_then(|sum| u32::from_str_radix(sum, 16).ok());
        if sum != Some(crc32fast::hash(body.as_bytes())) {
            return Err("it is not what its checksum was made of".to_owned());
        }
        serde_json::from_str(text).map_err(|fault| fault.to_string())
    }

    /// Adds what the line holds to a log, which must be the one that it was written for.
    pub(crate) fn apply(self, log: &mut Log) -> Result<(), String> {
        if let Some((stream, retention)) = self.retention()? {
            log.retain(&stream, retention);
        }
        for recorded in self.recorded(&mut |name| log.kind(name))? {
            if !log.is_next(&recorded) {
                return Err(format!("event {} does not follow what is before it", recorded.position));
            }
            log.push(Arc::new(recorded));
        }
        Ok(())
    }

    /// The events in it. `kind` gives a type's name, which many events share.
    pub(crate) fn recorded(self, kind: &mut dyn FnMut(&str) -> Arc<str>) -> Result<Vec<Recorded>, String> {
        self.events.into_iter().map(|event| event.recorded(kind)).collect()
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = Position> {
        self.events.iter().map(|event| Position(event.position))
    }

    /// How much of a stream is kept from here on, if the line says that.
    pub(crate) fn retention(&self) -> Result<Option<(StreamName, Retention)>, String> {
        let Some(retain) = &self.retain else { return Ok(None) };
        let max_age = retain.max_age_micros.map(Duration::from_micros);
        Ok(Some((stream(&retain.stream)?, Retention { max_age, max_count: retain.max_count })))
    }
}

impl Event {
    fn of(event: &Recorded, readable: &Readable) -> Self {
        let metadata = raw(&event.metadata);
        Self {
            position: event.position.0,
            time: event.time.to_string(),
            stream: event.stream.to_string(),
            revision: event.revision.0,
            id: event.id,
            r#type: event.kind.to_string(),
            metadata_base64: metadata.is_none().then(|| STANDARD.encode(&event.metadata)),
            metadata,
            data: readable(&event.kind, &event.payload),
            payload: STANDARD.encode(&event.payload),
        }
    }

    fn recorded(self, kind: &mut dyn FnMut(&str) -> Arc<str>) -> Result<Recorded, String> {
        let decode = |text: &str| STANDARD.decode(text).map(Bytes::from).map_err(|fault| fault.to_string());
        let metadata = match (&self.metadata, &self.metadata_base64) {
            (Some(raw), _) => Bytes::copy_from_slice(raw.get().as_bytes()),
            (None, Some(text)) => decode(text)?,
            (None, None) => return Err(format!("event {} has no metadata", self.position)),
        };
        Ok(Recorded {
            id: self.id,
            stream: stream(&self.stream)?,
            kind: kind(&self.r#type),
            revision: Revision(self.revision),
            position: Position(self.position),
            time: Time::parse(&self.time).ok_or_else(|| format!("{:?} is no time", self.time))?,
            payload: decode(&self.payload)?,
            metadata,
        })
    }
}

fn stream(text: &str) -> Result<StreamName, String> {
    text.parse().map_err(|fault| format!("{text:?} is no stream: {fault}"))
}

/// Metadata that can stand in a line as it is.
fn raw(metadata: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(metadata).ok()?;
    let raw = RawValue::from_string(text.to_owned()).ok()?;
    let is_one_line = !text.contains(['\n', '\r']) && raw.get().len() == text.len();
    // `null` would read as no metadata at all.
    (is_one_line && text != "null").then_some(raw)
}
