//! Our events as they are stored, and stored events as they are ours. Every shape ever stored is read here, and nothing
//! read is judged: history obeys older rules.

mod keeper;
mod scope;
mod secret;

use cairn_eventstore::DecodeFault;
use prost::{Message, Name};

pub use keeper::rotated;

/// Reads a stored message.
fn read<M: Message + Default + Name>(payload: &[u8]) -> Result<M, DecodeFault> {
    M::decode(payload).map_err(|fault| malformed(&M::full_name(), fault))
}

fn malformed(kind: &str, problem: impl std::fmt::Display) -> DecodeFault {
    DecodeFault::Malformed { kind: kind.to_owned(), message: problem.to_string() }
}

/// The full name of each of these messages, as constants, and a check of the constants against the contract.
macro_rules! kinds {
    ($($constant:ident = $message:ident;)+) => {
        $(const $constant: &str = concat!("cairn.config.events.v1.", stringify!($message));)+

        #[cfg(test)]
        #[test]
        fn kinds_are_the_full_names_of_their_messages() {
            $(assert_eq!($constant, <proto::$message as prost::Name>::full_name());)+
        }
    };
}
use kinds;
