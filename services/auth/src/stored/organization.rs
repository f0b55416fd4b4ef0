use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::organization::{Change, Event, Pair};
use crate::model::{Organization, OrganizationName, RoleName, Text};

kinds! {
    CREATED = OrganizationCreated;
    DESCRIBED = OrganizationDescribed;
    SEPARATED = OrganizationDutiesSeparated;
    DELETED = OrganizationDeleted;
    RESTORED = OrganizationRestored;
}

impl Stored for Organization {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let organization = event.organization.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created { title, description } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                (CREATED, proto::OrganizationCreated { organization, title, description }.encode_to_vec())
            }
            Change::Described { title, description } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                (DESCRIBED, proto::OrganizationDescribed { organization, title, description }.encode_to_vec())
            }
            Change::DutiesSeparated { pairs } => {
                let pairs = pairs.iter().map(pair).collect();
                (SEPARATED, proto::OrganizationDutiesSeparated { organization, pairs }.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::OrganizationDeleted { organization }.encode_to_vec()),
            Change::Restored => (RESTORED, proto::OrganizationRestored { organization }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (organization, change) = match kind {
            CREATED => {
                let proto::OrganizationCreated { organization, title, description } = read(payload)?;
                (organization, Change::Created { title: Text::stored(title), description: Text::stored(description) })
            }
            DESCRIBED => {
                let proto::OrganizationDescribed { organization, title, description } = read(payload)?;
                (organization, Change::Described { title: Text::stored(title), description: Text::stored(description) })
            }
            SEPARATED => {
                let proto::OrganizationDutiesSeparated { organization, pairs } = read(payload)?;
                let pairs = pairs.into_iter().map(|pair| Pair {
                    role: RoleName::stored(pair.role),
                    other_role: RoleName::stored(pair.other_role),
                    reason: Text::stored(pair.reason),
                });
                (organization, Change::DutiesSeparated { pairs: pairs.collect() })
            }
            DELETED => (read::<proto::OrganizationDeleted>(payload)?.organization, Change::Deleted),
            RESTORED => (read::<proto::OrganizationRestored>(payload)?.organization, Change::Restored),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { organization: OrganizationName::stored(organization), change })
    }
}

/// Two roles that are to be apart, as they are stored.
pub(crate) fn pair(pair: &Pair) -> proto::organization_duties_separated::Pair {
    proto::organization_duties_separated::Pair {
        role: pair.role.to_string(),
        other_role: pair.other_role.to_string(),
        reason: pair.reason.as_str().to_owned(),
    }
}
