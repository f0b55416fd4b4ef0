use std::collections::HashMap;
use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::Aggregate;
use cairn_projection::{Copied, Projection as Project, ProjectionFault};
use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::artifact::{Artifact, Change};

/// Writes which artifacts there are.
pub(super) struct Projection;

const UPSERT: &str = "
    INSERT INTO artifacts (owner, path, id, object_key, size, sha256, media_type, create_time, creator, revision)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    ON CONFLICT (owner, path) DO UPDATE SET
        object_key = excluded.object_key, size = excluded.size, sha256 = excluded.sha256,
        media_type = excluded.media_type, create_time = excluded.create_time, creator = excluded.creator,
        revision = excluded.revision";

/// How much more a project keeps than before.
const COUNT: &str = "
    INSERT INTO project_usage (project, bytes, artifacts) VALUES (?1, ?2, ?3)
    ON CONFLICT (project) DO UPDATE SET bytes = bytes + excluded.bytes, artifacts = artifacts + excluded.artifacts";

impl Project for Projection {
    const NAME: &'static str = "experiments.artifacts.v2";
    const PAST: Option<&'static str> = Some("experiments.artifacts.v2.past");

    const SCHEMA: &'static str = "
        CREATE TABLE artifacts (
            owner TEXT NOT NULL,
            path TEXT NOT NULL,
            id TEXT NOT NULL,
            object_key TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            media_type TEXT NOT NULL,
            create_time INTEGER NOT NULL,
            creator TEXT NOT NULL,
            revision INTEGER NOT NULL,
            PRIMARY KEY (owner, path)
        ) WITHOUT ROWID, STRICT;
        CREATE UNIQUE INDEX artifacts_by_id ON artifacts (owner, id);
        CREATE INDEX artifacts_by_object ON artifacts (object_key);
        CREATE TABLE project_usage (
            project TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            artifacts INTEGER NOT NULL,
            PRIMARY KEY (project)
        ) WITHOUT ROWID, STRICT;
    ";

    const COPIED: Option<Copied> = Some(Copied {
        left_out: &[],
        renamed: &[("artifacts", "artifact"), ("project_usage", "artifact_usage")],
        readable: include_str!("readable.sql"),
    });

    const READER_INDEXES: &'static [&'static str] = &["artifacts_by_object"];

    fn filter(&self) -> Filter {
        Filter::categories([Artifact::CATEGORY])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut upsert = tx.prepare_cached(UPSERT)?;
        let mut delete = tx.prepare_cached("DELETE FROM artifacts WHERE owner = ?1 AND path = ?2")?;
        let mut known = tx.prepare_cached("SELECT size FROM artifacts WHERE owner = ?1 AND path = ?2")?;
        // Written once for many events.
        let mut usage: HashMap<String, (i64, i64)> = HashMap::new();
        for recorded in events {
            let event = Artifact::decode(&recorded.kind, &recorded.payload)?;
            let (owner, path) = (event.owner.as_str(), event.path.as_str());
            let before: Option<i64> = known.query_row(params![owner, path], |row| row.get(0)).optional()?;
            let after = match &event.change {
                Change::Recorded(content) => Some(i64::try_from(content.size).unwrap_or(i64::MAX)),
                Change::Deleted => None,
            };
            let more = usage.entry(event.owner.project().project().to_owned()).or_default();
            more.0 += after.unwrap_or_default() - before.unwrap_or_default();
            more.1 += i64::from(after.is_some()) - i64::from(before.is_some());
            match &event.change {
                Change::Recorded(content) => upsert.execute(params![
                    owner,
                    path,
                    event.path.id(),
                    content.object_key,
                    after,
                    content.sha256,
                    content.media_type,
                    recorded.time.micros(),
                    recorded.metadata().principal,
                    i64::try_from(recorded.revision.0).unwrap_or(i64::MAX),
                ])?,
                Change::Deleted => delete.execute(params![owner, path])?,
            };
        }
        let mut count = tx.prepare_cached(COUNT)?;
        for (project, (bytes, artifacts)) in usage {
            count.execute(params![project, bytes, artifacts])?;
        }
        Ok(())
    }
}
