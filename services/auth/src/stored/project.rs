use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::project::{Change, Event};
use crate::model::{Project, ProjectName, Text};

kinds! {
    CREATED = ProjectCreated;
    DESCRIBED = ProjectDescribed;
    DELETED = ProjectDeleted;
    RESTORED = ProjectRestored;
}

impl Stored for Project {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let project = event.project.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created { title, description } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                (CREATED, proto::ProjectCreated { project, title, description }.encode_to_vec())
            }
            Change::Described { title, description } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                (DESCRIBED, proto::ProjectDescribed { project, title, description }.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::ProjectDeleted { project }.encode_to_vec()),
            Change::Restored => (RESTORED, proto::ProjectRestored { project }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (project, change) = match kind {
            CREATED => {
                let proto::ProjectCreated { project, title, description } = read(payload)?;
                (project, Change::Created { title: Text::stored(title), description: Text::stored(description) })
            }
            DESCRIBED => {
                let proto::ProjectDescribed { project, title, description } = read(payload)?;
                (project, Change::Described { title: Text::stored(title), description: Text::stored(description) })
            }
            DELETED => (read::<proto::ProjectDeleted>(payload)?.project, Change::Deleted),
            RESTORED => (read::<proto::ProjectRestored>(payload)?.project, Change::Restored),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { project: ProjectName::stored(project), change })
    }
}
