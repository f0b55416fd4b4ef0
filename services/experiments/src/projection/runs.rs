use std::collections::BTreeMap;

use cairn_contract::cairn::experiments::v1::DroppedEntry;
use cairn_eventstore::Recorded;
use rusqlite::params;

use super::batch::{Batch, Counted, RunRow, revision};
use super::logged_models::measured;
use crate::metrics::packed::Row;
use crate::model::entry::{DROPPED_KEYS_MAX, tag};
use crate::model::run::{Change, Dataset, Event};
use crate::model::{Dropped, Points, RunName};

/// The tag of a data set that says what it was used for.
const DATASET_CONTEXT: &str = "mlflow.data.context";

pub(super) fn apply(batch: &mut Batch<'_>, recorded: &Recorded, event: &Event) -> rusqlite::Result<()> {
    let name = &event.run;
    if let Change::Created { .. } = &event.change {
        return create(batch, recorded, name, &event.change);
    }
    let Some(run) = batch.run(name)? else { return Ok(()) };
    batch.touch(run, recorded);
    match &event.change {
        // It says of itself when it began; that it comes from elsewhere is told by its history.
        Change::Created { .. } | Change::Imported { .. } => Ok(()),
        Change::Renamed { to, .. } => {
            let rename = "UPDATE run SET display_name = ?2 WHERE id = ?1";
            batch.tx.prepare_cached(rename)?.execute(params![run.id, to])?;
            set_tag(batch, name, run, tag::RUN_NAME, to)
        }
        Change::Finished { state, end_time } | Change::Resumed { state, end_time } => {
            let before = batch.counted(run)?;
            batch.tx.prepare_cached("UPDATE run SET state = ?2, end_us = ?3 WHERE id = ?1")?.execute(params![
                run.id,
                state.as_str(),
                end_time.map(|time| time.micros())
            ])?;
            batch.count(name.project(), before, batch.counted(run)?);
            Ok(())
        }
        Change::ParamsLogged(params) => log_params(batch, run, params),
        Change::TagsSet(tags) => tags.iter().try_for_each(|(key, value)| set_tag(batch, name, run, key, value)),
        Change::TagsDeleted(keys) => keys.iter().try_for_each(|key| delete_tag(batch, name, run, key)),
        Change::MetricsLogged(points) => log_metrics(batch, name, run, points),
        Change::InputsLogged { datasets, models } => log_inputs(batch, run, datasets, models),
        Change::OutputsLogged(models) => {
            let mut insert =
                batch.tx.prepare_cached("INSERT OR IGNORE INTO output_model (run, model, step) VALUES (?1, ?2, ?3)")?;
            models.iter().try_for_each(|(model, step)| insert.execute(params![run.id, model, step]).map(drop))
        }
        Change::EntriesDropped(dropped) => dropped.iter().try_for_each(|entry| count_dropped(batch, run, entry)),
        Change::BatchLogged { id, .. } => {
            batch
                .tx
                .prepare_cached(
                    "INSERT OR IGNORE INTO ingest_batch (run, batch_id, payload_sha256, outcome)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![run.id, id.id, id.sha256, &*recorded.payload])?;
            Ok(())
        }
        Change::Deleted => set_deleted(batch, name, run, true, recorded),
        Change::Restored => set_deleted(batch, name, run, false, recorded),
    }
}

fn create(batch: &mut Batch<'_>, recorded: &Recorded, name: &RunName, change: &Change) -> rusqlite::Result<()> {
    let Change::Created { display_name, state, user, start_time, parent, experiment_revision, artifact_location } =
        change
    else {
        return Ok(());
    };
    let written = batch
        .tx
        .prepare_cached(
            "INSERT INTO run (project, experiment, run, display_name, state, user, start_us, parent,
               experiment_revision, artifact_location, is_deleted, is_gone, is_hidden, create_us, update_us, creator,
               etag)
             SELECT ?1, e.id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, e.is_deleted,
               EXISTS (SELECT 1 FROM run p WHERE p.project = ?1 AND p.run = ?8 AND (p.is_deleted OR p.is_hidden)),
               ?11, ?11, ?12, ?13
             FROM experiment e WHERE e.project = ?1 AND e.experiment = ?2
             RETURNING id, experiment",
        )?
        .query_row(
            params![
                name.project(),
                name.experiment(),
                name.run(),
                display_name,
                state.as_str(),
                user,
                start_time.micros(),
                parent,
                experiment_revision,
                artifact_location,
                recorded.time.micros(),
                recorded.metadata().principal,
                revision(recorded),
            ],
            |row| Ok(RunRow { id: row.get(0)?, experiment: row.get(1)? }),
        )?;
    batch.know_run(name, written);
    batch.count(name.project(), Counted::default(), batch.counted(written)?);
    set_tag(batch, name, written, tag::RUN_NAME, display_name)?;
    match parent {
        Some(parent) => set_tag(batch, name, written, tag::PARENT_RUN, parent),
        None => Ok(()),
    }
}

