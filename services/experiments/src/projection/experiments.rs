use std::collections::BTreeMap;

use cairn_eventstore::Recorded;
use rusqlite::{Connection, params};

use super::batch::{Batch, Counted, revision};
use crate::model::ExperimentName;
use crate::model::experiment::{Change, Event};

pub(super) fn apply(batch: &mut Batch<'_>, recorded: &Recorded, event: &Event) -> rusqlite::Result<()> {
    let tx = batch.tx;
    let name = &event.experiment;
    if let Change::Created { display_name, artifact_location, tags } = &event.change {
        tx.prepare_cached(
            "INSERT INTO experiment (project, experiment, display_name, artifact_location, is_deleted, revision,
               create_us, update_us, creator, etag)
             VALUES (?1, ?2, ?3, ?4, 0, 1, ?5, ?5, ?6, ?7)",
        )?
        .execute(params![
            name.project(),
            name.experiment(),
            display_name,
            artifact_location,
            recorded.time.micros(),
            recorded.metadata().principal,
            revision(recorded),
        ])?;
        let id = tx.last_insert_rowid();
        set_tags(tx, id, tags)?;
        return remember(tx, id, 1, recorded);
    }
    let id: i64 = tx
        .prepare_cached("SELECT id FROM experiment WHERE project = ?1 AND experiment = ?2")?
        .query_row(params![name.project(), name.experiment()], |row| row.get(0))?;
    tx.prepare_cached("UPDATE experiment SET etag = ?2, update_us = ?3 WHERE id = ?1")?.execute(params![
        id,
        revision(recorded),
        recorded.time.micros()
    ])?;
    match &event.change {
        Change::Created { .. } => Ok(()),
        Change::Imported(origin) => {
            tx.prepare_cached("UPDATE experiment SET create_us = ?2 WHERE id = ?1")?
                .execute(params![id, origin.create_time.micros()])?;
            Ok(())
        }
        Change::Renamed { to, revision, .. } => {
            tx.prepare_cached("UPDATE experiment SET display_name = ?2 WHERE id = ?1")?.execute(params![id, to])?;
            remember(tx, id, *revision, recorded)
        }
        Change::TagsSet { tags, revision } => {
            set_tags(tx, id, tags)?;
            remember(tx, id, *revision, recorded)
        }
        Change::TagsDeleted { keys, revision } => {
            let mut delete = tx.prepare_cached("DELETE FROM experiment_tag WHERE experiment = ?1 AND key = ?2")?;
            for key in keys {
                delete.execute(params![id, key])?;
            }
            remember(tx, id, *revision, recorded)
        }
        Change::Deleted => set_deleted(batch, name, id, true, recorded),
        Change::Restored => set_deleted(batch, name, id, false, recorded),
    }
}

fn set_tags(tx: &Connection, id: i64, tags: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    let mut set =
        tx.prepare_cached("INSERT OR REPLACE INTO experiment_tag (experiment, key, value) VALUES (?1, ?2, ?3)")?;
    for (key, value) in tags {
        set.execute(params![id, key, value])?;
    }
    Ok(())
}

/// Keeps what the experiment looks like after an edit.
fn remember(tx: &Connection, id: i64, number: u32, recorded: &Recorded) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE experiment SET revision = ?2 WHERE id = ?1")?.execute(params![id, number])?;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO experiment_revision (experiment, revision, display_name, tags, create_us, author)
         SELECT id, revision, display_name,
           (SELECT json_group_object(key, value) FROM experiment_tag t WHERE t.experiment = e.id), ?2, ?3
         FROM experiment e WHERE id = ?1",
    )?
    .execute(params![id, recorded.time.micros(), recorded.metadata().principal])?;
    Ok(())
}

/// Its runs are gone with it, and back with it, unless they were deleted by themselves.
fn set_deleted(
    batch: &mut Batch<'_>,
    name: &ExperimentName,
    id: i64,
    is_deleted: bool,
    recorded: &Recorded,
) -> rusqlite::Result<()> {
    let tx = batch.tx;
    let follow = tx
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE state = 'RUNNING') FROM run
             WHERE experiment = ?1 AND NOT is_deleted AND is_gone <> ?2",
        )?
        .query_row(params![id, is_deleted], |row| Ok(Counted { runs: row.get(0)?, running: row.get(1)? }))?;
    match is_deleted {
        true => batch.count(name.project(), follow, Counted::default()),
        false => batch.count(name.project(), Counted::default(), follow),
    }
    tx.prepare_cached("UPDATE experiment SET is_deleted = ?2 WHERE id = ?1")?.execute(params![id, is_deleted])?;
    tx.prepare_cached(
        "UPDATE run SET is_gone = ?2, delete_us = iif(?2, ?3, NULL) WHERE experiment = ?1 AND NOT is_deleted",
    )?
    .execute(params![id, is_deleted, recorded.time.micros()])?;
    Ok(())
}
