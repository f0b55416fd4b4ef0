use bytes::Bytes;
use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_service::timestamp;
use prost::Message;

use super::{kinds, name, read};
use crate::convert::from_timestamp;
use crate::model::logged_model::{Change, Event};
use crate::model::{LoggedModel, Origin};

kinds! {
    CREATED = LoggedModelCreated;
    IMPORTED = LoggedModelImported;
    READIED = LoggedModelReadied;
    FAILED = LoggedModelFailed;
    TAGS_SET = LoggedModelTagsSet;
    TAGS_DELETED = LoggedModelTagsDeleted;
    PARAMS_LOGGED = LoggedModelParamsLogged;
    DELETED = LoggedModelDeleted;
}

impl Stored for LoggedModel {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let model = event.model.to_string();
        match event.change.clone() {
            Change::Created { display_name, source_run, model_type, artifact_location, params, tags } => {
                let message = proto::LoggedModelCreated {
                    model,
                    display_name,
                    source_run,
                    model_type,
                    artifact_location,
                    params,
                    tags,
                };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Imported(Origin { source, create_time }) => {
                let create_time = Some(timestamp(create_time));
                (IMPORTED, proto::LoggedModelImported { model, source, create_time }.encode_to_vec().into())
            }
            Change::Readied => (READIED, proto::LoggedModelReadied { model }.encode_to_vec().into()),
            Change::Failed => (FAILED, proto::LoggedModelFailed { model }.encode_to_vec().into()),
            Change::TagsSet(tags) => (TAGS_SET, proto::LoggedModelTagsSet { model, tags }.encode_to_vec().into()),
            Change::TagsDeleted(keys) => {
                (TAGS_DELETED, proto::LoggedModelTagsDeleted { model, keys }.encode_to_vec().into())
            }
            Change::ParamsLogged(params) => {
                (PARAMS_LOGGED, proto::LoggedModelParamsLogged { model, params }.encode_to_vec().into())
            }
            Change::Deleted => (DELETED, proto::LoggedModelDeleted { model }.encode_to_vec().into()),
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (model, change) = match kind {
            CREATED => {
                let proto::LoggedModelCreated {
                    model,
                    display_name,
                    source_run,
                    model_type,
                    artifact_location,
                    params,
                    tags,
                } = read(payload)?;
                (model, Change::Created { display_name, source_run, model_type, artifact_location, params, tags })
            }
            IMPORTED => {
                let proto::LoggedModelImported { model, source, create_time } = read(payload)?;
                let create_time = create_time.as_ref().map(from_timestamp).unwrap_or_default();
                (model, Change::Imported(Origin { source, create_time }))
            }
            READIED => (read::<proto::LoggedModelReadied>(payload)?.model, Change::Readied),
            FAILED => (read::<proto::LoggedModelFailed>(payload)?.model, Change::Failed),
            TAGS_SET => {
                let proto::LoggedModelTagsSet { model, tags } = read(payload)?;
                (model, Change::TagsSet(tags))
            }
            TAGS_DELETED => {
                let proto::LoggedModelTagsDeleted { model, keys } = read(payload)?;
                (model, Change::TagsDeleted(keys))
            }
            PARAMS_LOGGED => {
                let proto::LoggedModelParamsLogged { model, params } = read(payload)?;
                (model, Change::ParamsLogged(params))
            }
            DELETED => (read::<proto::LoggedModelDeleted>(payload)?.model, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { model: name(kind, &model)?, change })
    }
}
