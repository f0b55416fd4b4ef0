use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::group::{About, Change, Event};
use crate::model::{Group, GroupName, HolderName, Text};

kinds! {
    CREATED = GroupCreated;
    DESCRIBED = GroupDescribed;
    ADDED = GroupMembersAdded;
    REMOVED = GroupMembersRemoved;
    DELETED = GroupDeleted;
}

impl Stored for Group {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let group = event.group.to_string();
        let texts = |members: &[HolderName]| members.iter().map(ToString::to_string).collect();
        let (kind, bytes) = match &event.change {
            Change::Created { about } => {
                let (display_name, description, external_id) = words(about);
                (CREATED, proto::GroupCreated { group, display_name, description, external_id }.encode_to_vec())
            }
            Change::Described { about } => {
                let (display_name, description, external_id) = words(about);
                (DESCRIBED, proto::GroupDescribed { group, display_name, description, external_id }.encode_to_vec())
            }
            Change::MembersAdded { members } => {
                (ADDED, proto::GroupMembersAdded { group, members: texts(members) }.encode_to_vec())
            }
            Change::MembersRemoved { members } => {
                (REMOVED, proto::GroupMembersRemoved { group, members: texts(members) }.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::GroupDeleted { group }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let names = |members: Vec<String>| members.into_iter().map(HolderName::stored).collect();
        let (group, change) = match kind {
            CREATED => {
                let proto::GroupCreated { group, display_name, description, external_id } = read(payload)?;
                (group, Change::Created { about: about(display_name, description, external_id) })
            }
            DESCRIBED => {
                let proto::GroupDescribed { group, display_name, description, external_id } = read(payload)?;
                (group, Change::Described { about: about(display_name, description, external_id) })
            }
            ADDED => {
                let proto::GroupMembersAdded { group, members } = read(payload)?;
                (group, Change::MembersAdded { members: names(members) })
            }
            REMOVED => {
                let proto::GroupMembersRemoved { group, members } = read(payload)?;
                (group, Change::MembersRemoved { members: names(members) })
            }
            DELETED => (read::<proto::GroupDeleted>(payload)?.group, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { group: GroupName::stored(group), change })
    }
}

fn words(about: &About) -> (String, String, String) {
    let About { display_name, description, external_id } = about;
    (display_name.as_str().to_owned(), description.as_str().to_owned(), external_id.as_str().to_owned())
}

fn about(display_name: String, description: String, external_id: String) -> About {
    About {
        display_name: Text::stored(display_name),
        description: Text::stored(description),
        external_id: Text::stored(external_id),
    }
}
