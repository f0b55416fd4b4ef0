use std::borrow::Cow;

use cairn_contract::cairn::config::events::v1::KeeperRotated;
use cairn_eventstore::{NewEvent, Order, Write};
use cairn_kernel::{Expected, StreamName};
use prost::{Message, Name};
use uuid::Uuid;

/// Where rotations are told: nothing is decided by them.
const STREAM: &str = "config.keeper-*";

/// A rotation of the key-encryption key, ready to be appended.
pub fn rotated(order: &Order, kind: &str, key: &str) -> Write {
    let message = KeeperRotated { kind: kind.to_owned(), key: key.to_owned() };
    let event = NewEvent {
        id: order.request.as_ref().map_or_else(Uuid::new_v4, |request| request.event_id(0)),
        kind: Cow::Owned(KeeperRotated::full_name()),
        payload: message.encode_to_vec().into(),
        metadata: order.metadata.encode().into(),
    };
    Write { stream: StreamName::stored(STREAM), expected: Expected::Any, follows: None, events: vec![event] }
}