fn log_params(batch: &mut Batch<'_>, run: RunRow, params: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    for (key, value) in params {
        let key = batch.word(key)?;
        batch
            .tx
            .prepare_cached("INSERT OR REPLACE INTO param (run, key, experiment, value) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![run.id, key, run.experiment, value])?;
    }
    Ok(())
}

fn set_tag(batch: &mut Batch<'_>, name: &RunName, run: RunRow, key: &str, value: &str) -> rusqlite::Result<()> {
    let word = batch.word(key)?;
    batch
        .tx
        .prepare_cached("INSERT OR REPLACE INTO tag (run, key, experiment, value) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run.id, word, run.experiment, value])?;
    if !key.starts_with(tag::RESERVED_PREFIX) {
        batch
            .tx
            .prepare_cached("INSERT OR IGNORE INTO project_tag_key (project, key) VALUES (?1, ?2)")?
            .execute(params![name.project(), word])?;
    }
    if key == tag::PARENT_RUN { nest(batch, name, run, Some(value)) } else { Ok(()) }
}

fn delete_tag(batch: &mut Batch<'_>, name: &RunName, run: RunRow, key: &str) -> rusqlite::Result<()> {
    let word = batch.word(key)?;
    batch.tx.prepare_cached("DELETE FROM tag WHERE run = ?1 AND key = ?2")?.execute(params![run.id, word])?;
    if key == tag::PARENT_RUN { nest(batch, name, run, None) } else { Ok(()) }
}

/// Puts a run below another, or below none: whether it is hidden depends on where it is.
fn nest(batch: &Batch<'_>, name: &RunName, run: RunRow, parent: Option<&str>) -> rusqlite::Result<()> {
    batch
        .tx
        .prepare_cached(
            "UPDATE run SET parent = ?2,
               is_hidden = EXISTS (SELECT 1 FROM run p WHERE p.project = ?3 AND p.run = ?2 AND p.run <> run.run
                                   AND (p.is_deleted OR p.is_hidden))
             WHERE id = ?1",
        )?
        .execute(params![run.id, parent, name.project()])?;
    hide_below(batch, name, run)
}

fn log_metrics(batch: &mut Batch<'_>, name: &RunName, run: RunRow, points: &Points) -> rusqlite::Result<()> {
    let keys = points.keys.iter().map(|key| batch.word(key)).collect::<Result<Vec<_>, _>>()?;
    for point in &points.points {
        let row = Row { step: point.step, time_ms: point.time_ms, value: point.value };
        batch.point(run, keys[point.key as usize], row);
        if let Some(subject) = points.subject(point) {
            measured(batch, name, points.key(point), subject, row)?;
        }
    }
    Ok(())
}

fn log_inputs(batch: &mut Batch<'_>, run: RunRow, datasets: &[Dataset], models: &[String]) -> rusqlite::Result<()> {
    for dataset in datasets {
        batch
            .tx
            .prepare_cached(
                "INSERT OR IGNORE INTO dataset (experiment, name, digest, source_type, source, schema, profile)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                run.experiment,
                dataset.display_name,
                dataset.digest,
                dataset.source_type,
                dataset.source,
                dataset.schema,
                dataset.profile
            ])?;
        batch
            .tx
            .prepare_cached(
                "INSERT OR IGNORE INTO dataset_input (run, dataset, context, tags)
                 SELECT ?1, id, ?5, ?6 FROM dataset WHERE experiment = ?2 AND name = ?3 AND digest = ?4",
            )?
            .execute(params![
                run.id,
                run.experiment,
                dataset.display_name,
                dataset.digest,
                dataset.tags.get(DATASET_CONTEXT),
                serde_json::to_string(&dataset.tags).unwrap_or_default()
            ])?;
    }
    let mut insert = batch.tx.prepare_cached("INSERT OR IGNORE INTO input_model (run, model) VALUES (?1, ?2)")?;
    models.iter().try_for_each(|model| insert.execute(params![run.id, model]).map(drop))
}

