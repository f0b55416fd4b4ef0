//! What an event says about who did what: the same for every event, whichever service wrote it.

use cairn_contract::cairn::ledger::events::v1::{
    AccessDenied, Call, CommandRejected, ReadRecorded, RequestRecorded, StrangersRefused,
};
use cairn_contract::cairn::ledger::v1::Outcome;
use cairn_eventstore::{DecodeFault, Recorded};
use cairn_kernel::{Metadata, Name, StreamName};
use prost::Message;

/// Streams that record calls rather than changes.
const CALLS: &str = "ledger.access";
/// Streams that programs name as they like, whatever that looks like.
const PROGRAMS: &str = "eventstore.";

/// Whether an event records a call rather than a change.
pub fn is_call(event: &Recorded) -> bool {
    event.stream.category() == CALLS
}

/// What an event happened to; the root for what lies nowhere in particular, and for what does not read.
pub fn resource(event: &Recorded, metadata: &Metadata) -> Name {
    match is_call(event) {
        true => Entry::of_call(event, metadata.clone()).map_or(Name::ROOT, |entry| entry.resource),
        false => changed(&event.stream, &metadata.resource),
    }
}

/// One event as a record: who, what, on what, and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub metadata: Metadata,
    /// The right exercised or missing.
    pub action: String,
    /// What it happened to; the root for what lies nowhere in particular.
    pub resource: Name,
    pub outcome: Outcome,
    /// Why it was refused, and what the caller was told. Empty: it was not.
    pub reason: String,
    pub message: String,
    /// The method called, where the call itself is recorded.
    pub method: String,
}

impl Entry {
    /// Reads any event.
    pub fn of(event: &Recorded) -> Result<Self, DecodeFault> {
        let metadata = event.metadata();
        if is_call(event) {
            return Self::of_call(event, metadata);
        }
        Ok(Self {
            action: metadata.action.clone(),
            resource: changed(&event.stream, &metadata.resource),
            outcome: Outcome::Committed,
            reason: String::new(),
            message: String::new(),
            method: String::new(),
            metadata,
        })
    }

    /// The project it lies in.
    pub fn project(&self) -> Option<Name> {
        self.resource.project()
    }

    fn of_call(event: &Recorded, metadata: Metadata) -> Result<Self, DecodeFault> {
        let entry = Self {
            action: metadata.action.clone(),
            resource: name(&metadata.resource),
            outcome: Outcome::Requested,
            reason: String::new(),
            message: String::new(),
            method: String::new(),
            metadata,
        };
        Ok(match event.kind.rsplit('.').next().unwrap_or_default() {
            "AccessDenied" => {
                let AccessDenied { call, permission, reason, message, facts: _ } = decode(event)?;
                Self { action: permission, outcome: Outcome::Denied, reason, message, ..entry }.with(call)
            }
            "CommandRejected" => {
                let CommandRejected { call, reason, message, .. } = decode(event)?;
                Self { outcome: Outcome::Rejected, reason, message, ..entry }.with(call)
            }
            "ReadRecorded" => {
                let ReadRecorded { call, .. } = decode(event)?;
                Self { outcome: Outcome::Read, ..entry }.with(call)
            }
            "RequestRecorded" => {
                let RequestRecorded { call, .. } = decode(event)?;
                entry.with(call)
            }
            "StrangersRefused" => {
                let StrangersRefused { .. } = decode(event)?;
                Self { outcome: Outcome::StrangersRefused, resource: Name::ROOT, ..entry }
            }
            _ => return Err(DecodeFault::UnknownKind(event.kind.to_string())),
        })
    }

    /// Takes over what the guard saw: in a refusal it is more exact than the metadata.
    fn with(mut self, call: Option<Call>) -> Self {
        let Some(call) = call else { return self };
        self.resource = name(&call.resource);
        self.method = call.method;
        self.metadata.principal = call.principal;
        self.metadata.request_id = call.request_id;
        self.metadata.source_address = Some(call.source_address).filter(|address| !address.is_empty());
        self.metadata.decision_id = Some(call.decision_id).filter(|id| !id.is_empty());
        self
    }
}

/// What an event changed. A stream is named after its resource, but may leave ancestors out that the command names.
pub fn changed(stream: &StreamName, named: &str) -> Name {
    let named = name(named);
    if stream.category().starts_with(PROGRAMS) {
        return named;
    }
    match stream.id().parse() {
        Ok(stream) if stream == named => stream,
        Ok(stream) => in_full(&stream, &named).unwrap_or(stream),
        Err(_) => named,
    }
}

/// The full name of what `stream` names in short: `named`, which goes the same way over more ancestors, and whatever
/// `stream` has below it. `projects/p/runs/r/artifacts/a` and `projects/p/experiments/e/runs/r` give
/// `projects/p/experiments/e/runs/r/artifacts/a`.
fn in_full(stream: &Name, named: &Name) -> Option<Name> {
    let (short, long) = (pairs(stream), pairs(named));
    let shared = 1 + short.iter().position(|pair| Some(pair) == long.last())?;
    let mut ancestors = long.iter();
    let goes_the_same_way = short[..shared].iter().all(|pair| ancestors.any(|ancestor| ancestor == pair));
    let mut below = short[shared..].iter();
    let full = below.try_fold(named.clone(), |name, (collection, id)| name.child(collection, id).ok());
    full.filter(|_| goes_the_same_way)
}

/// Collections and ids of a name.
fn pairs(name: &Name) -> Vec<(&str, &str)> {
    let segments: Vec<&str> = name.segments().collect();
    segments.as_chunks::<2>().0.iter().map(|[collection, id]| (*collection, *id)).collect()
}

/// A stored name. History obeys older rules: what does not read lies nowhere in particular, which only those see who see
/// everything.
fn name(text: &str) -> Name {
    text.parse().unwrap_or(Name::ROOT)
}

fn decode<M: Message + Default>(event: &Recorded) -> Result<M, DecodeFault> {
    M::decode(event.payload.clone())
        .map_err(|fault| DecodeFault::Malformed { kind: event.kind.to_string(), message: fault.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_name_its_stream_into_a_project() {
        assert_eq!(changed(&StreamName::of("eventstore.stream", "projects/p"), "*"), Name::ROOT);
        assert_eq!(changed(&StreamName::of("auth.project", "projects/p"), "*"), "projects/p".parse().unwrap());
    }

    #[test]
    fn a_stream_that_leaves_ancestors_out_is_shown_under_its_full_name() {
        let full = |stream: &str, named: &str| {
            let (stream, named) = (stream.parse().unwrap(), named.parse().unwrap());
            in_full(&stream, &named).unwrap_or(stream).to_string()
        };
        let run = "projects/p/experiments/e/runs/r";
        assert_eq!(full("projects/p/runs/r", run), run);
        assert_eq!(full("projects/p/runs/r/artifacts/a", run), format!("{run}/artifacts/a"));
        assert_eq!(full(run, "projects/p"), run);
        assert_eq!(full("projects/p/runs/r", "projects/p"), "projects/p/runs/r");
        assert_eq!(full("projects/p/runs/r", "projects/p/experiments/e/runs/other"), "projects/p/runs/r");
        assert_eq!(full("projects/p/runs/r", "projects/q/experiments/e/runs/r"), "projects/p/runs/r");
        assert_eq!(full("users/u", "*"), "users/u");
    }
}
