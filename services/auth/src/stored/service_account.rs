use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::service_account::{Change, Event};
use crate::model::{OrganizationName, ServiceAccount, ServiceAccountName, Text};

kinds! {
    CREATED = ServiceAccountCreated;
    DESCRIBED = ServiceAccountDescribed;
    DISABLED = ServiceAccountDisabled;
    ENABLED = ServiceAccountEnabled;
    DELETED = ServiceAccountDeleted;
}

impl Stored for ServiceAccount {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let service_account = event.service_account.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created { title, description, organization } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                let organization = organization.as_ref().map(ToString::to_string).unwrap_or_default();
                let message = proto::ServiceAccountCreated { service_account, title, description, organization };
                (CREATED, message.encode_to_vec())
            }
            Change::Described { title, description } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                (DESCRIBED, proto::ServiceAccountDescribed { service_account, title, description }.encode_to_vec())
            }
            Change::Disabled { reason } => {
                let reason = reason.as_str().to_owned();
                (DISABLED, proto::ServiceAccountDisabled { service_account, reason }.encode_to_vec())
            }
            Change::Enabled => (ENABLED, proto::ServiceAccountEnabled { service_account }.encode_to_vec()),
            Change::Deleted => (DELETED, proto::ServiceAccountDeleted { service_account }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (service_account, change) = match kind {
            CREATED => {
                let proto::ServiceAccountCreated { service_account, title, description, organization } = read(payload)?;
                let (title, description) = (Text::stored(title), Text::stored(description));
                let organization = (!organization.is_empty()).then(|| OrganizationName::stored(organization));
                (service_account, Change::Created { title, description, organization })
            }
            DESCRIBED => {
                let proto::ServiceAccountDescribed { service_account, title, description } = read(payload)?;
                let (title, description) = (Text::stored(title), Text::stored(description));
                (service_account, Change::Described { title, description })
            }
            DISABLED => {
                let proto::ServiceAccountDisabled { service_account, reason } = read(payload)?;
                (service_account, Change::Disabled { reason: Text::stored(reason) })
            }
            ENABLED => (read::<proto::ServiceAccountEnabled>(payload)?.service_account, Change::Enabled),
            DELETED => (read::<proto::ServiceAccountDeleted>(payload)?.service_account, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { service_account: ServiceAccountName::stored(service_account), change })
    }
}
