use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::administrators::Event;
use crate::model::{Administrators, BindingName, PrincipalName};

kinds! {
    ADDED = AdministratorAdded;
    REMOVED = AdministratorRemoved;
    SUSPENDED = AdministratorSuspended;
    RESUMED = AdministratorResumed;
}

impl Stored for Administrators {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let (kind, bytes) = match event {
            Event::Added { principal, binding } => {
                let (principal, binding) = (principal.to_string(), binding.to_string());
                (ADDED, proto::AdministratorAdded { principal, binding }.encode_to_vec())
            }
            Event::Removed { principal, binding } => {
                let (principal, binding) = (principal.to_string(), binding.to_string());
                (REMOVED, proto::AdministratorRemoved { principal, binding }.encode_to_vec())
            }
            Event::Suspended { principal } => {
                (SUSPENDED, proto::AdministratorSuspended { principal: principal.to_string() }.encode_to_vec())
            }
            Event::Resumed { principal } => {
                (RESUMED, proto::AdministratorResumed { principal: principal.to_string() }.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        match kind {
            ADDED => {
                let proto::AdministratorAdded { principal, binding } = read(payload)?;
                Ok(Event::Added { principal: PrincipalName::stored(principal), binding: BindingName::stored(binding) })
            }
            REMOVED => {
                let proto::AdministratorRemoved { principal, binding } = read(payload)?;
                Ok(Event::Removed {
                    principal: PrincipalName::stored(principal),
                    binding: BindingName::stored(binding),
                })
            }
            SUSPENDED => {
                let proto::AdministratorSuspended { principal } = read(payload)?;
                Ok(Event::Suspended { principal: PrincipalName::stored(principal) })
            }
            RESUMED => {
                let proto::AdministratorResumed { principal } = read(payload)?;
                Ok(Event::Resumed { principal: PrincipalName::stored(principal) })
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}
