use std::sync::Arc;

use cairn_contract::cairn::experiments::events::v1 as experiments;
use cairn_contract::cairn::registry::events::v1 as registry;
use cairn_eventstore::{DecodeFault, Filter, Recorded};
use cairn_kernel::Aggregate;
use cairn_projection::{Copied, Projection, ProjectionFault};
use prost::{Message, Name};
use rusqlite::{Connection, Transaction, params};

use crate::model::{Model, Version};

/// Writes which files runs and logged models have, and which versions had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Files;

/// The streams of artifacts.
const ARTIFACTS: &str = "experiments.artifact";

const RECORDED: &str = "cairn.experiments.events.v1.ArtifactRecorded";
const DELETED: &str = "cairn.experiments.events.v1.ArtifactDeleted";
const CREATED: &str = "cairn.registry.events.v1.ModelVersionCreated";
const VERSION_GONE: &str = "cairn.registry.events.v1.VersionDeleted";
const MODEL_GONE: &str = "cairn.registry.events.v1.ModelDeleted";

impl Projection for Files {
    const NAME: &'static str = "registry.version_files.v1";
    /// `artifacts` holds the list of a version as its first event does.
    const SCHEMA: &'static str = "
        CREATE TABLE source_file (
            owner TEXT NOT NULL, path TEXT NOT NULL, object_key TEXT NOT NULL, sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            PRIMARY KEY (owner, path)
        ) WITHOUT ROWID, STRICT;
        CREATE TABLE version_files (version TEXT PRIMARY KEY, artifacts BLOB NOT NULL) STRICT;
    ";
    const COPIED: Option<Copied> = Some(Copied::WHOLE);

    fn filter(&self) -> Filter {
        let categories = [ARTIFACTS, Version::CATEGORY, Model::CATEGORY].map(str::to_owned);
        let kinds = [RECORDED, DELETED, CREATED, VERSION_GONE, MODEL_GONE].map(str::to_owned);
        Filter { categories: categories.into(), kinds: kinds.into() }
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        events.iter().try_for_each(|recorded| apply(tx, recorded))
    }
}

fn apply(tx: &Connection, recorded: &Recorded) -> Result<(), ProjectionFault> {
    match &*recorded.kind {
        RECORDED => {
            let file: experiments::ArtifactRecorded = read(recorded)?;
            tx.prepare_cached(
                "INSERT OR REPLACE INTO source_file (owner, path, object_key, sha256, size) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![file.owner, file.path, file.object_key, file.sha256, file.size_bytes])?;
        }
        DELETED => {
            let file: experiments::ArtifactDeleted = read(recorded)?;
            tx.prepare_cached("DELETE FROM source_file WHERE owner = ?1 AND path = ?2")?
                .execute(params![file.owner, file.path])?;
        }
        CREATED => {
            let registry::ModelVersionCreated { version, artifacts, .. } = read(recorded)?;
            if !artifacts.is_empty() {
                let list = registry::ModelVersionCreated { artifacts, ..Default::default() }.encode_to_vec();
                tx.prepare_cached("INSERT OR REPLACE INTO version_files (version, artifacts) VALUES (?1, ?2)")?
                    .execute(params![version, list])?;
            }
        }
        VERSION_GONE => {
            let gone: registry::VersionDeleted = read(recorded)?;
            let version = format!("{}/versions/{}", gone.model, gone.version);
            tx.prepare_cached("DELETE FROM version_files WHERE version = ?1")?.execute([version])?;
        }
        MODEL_GONE => {
            let gone: registry::ModelDeleted = read(recorded)?;
            tx.prepare_cached(
                "DELETE FROM version_files WHERE version >= ?1 || '/versions/' AND version < ?1 || '/versions0'",
            )?
            .execute([gone.model])?;
        }
        _ => {}
    }
    Ok(())
}

fn read<M: Message + Default + Name>(recorded: &Recorded) -> Result<M, DecodeFault> {
    let malformed = |fault: prost::DecodeError| DecodeFault::Malformed {
        kind: recorded.kind.to_string(),
        message: fault.to_string(),
    };
    M::decode(&*recorded.payload).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_the_full_names_of_their_messages() {
        assert_eq!(RECORDED, experiments::ArtifactRecorded::full_name());
        assert_eq!(DELETED, experiments::ArtifactDeleted::full_name());
        assert_eq!(CREATED, registry::ModelVersionCreated::full_name());
        assert_eq!(VERSION_GONE, registry::VersionDeleted::full_name());
        assert_eq!(MODEL_GONE, registry::ModelDeleted::full_name());
    }
}
