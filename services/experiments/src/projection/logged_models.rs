use std::collections::BTreeMap;

use cairn_eventstore::Recorded;
use rusqlite::{Connection, OptionalExtension, params};

use super::batch::{Batch, revision};
use crate::metrics::packed::Row;
use crate::model::logged_model::{Change, Event, LoggedModelState};
use crate::model::{RunName, Subject};

pub(super) fn apply(batch: &Batch<'_>, recorded: &Recorded, event: &Event) -> rusqlite::Result<()> {
    let tx = batch.tx;
    let name = &event.model;
    if let Change::Created { display_name, source_run, model_type, artifact_location, params, tags } = &event.change {
        tx.prepare_cached(
            "INSERT INTO logged_model (project, experiment, model, display_name, source_run, model_type,
               artifact_location, state, is_deleted, create_us, update_us, creator, etag)
             SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?9, ?10, ?11
             FROM experiment WHERE project = ?1 AND experiment = ?2",
        )?
        .execute(params![
            name.project(),
            name.experiment(),
            name.model(),
            display_name,
            source_run,
            model_type,
            artifact_location,
            LoggedModelState::Pending.as_str(),
            recorded.time.micros(),
            recorded.metadata().principal,
            revision(recorded)
        ])?;
        let id = tx.last_insert_rowid();
        set_params(tx, id, params)?;
        return set_tags(tx, id, tags);
    }
    let id = tx
        .prepare_cached(
            "UPDATE logged_model SET etag = ?3, update_us = ?4 WHERE project = ?1 AND model = ?2 RETURNING id",
        )?
        .query_row(params![name.project(), name.model(), revision(recorded), recorded.time.micros()], |row| row.get(0))
        .optional()?;
    let Some(id) = id else { return Ok(()) };
    match &event.change {
        Change::Created { .. } => Ok(()),
        Change::Imported(origin) => {
            tx.prepare_cached("UPDATE logged_model SET create_us = ?2 WHERE id = ?1")?
                .execute(params![id, origin.create_time.micros()])?;
            Ok(())
        }
        Change::Readied => set_state(tx, id, LoggedModelState::Ready),
        Change::Failed => set_state(tx, id, LoggedModelState::Failed),
        Change::TagsSet(tags) => set_tags(tx, id, tags),
        Change::TagsDeleted(keys) => {
            let mut delete = tx.prepare_cached("DELETE FROM logged_model_tag WHERE model = ?1 AND key = ?2")?;
            keys.iter().try_for_each(|key| delete.execute(params![id, key]).map(drop))
        }
        Change::ParamsLogged(params) => set_params(tx, id, params),
        Change::Deleted => {
            tx.prepare_cached("UPDATE logged_model SET is_deleted = 1, delete_us = ?2 WHERE id = ?1")?
                .execute(params![id, recorded.time.micros()])?;
            Ok(())
        }
    }
}

/// Keeps the latest value of what a run measured of a model: highest step, then time, then value.
pub(super) fn measured(
    batch: &Batch<'_>,
    run: &RunName,
    key: &str,
    subject: &Subject,
    row: Row,
) -> rusqlite::Result<()> {
    if subject.model.is_empty() {
        return Ok(());
    }
    batch
        .tx
        .prepare_cached(
            "INSERT INTO logged_model_metric
               (project, model, key, dataset_name, dataset_digest, value, step, time_ms, run)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET
               value = excluded.value, step = excluded.step, time_ms = excluded.time_ms, run = excluded.run
             WHERE (excluded.step, excluded.time_ms, ifnull(excluded.value, -1e999)) >= (step, time_ms, ifnull(value, -1e999))",
        )?
        .execute(params![
            run.project(),
            subject.model,
            key,
            subject.dataset_name,
            subject.dataset_digest,
            row.value,
            row.step,
            row.time_ms,
            run.run()
        ])?;
    Ok(())
}

fn set_state(tx: &Connection, id: i64, state: LoggedModelState) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE logged_model SET state = ?2 WHERE id = ?1")?.execute(params![id, state.as_str()])?;
    Ok(())
}

fn set_tags(tx: &Connection, id: i64, tags: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO logged_model_tag (model, key, value) VALUES (?1, ?2, ?3)";
    set(tx, sql, id, tags)
}

fn set_params(tx: &Connection, id: i64, params: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO logged_model_param (model, key, value) VALUES (?1, ?2, ?3)";
    set(tx, sql, id, params)
}

fn set(tx: &Connection, sql: &'static str, id: i64, pairs: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(sql)?;
    pairs.iter().try_for_each(|(key, value)| insert.execute(params![id, key, value]).map(drop))
}
