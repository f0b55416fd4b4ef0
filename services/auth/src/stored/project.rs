use bytes::Bytes;
use cairn_access::DEFAULT_ORGANIZATION;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::project::{Change, Event};
use crate::model::{OrganizationName, Project, ProjectName, Quota, TagText, Text};

kinds! {
    CREATED = ProjectCreated;
    DESCRIBED = ProjectDescribed;
    CLASSIFIED = ProjectClassified;
    QUOTA_SET = ProjectQuotaSet;
    DELETED = ProjectDeleted;
    RESTORED = ProjectRestored;
}

impl Stored for Project {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let project = event.project.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created { title, description, organization } => {
                let (title, description) = (title.as_str().to_owned(), description.as_str().to_owned());
                let organization = organization.to_string();
                (CREATED, proto::ProjectCreated { project, title, description, organization }.encode_to_vec())
            }
            Change::Classified { tags } => {
                let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
                (CLASSIFIED, proto::ProjectClassified { project, tags }.encode_to_vec())
            }
            Change::QuotaSet { quota } => {
                let Quota { runs_max, concurrent_runs_max, storage_bytes_max, requests_per_second } = *quota;
                let event = proto::ProjectQuotaSet {
                    project,
                    runs_max,
                    concurrent_runs_max,
                    storage_bytes_max,
                    requests_per_second,
                };
                (QUOTA_SET, event.encode_to_vec())
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
                let proto::ProjectCreated { project, title, description, organization } = read(payload)?;
                let (title, description) = (Text::stored(title), Text::stored(description));
                // Projects of before there were organizations belong to the default one.
                let organization = if organization.is_empty() { DEFAULT_ORGANIZATION.to_owned() } else { organization };
                let organization = OrganizationName::stored(organization);
                (project, Change::Created { title, description, organization })
            }
            CLASSIFIED => {
                let proto::ProjectClassified { project, tags } = read(payload)?;
                let tags = tags.into_iter().map(|(key, value)| (TagText::stored(key), TagText::stored(value)));
                (project, Change::Classified { tags: tags.collect() })
            }
            QUOTA_SET => {
                let proto::ProjectQuotaSet {
                    project,
                    runs_max,
                    concurrent_runs_max,
                    storage_bytes_max,
                    requests_per_second,
                } = read(payload)?;
                let quota = Quota { runs_max, concurrent_runs_max, storage_bytes_max, requests_per_second };
                (project, Change::QuotaSet { quota })
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
