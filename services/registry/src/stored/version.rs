use cairn_service::timestamp;
use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::artifacts::{
    decode_artifact, decode_check, decode_manifest, encode_artifact, encode_check, encode_manifest,
};
use super::{kinds, name, read};
use crate::convert::{from_timestamp, reference_statistics, signature};
use crate::model::version::{Change, Event, Facts};
use crate::model::{Origin, Version};

kinds! {
    CREATED = ModelVersionCreated;
    IMPORTED = ModelVersionImported;
    DESCRIBED = ModelVersionDescribed;
    TAGS_SET = ModelVersionTagsSet;
    TAGS_DELETED = ModelVersionTagsDeleted;
}

impl Stored for Version {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let version = event.version.to_string();
        match event.change.clone() {
            Change::Created { description, tags, facts, artifacts } => {
                let Facts {
                    source_run,
                    source_model,
                    source_uri,
                    artifact_uri,
                    run_link,
                    framework,
                    signature,
                    hyperparameters,
                    metrics,
                    reference_statistics,
                    manifest,
                    signature_check,
                } = Facts::clone(&facts);
                let message = proto::ModelVersionCreated {
                    version,
                    description,
                    tags,
                    source_run,
                    source_model,
                    source_uri,
                    artifact_uri,
                    run_link,
                    framework,
                    signature: signature.map(Into::into),
                    hyperparameters,
                    metrics: metrics.as_ref().clone(),
                    reference_statistics: reference_statistics.map(Into::into),
                    artifact_manifest: encode_manifest(&manifest),
                    artifacts: artifacts.iter().map(encode_artifact).collect(),
                    signature_check: encode_check(&signature_check),
                };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Imported(Origin { source, create_time }) => {
                let create_time = Some(timestamp(create_time));
                (IMPORTED, proto::ModelVersionImported { version, source, create_time }.encode_to_vec().into())
            }
            Change::Described(description) => {
                (DESCRIBED, proto::ModelVersionDescribed { version, description }.encode_to_vec().into())
            }
            Change::TagsSet(tags) => (TAGS_SET, proto::ModelVersionTagsSet { version, tags }.encode_to_vec().into()),
            Change::TagsDeleted(keys) => {
                (TAGS_DELETED, proto::ModelVersionTagsDeleted { version, keys }.encode_to_vec().into())
            }
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (version, change) = match kind {
            CREATED => {
                let mut message: proto::ModelVersionCreated = read(payload)?;
                let (description, tags) = (message.description.clone(), message.tags.clone());
                let version = message.version.clone();
                let artifacts = std::mem::take(&mut message.artifacts).into_iter().map(decode_artifact).collect();
                let (facts, artifacts) = (Arc::new(facts(message)), Arc::new(artifacts));
                (version, Change::Created { description, tags, facts, artifacts })
            }
            IMPORTED => {
                let proto::ModelVersionImported { version, source, create_time } = read(payload)?;
                let create_time = create_time.as_ref().map(from_timestamp).unwrap_or_default();
                (version, Change::Imported(Origin { source, create_time }))
            }
            DESCRIBED => {
                let proto::ModelVersionDescribed { version, description } = read(payload)?;
                (version, Change::Described(description))
            }
            TAGS_SET => {
                let proto::ModelVersionTagsSet { version, tags } = read(payload)?;
                (version, Change::TagsSet(tags))
            }
            TAGS_DELETED => {
                let proto::ModelVersionTagsDeleted { version, keys } = read(payload)?;
                (version, Change::TagsDeleted(keys))
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { version: name(kind, &version)?, change })
    }
}

/// What a version is, out of its first event.
pub(crate) fn facts(message: proto::ModelVersionCreated) -> Facts {
    Facts {
        source_run: message.source_run,
        source_model: message.source_model,
        source_uri: message.source_uri,
        artifact_uri: message.artifact_uri,
        run_link: message.run_link,
        framework: message.framework,
        signature: message.signature.map(signature),
        hyperparameters: message.hyperparameters,
        metrics: Arc::new(message.metrics),
        reference_statistics: message.reference_statistics.map(reference_statistics),
        manifest: decode_manifest(message.artifact_manifest),
        signature_check: decode_check(message.signature_check),
    }
}