/// Remembers only the first names of each kind; further ones are counted together.
fn count_dropped(batch: &Batch<'_>, run: RunRow, dropped: &Dropped) -> rusqlite::Result<()> {
    let entry = DroppedEntry::from(dropped.clone());
    let key = match entry.key.is_empty() {
        true => String::new(),
        false => batch
            .tx
            .prepare_cached(
                "SELECT iif(
                   EXISTS (SELECT 1 FROM dropped WHERE run = ?1 AND kind = ?2 AND lim = ?3 AND key = ?4)
                   OR (SELECT count(*) FROM dropped WHERE run = ?1 AND kind = ?2 AND lim = ?3 AND key <> '') < ?5,
                   ?4, '')",
            )?
            .query_row(params![run.id, entry.kind, entry.limit, entry.key, DROPPED_KEYS_MAX as i64], |row| {
                row.get(0)
            })?,
    };
    batch
        .tx
        .prepare_cached(
            "INSERT INTO dropped (run, kind, lim, key, count) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET count = count + excluded.count",
        )?
        .execute(params![run.id, entry.kind, entry.limit, key, entry.count as i64])?;
    Ok(())
}

fn set_deleted(
    batch: &mut Batch<'_>,
    name: &RunName,
    run: RunRow,
    is_deleted: bool,
    recorded: &Recorded,
) -> rusqlite::Result<()> {
    let before = batch.counted(run)?;
    batch
        .tx
        .prepare_cached(
            "UPDATE run SET is_deleted = ?2,
               is_gone = ?2 OR (SELECT is_deleted FROM experiment e WHERE e.id = run.experiment),
               delete_us = iif(?2, ?3, NULL)
             WHERE id = ?1",
        )?
        .execute(params![run.id, is_deleted, recorded.time.micros()])?;
    batch.count(name.project(), before, batch.counted(run)?);
    hide_below(batch, name, run)
}

/// Hides or shows all below a run, down to runs that are deleted themselves: what is below those stays hidden. `UNION`
/// ends cycles.
fn hide_below(batch: &Batch<'_>, name: &RunName, run: RunRow) -> rusqlite::Result<()> {
    batch
        .tx
        .prepare_cached(
            "WITH RECURSIVE below (run) AS (
               SELECT c.run FROM run c WHERE c.project = ?1 AND c.parent = ?2
               UNION
               SELECT c.run FROM below b JOIN run p ON p.project = ?1 AND p.run = b.run AND NOT p.is_deleted
                 JOIN run c ON c.project = ?1 AND c.parent = b.run
             )
             UPDATE run SET is_hidden = (SELECT t.is_deleted OR t.is_hidden FROM run t WHERE t.id = ?3)
             WHERE project = ?1 AND run IN (SELECT run FROM below) AND id <> ?3",
        )?
        .execute(params![name.project(), name.run(), run.id])?;
    Ok(())
}
