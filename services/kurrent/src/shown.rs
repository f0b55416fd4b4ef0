//! Events as clients see them: those of programs as they were appended, those of the platform as the log's own readers get
//! them.

use std::collections::BTreeMap;

use bytes::Bytes;
use cairn_contract::Contract;
use cairn_contract::cairn::eventstore::events::v1::{ProgramEventAppended, StreamMetadataAppended, StreamTombstoned};
use cairn_eventstore::Recorded;
use cairn_kernel::Metadata;
use cairn_kurrent_protocol::shared::StreamIdentifier;
use cairn_kurrent_protocol::streams::read_resp::ReadEvent;
use cairn_kurrent_protocol::streams::read_resp::read_event::{Position, RecordedEvent};
use cairn_service::entry;
use prost::{Message, Name};
use serde_json::json;

use crate::names::METADATA;
use crate::uuids::{self, Form};

/// The type of the event by which a stream ends.
const TOMBSTONE: &str = "$streamDeleted";
/// The type of an event that stands for one of another stream.
const LINK: &str = "$>";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

/// An event, and what a client calls it.
pub struct Shown<'a> {
    recorded: &'a Recorded,
    pub stream: String,
    pub kind: String,
    said: Said,
}

enum Said {
    /// By a program: what it is, and what else was said.
    Program {
        is_json: bool,
        data: Bytes,
        metadata: Bytes,
    },
    Tombstone,
    Platform,
}

impl<'a> Shown<'a> {
    /// Reads an event of the log. What does not read as what a program appended is shown as the platform's, without content.
    pub fn of(recorded: &'a Recorded) -> Self {
        let platform = || Self {
            recorded,
            stream: recorded.stream.to_string(),
            kind: recorded.kind.to_string(),
            said: Said::Platform,
        };
        let payload = recorded.payload.clone();
        match recorded.kind.rsplit('.').next() {
            Some(ProgramEventAppended::NAME) if is_of_programs(recorded) => ProgramEventAppended::decode(payload)
                .map_or_else(
                    |_| platform(),
                    |event| Self {
                        recorded,
                        stream: event.event_stream,
                        kind: event.event_type,
                        said: program(&event.content_type, event.data, event.custom_metadata),
                    },
                ),
            Some(StreamMetadataAppended::NAME) if is_of_programs(recorded) => StreamMetadataAppended::decode(payload)
                .map_or_else(
                    |_| platform(),
                    |event| Self {
                        recorded,
                        stream: format!("$${}", event.event_stream),
                        kind: event.event_type,
                        said: program(&event.content_type, event.data, event.custom_metadata),
                    },
                ),
            Some(StreamTombstoned::NAME) if is_of_programs(recorded) => StreamTombstoned::decode(payload).map_or_else(
                |_| platform(),
                |event| Self {
                    recorded,
                    stream: event.event_stream,
                    kind: TOMBSTONE.to_owned(),
                    said: Said::Tombstone,
                },
            ),
            _ => platform(),
        }
    }

    /// Whether it ends its stream.
    pub fn is_tombstone(&self) -> bool {
        matches!(self.said, Said::Tombstone)
    }

    /// Where it stands in its stream, as clients count.
    pub fn revision(&self) -> u64 {
        if self.is_tombstone() { i64::MAX.cast_unsigned() } else { self.recorded.revision.0 }
    }

    /// The event that it stands for: its revision and its stream.
    pub fn link(&self) -> Option<(u64, String)> {
        let Said::Program { data, .. } = &self.said else { return None };
        if self.kind != LINK {
            return None;
        }
        let (revision, stream) = std::str::from_utf8(data).ok()?.split_once('@')?;
        Some((revision.parse().ok()?, stream.to_owned()))
    }

    /// As the protocol has it.
    pub fn event(self, contract: &Contract, form: Form) -> RecordedEvent {
        let revision = self.revision();
        let (is_json, data, custom_metadata) = match self.said {
            Said::Program { is_json, data, metadata } => (is_json, data, metadata),
            Said::Tombstone => (true, Bytes::from_static(b"{}"), Bytes::new()),
            Said::Platform => platform(contract, self.recorded),
        };
        let position = self.recorded.position.0;
        let metadata = [
            ("type", self.kind),
            ("content-type", if is_json { JSON } else { BINARY }.to_owned()),
            // Ticks of 100 ns since 1970.
            ("created", self.recorded.time.micros().saturating_mul(10).to_string()),
        ];
        RecordedEvent {
            id: Some(uuids::written(self.recorded.id, form)),
            stream_identifier: Some(StreamIdentifier { stream_name: self.stream.into() }),
            stream_revision: revision,
            prepare_position: position,
            commit_position: position,
            metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
            custom_metadata,
            data,
        }
    }
}

/// An event with what it stands for, if that was asked for and found.
pub fn read_event(event: RecordedEvent, target: Option<RecordedEvent>) -> ReadEvent {
    let position = Some(Position::CommitPosition(event.commit_position));
    match target {
        Some(target) => ReadEvent { event: Some(target), link: Some(event), position },
        None => ReadEvent { event: Some(event), link: None, position },
    }
}

/// Whether the log has it from a program.
pub fn is_of_programs(event: &Recorded) -> bool {
    let category = event.stream.category();
    category == crate::names::STREAMS || category == METADATA
}

fn program(content_type: &str, data: Bytes, metadata: Bytes) -> Said {
    Said::Program { is_json: content_type == JSON, data, metadata }
}

/// An event of the platform: whether it is JSON, its content with what is sensitive hidden, and the rest of what
/// `GET /api/v1/events` tells of it.
fn platform(contract: &Contract, event: &Recorded) -> (bool, Bytes, Bytes) {
    let Metadata {
        principal,
        on_behalf_of,
        action,
        request_id,
        correlation_id,
        causation_id,
        traceparent,
        source_address,
        decision_id,
        ..
    } = event.metadata();
    let resource = entry::Entry::of(event).map(|entry| entry.resource.to_string()).unwrap_or_default();
    let fields = [
        ("resource", Some(resource)),
        ("principal", Some(principal)),
        ("on_behalf_of", on_behalf_of),
        ("action", Some(action)),
        ("request_id", Some(request_id)),
        ("$correlationId", Some(correlation_id)),
        ("$causationId", causation_id),
        ("traceparent", traceparent),
        ("source_address", source_address),
        ("decision_id", decision_id),
    ];
    let fields =
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value.filter(|v| !v.is_empty())?))));
    let metadata = serde_json::Value::Object(fields.collect()).to_string();
    match contract.event_json(&event.kind, &event.payload) {
        Ok(data) => (true, data.to_string().into(), metadata.into()),
        // This program does not know the type, or the content is not what the type says.
        Err(_) => (false, Bytes::new(), metadata.into()),
    }
}
