use bytes::Bytes;
use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_service::timestamp;
use prost::Message;

use super::{kinds, name, read};
use crate::convert::from_timestamp;
use crate::model::experiment::{Change, Event};
use crate::model::{Experiment, Origin};

kinds! {
    CREATED = ExperimentCreated;
    IMPORTED = ExperimentImported;
    RENAMED = ExperimentRenamed;
    TAGS_SET = ExperimentTagsSet;
    TAGS_DELETED = ExperimentTagsDeleted;
    DELETED = ExperimentDeleted;
    RESTORED = ExperimentRestored;
}

impl Stored for Experiment {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let experiment = event.experiment.to_string();
        match event.change.clone() {
            Change::Created { display_name, artifact_location, tags } => {
                let message = proto::ExperimentCreated { experiment, display_name, artifact_location, tags };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Imported(Origin { source, create_time }) => {
                let create_time = Some(timestamp(create_time));
                (IMPORTED, proto::ExperimentImported { experiment, source, create_time }.encode_to_vec().into())
            }
            Change::Renamed { from, to, revision } => {
                let message = proto::ExperimentRenamed {
                    experiment,
                    from_display_name: from,
                    to_display_name: to,
                    experiment_revision: revision,
                };
                (RENAMED, message.encode_to_vec().into())
            }
            Change::TagsSet { tags, revision } => {
                let message = proto::ExperimentTagsSet { experiment, tags, experiment_revision: revision };
                (TAGS_SET, message.encode_to_vec().into())
            }
            Change::TagsDeleted { keys, revision } => {
                let message = proto::ExperimentTagsDeleted { experiment, keys, experiment_revision: revision };
                (TAGS_DELETED, message.encode_to_vec().into())
            }
            Change::Deleted => (DELETED, proto::ExperimentDeleted { experiment }.encode_to_vec().into()),
            Change::Restored => (RESTORED, proto::ExperimentRestored { experiment }.encode_to_vec().into()),
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (experiment, change) = match kind {
            CREATED => {
                let proto::ExperimentCreated { experiment, display_name, artifact_location, tags } = read(payload)?;
                (experiment, Change::Created { display_name, artifact_location, tags })
            }
            IMPORTED => {
                let proto::ExperimentImported { experiment, source, create_time } = read(payload)?;
                let create_time = create_time.as_ref().map(from_timestamp).unwrap_or_default();
                (experiment, Change::Imported(Origin { source, create_time }))
            }
            RENAMED => {
                let message: proto::ExperimentRenamed = read(payload)?;
                let change = Change::Renamed {
                    from: message.from_display_name,
                    to: message.to_display_name,
                    revision: message.experiment_revision,
                };
                (message.experiment, change)
            }
            TAGS_SET => {
                let proto::ExperimentTagsSet { experiment, tags, experiment_revision: revision } = read(payload)?;
                (experiment, Change::TagsSet { tags, revision })
            }
            TAGS_DELETED => {
                let proto::ExperimentTagsDeleted { experiment, keys, experiment_revision: revision } = read(payload)?;
                (experiment, Change::TagsDeleted { keys, revision })
            }
            DELETED => (read::<proto::ExperimentDeleted>(payload)?.experiment, Change::Deleted),
            RESTORED => (read::<proto::ExperimentRestored>(payload)?.experiment, Change::Restored),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { experiment: name(kind, &experiment)?, change })
    }
}
