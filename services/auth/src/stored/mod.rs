//! Our events as they are stored, and stored events as they are ours. Every shape ever stored is read here, and nothing
//! read is judged: history obeys older rules.

mod administrators;
pub(crate) mod binding;
mod break_glass;
mod device_login;
mod group;
mod guardrail;
mod identity;
mod identity_provider;
mod key;
mod oauth_client;
pub(crate) mod organization;
mod project;
mod role;
mod service_account;
mod session;
mod signing_keys;
mod trust_rule;
mod user;

pub(crate) use identity_provider::stored as settings;

use cairn_eventstore::DecodeFault;
use cairn_kernel::Time;
use prost::{Message, Name};
use prost_types::Timestamp;

/// Reads a stored message.
pub(crate) fn read<M: Message + Default + Name>(payload: &[u8]) -> Result<M, DecodeFault> {
    M::decode(payload).map_err(|fault| malformed(&M::full_name(), fault))
}

fn malformed(kind: &str, problem: impl std::fmt::Display) -> DecodeFault {
    DecodeFault::Malformed { kind: kind.to_owned(), message: problem.to_string() }
}

/// Reads a stored resource name: without it the event would mean something else.
fn name(kind: &str, text: &str) -> Result<cairn_kernel::Name, DecodeFault> {
    text.parse().map_err(|fault| malformed(kind, fault))
}

pub(crate) fn time(timestamp: Timestamp) -> Time {
    Time::from_seconds_and_nanos(timestamp.seconds, timestamp.nanos)
}

/// The full name of each of these messages, as constants, and a check of the constants against the contract.
macro_rules! kinds {
    ($($constant:ident = $message:ident;)+) => {
        $(const $constant: &str = concat!("cairn.auth.events.v1.", stringify!($message));)+

        #[cfg(test)]
        #[test]
        fn kinds_are_the_full_names_of_their_messages() {
            $(assert_eq!($constant, <proto::$message as prost::Name>::full_name());)+
        }
    };
}
use kinds;
