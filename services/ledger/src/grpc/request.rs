//! How the fields of requests are read.

use cairn_contract::Contract;
use cairn_kernel::{Name, Position, Time};
use cairn_service::{Refusal, field, refuse};
use prost_types::Timestamp;
use tonic::Status;

use crate::page::Page;

/// A filter on texts; empty: none.
pub fn text(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A filter on resources; empty: everything.
pub fn resource(text: &str) -> Result<Name, Status> {
    if text.is_empty() { Ok(Name::ROOT) } else { field("resource", text) }
}

/// A position of the log; empty: none.
pub fn position(name: &'static str, text: &str) -> Result<Option<Position>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let position = text.parse().map(Position);
    position.map(Some).map_err(|_| refuse(Refusal::invalid(name, format!("{text:?} is not a position"))))
}

/// A moment.
pub fn time(time: Option<Timestamp>) -> Option<Time> {
    time.map(|time| Time::from_seconds_and_nanos(time.seconds, time.nanos))
}

/// The types of event that a full name, or its last part, stands for. One that the contract does not know stands for
/// itself: other programs may write to the log too.
pub fn kinds(contract: &Contract, kind: String) -> Option<Vec<String>> {
    if kind.is_empty() {
        return None;
    }
    let known = contract.events().map(|event| &event.full_name);
    let meant: Vec<_> = known.filter(|name| name.rsplit('.').next() == Some(&kind)).cloned().collect();
    Some(if meant.is_empty() { vec![kind] } else { meant })
}

/// A page of the question that a request asks, `question` being the request without its page.
pub fn page(size: i32, token: &str, question: &[u8]) -> Result<Page, Status> {
    Page::parse(size, token, question).map_err(|fault| refuse(Refusal::of(&fault)))
}
