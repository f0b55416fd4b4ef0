//! KurrentDB's protocol: messages, clients and servers of `event_store.client`, with the published names and numbers, and
//! what our options say of each method.
//!
//! Not part of Cairn's own contract, because others have the word on it. What a call takes and what is recorded of it is
//! stated in the same way, so that the same guard stands in front of it. Knows nothing of how a call is answered.

mod generated {
    #![allow(clippy::all, clippy::pedantic, missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/_includes.rs"));
}

use std::sync::LazyLock;

use cairn_contract::{Contract, Violations};

pub use generated::event_store::client::{self as shared, gossip, server_features, streams};

const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// What each method of the protocol takes, and what is recorded of it.
pub fn contract() -> Result<&'static Contract, &'static Violations> {
    static CONTRACT: LazyLock<Result<Contract, Violations>> = LazyLock::new(|| Contract::decode(DESCRIPTORS));
    CONTRACT.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_right_of_the_protocol_is_a_word_of_the_contract() {
        let contract = contract().unwrap();
        assert_eq!(contract.methods().len(), 7);
        let ours: Vec<&str> = Contract::embedded()
            .unwrap()
            .methods()
            .iter()
            .flat_map(|method| std::iter::once(&method.permission).chain(&method.further_permissions))
            .map(String::as_str)
            .collect();
        for permission in contract.permissions() {
            assert!(ours.contains(&permission.word), "{} is not in the contract", permission.word);
        }
    }

    #[test]
    fn everything_written_under_the_protocol_is_an_event_of_the_contract() {
        for method in contract().unwrap().methods() {
            for event in &method.events {
                assert!(Contract::embedded().unwrap().event(event).is_some(), "{event}");
            }
        }
    }
}
