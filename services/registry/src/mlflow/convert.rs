//! Records in MLflow's messages.

use super::proto;
use crate::query::{ModelRecord, VersionRecord};

/// A model with the newest version of each stage.
pub(super) fn model(record: ModelRecord, latest: Vec<VersionRecord>) -> proto::RegisteredModel {
    let tag = |(key, value)| proto::RegisteredModelTag { key: Some(key), value: Some(value) };
    proto::RegisteredModel {
        name: Some(record.display_name),
        creation_timestamp: Some(record.create_time.millis()),
        last_updated_timestamp: Some(record.update_time.millis()),
        user_id: None,
        description: Some(record.description).filter(|description| !description.is_empty()),
        latest_versions: latest.into_iter().map(bare).collect(),
        tags: record.tags.into_iter().map(tag).collect(),
        aliases: record
            .aliases
            .into_iter()
            .map(|(alias, version)| proto::RegisteredModelAlias {
                alias: Some(alias),
                version: Some(version.to_string()),
            })
            .collect(),
    }
}

/// A version as it stands in a list, where MLflow's server leaves its aliases out.
pub(super) fn bare(record: VersionRecord) -> proto::ModelVersion {
    version(VersionRecord { aliases: vec![], ..record })
}

pub(super) fn version(record: VersionRecord) -> proto::ModelVersion {
    let facts = &record.facts;
    let tag = |(key, value)| proto::ModelVersionTag { key: Some(key), value: Some(value) };
    proto::ModelVersion {
        name: Some(record.model_display_name),
        version: Some(record.name.number().to_string()),
        creation_timestamp: Some(record.create_time.millis()),
        last_updated_timestamp: Some(record.update_time.millis()),
        user_id: None,
        current_stage: Some(record.stage.as_str().to_owned()),
        description: Some(record.description),
        source: Some(facts.source_uri.clone()),
        run_id: Some(facts.source_run.rsplit('/').next().unwrap_or_default().to_owned()),
        status: Some(proto::ModelVersionStatus::Ready.into()),
        status_message: None,
        tags: record.tags.into_iter().map(tag).collect(),
        run_link: Some(facts.run_link.clone()),
        aliases: record.aliases,
    }
}
