use std::borrow::Cow;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_eventstore::Recorded;
use cairn_kernel::Metadata;
use serde::Serialize;

use super::secrets::Salt;

/// Names the shape of an entry.
const VERSION: u8 = 1;
/// Longer texts, which only foreign programs write, are told by their digest: an entry must not exceed 65 535 bytes, and
/// JSON may take six for one.
const TEXT_BYTES_MAX: usize = 1280;

/// What the tree holds of an event: one line of JSON with these fields in this order.
///
/// INVARIANT: the same event gives the same bytes for ever, because they are what was signed. Another shape is another
/// version, from a position onwards; a test holds the bytes of this one.
#[derive(Serialize)]
struct Entry<'a> {
    v: u8,
    position: u64,
    stream: Cow<'a, str>,
    revision: u64,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
    id: String,
    time: String,
    principal: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "is_empty")]
    action: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    resource: Cow<'a, str>,
    #[serde(skip_serializing_if = "is_empty")]
    request_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<Cow<'a, str>>,
    /// Over salt and data as stored: tells nothing about data that could be guessed.
    payload_sha256: String,
}

/// Writes the entry of an event. The address a request came from is personal and left out.
pub fn write(event: &Recorded, metadata: &Metadata, salt: &Salt, to: &mut Vec<u8>) {
    let entry = Entry {
        v: VERSION,
        position: event.position.0,
        stream: told(event.stream.as_str()),
        revision: event.revision.0,
        kind: told(&event.kind),
        id: event.id.to_string(),
        time: event.time.to_string(),
        principal: told(&metadata.principal),
        on_behalf_of: metadata.on_behalf_of.as_deref().map(told),
        action: told(&metadata.action),
        resource: told(&metadata.resource),
        request_id: told(&metadata.request_id),
        decision_id: metadata.decision_id.as_deref().map(told),
        payload_sha256: payload_digest(salt, &event.payload),
    };
    serde_json::to_writer(to, &entry).expect("texts and numbers always encode");
}

/// Where an entry says that it stands.
pub fn position(entry: &[u8]) -> Option<u64> {
    let digits = entry.strip_prefix(br#"{"v":1,"position":"#)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

fn told(text: &str) -> Cow<'_, str> {
    match text.len() <= TEXT_BYTES_MAX {
        true => text.into(),
        false => format!("sha256:{}", STANDARD.encode(digest(&SHA256, text.as_bytes()))).into(),
    }
}

fn payload_digest(salt: &Salt, payload: &[u8]) -> String {
    let mut digest = Context::new(&SHA256);
    digest.update(salt);
    digest.update(payload);
    STANDARD.encode(digest.finish())
}

#[cfg(test)]
mod tests {
    use cairn_kernel::{Position, Revision, StreamName, Time};
    use uuid::Uuid;

    use super::*;

    fn entry(event: &Recorded, metadata: &Metadata, salt: &Salt) -> Vec<u8> {
        let mut bytes = vec![];
        write(event, metadata, salt, &mut bytes);
        bytes
    }

    fn event(metadata: &Metadata) -> Recorded {
        Recorded {
            id: Uuid::from_u128(7),
            stream: StreamName::of("experiments.run", "projects/p/runs/r"),
            kind: "cairn.experiments.events.v1.RunCreated".into(),
            revision: Revision(0),
            position: Position(12),
            time: Time::from_micros(1_700_000_000_123_456),
            payload: "data".into(),
            metadata: metadata.encode().into(),
        }
    }

    /// What was signed must be made again byte by byte, for ever: if this fails, the code is wrong and not the test.
    #[test]
    fn an_entry_has_the_bytes_that_were_signed() {
        let metadata = Metadata {
            principal: "users/u-1".into(),
            on_behalf_of: Some("users/u-2".into()),
            action: "experiments.runs.create".into(),
            resource: "projects/p/experiments/e".into(),
            request_id: "q \"1\"".into(),
            decision_id: Some("d-1".into()),
            source_address: Some("192.0.2.1".into()),
            ..Metadata::default()
        };
        let text = String::from_utf8(entry(&event(&metadata), &metadata, &[1; 16])).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"v":1,"position":12,"stream":"experiments.run-projects/p/runs/r","revision":0,"#,
                r#""type":"cairn.experiments.events.v1.RunCreated","id":"00000000-0000-0000-0000-000000000007","#,
                r#""time":"2023-11-14T22:13:20.123456Z","principal":"users/u-1","on_behalf_of":"users/u-2","#,
                r#""action":"experiments.runs.create","resource":"projects/p/experiments/e","request_id":"q \"1\"","#,
                r#""decision_id":"d-1","payload_sha256":"0vr+OHQgRlIrZnQlOWgObHcoIEjFx+B0Xselq6SvSy8="}"#
            )
        );
        assert_eq!(position(text.as_bytes()), Some(12));
        let least = String::from_utf8(entry(&event(&Metadata::default()), &Metadata::default(), &[1; 16])).unwrap();
        assert!(least.contains(r#""principal":"","payload_sha256""#), "{least}");
    }

    #[test]
    fn an_entry_fits_its_length_whatever_foreign_programs_write() {
        let long = || "\u{1}".repeat(40_000);
        let metadata = Metadata {
            principal: long(),
            on_behalf_of: Some(long()),
            action: "\u{1}".repeat(TEXT_BYTES_MAX),
            resource: "\u{1}".repeat(TEXT_BYTES_MAX),
            request_id: "\u{1}".repeat(TEXT_BYTES_MAX),
            decision_id: Some("\u{1}".repeat(TEXT_BYTES_MAX)),
            ..Metadata::default()
        };
        assert!(u16::try_from(entry(&event(&metadata), &metadata, &[1; 16]).len()).is_ok());
    }
}
