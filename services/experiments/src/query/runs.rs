use std::collections::BTreeMap;

use cairn_contract::cairn::experiments::events::v1::BatchLogged;
use cairn_contract::cairn::experiments::v1::DroppedEntry;
use cairn_kernel::{Revision, Time};
use cairn_projection::QueryFault;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Query;
use crate::model::run::Dataset;
use crate::model::{Dropped, ProjectName, RunName, RunState};

/// How much of a run is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RunDetail {
    /// Without schemas and profiles of data sets, and without what was dropped.
    #[default]
    Listed,
    Full,
}

/// A run as the read model has it.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub name: RunName,
    pub display_name: String,
    pub state: RunState,
    pub user: String,
    pub start_time: Time,
    pub end_time: Option<Time>,
    /// The run it is nested in, by id, and by name if it is one of this project.
    pub parent: Option<(String, Option<RunName>)>,
    pub experiment_revision: u32,
    /// Where it keeps its artifacts; empty: where the server keeps artifacts.
    pub artifact_location: String,
    /// Whether it or its experiment is deleted.
    pub is_deleted: bool,
    pub create_time: Time,
    pub update_time: Time,
    pub delete_time: Option<Time>,
    pub creator: String,
    pub revision: Revision,
    /// In the order of their keys, as tags and metrics are.
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    pub metrics: Vec<MetricRecord>,
    pub datasets: Vec<Dataset>,
    pub input_models: Vec<String>,
    pub output_models: Vec<(String, i64)>,
    pub dropped: Vec<Dropped>,
}

/// A metric's latest value and extremes.
#[derive(Clone, Debug)]
pub struct MetricRecord {
    pub key: String,
    pub value: f64,
    pub step: i64,
    pub time_ms: i64,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub count: u64,
}

/// What became of a batch that came with an id.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    pub batch_id: String,
    pub sha256: String,
    pub metric_count: u32,
    pub param_count: u32,
    pub tag_count: u32,
    pub dropped: Vec<Dropped>,
}

impl Query {
    /// A run by its id, whatever its experiment.
    pub async fn run(&self, project: &ProjectName, run: &str) -> Result<Option<RunRecord>, QueryFault> {
        let (project, run) = (project.project().to_owned(), run.to_owned());
        self.ask(move |db| {
            let id = db
                .prepare_cached("SELECT id FROM run WHERE project = ?1 AND run = ?2")?
                .query_row(params![project, run], |row| row.get(0))
                .optional()?;
            id.map(|id| read_run(db, id, RunDetail::Full)).transpose()
        })
        .await
    }

    /// What became of a batch.
    pub async fn batch(&self, run: &RunName, batch_id: &str) -> Result<Option<BatchRecord>, QueryFault> {
        let (project, run, batch_id) = (run.project().to_owned(), run.run().to_owned(), batch_id.to_owned());
        let outcome: Option<Vec<u8>> = self
            .ask(move |db| {
                db.prepare_cached(
                    "SELECT b.outcome FROM run r JOIN ingest_batch b ON b.run = r.id
                     WHERE r.project = ?1 AND r.run = ?2 AND b.batch_id = ?3",
                )?
                .query_row(params![project, run, batch_id], |row| row.get(0))
                .optional()
            })
            .await?;
        let logged = outcome.and_then(|bytes| BatchLogged::decode(&*bytes).ok());
        Ok(logged.map(|logged| BatchRecord {
            batch_id: logged.batch_id,
            sha256: logged.payload_sha256,
            metric_count: logged.metric_count,
            param_count: logged.param_count,
            tag_count: logged.tag_count,
            dropped: logged.dropped_entries.into_iter().map(Into::into).collect(),
        }))
    }

    /// The tag keys a project uses, at most `limit` of them.
    pub async fn tag_keys(&self, project: &ProjectName, limit: usize) -> Result<Vec<String>, QueryFault> {
        let project = project.project().to_owned();
        self.ask(move |db| {
            db.prepare_cached(
                "SELECT w.text FROM project_tag_key k JOIN word w ON w.id = k.key WHERE k.project = ?1 LIMIT ?2",
            )?
            .query_map(params![project, limit as i64], |row| row.get(0))?
            .collect()
        })
        .await
    }
}

/// Reads one run by its row.
pub(super) fn read_run(db: &Connection, id: i64, detail: RunDetail) -> rusqlite::Result<RunRecord> {
    let mut run = db
        .prepare_cached(
            "SELECT r.project, e.experiment, r.run, r.display_name, r.state, r.user, r.start_us, r.end_us, r.parent,
               r.experiment_revision, r.artifact_location, r.is_gone, r.create_us, r.update_us, r.delete_us, r.creator,
               r.etag, pe.experiment
             FROM run r JOIN experiment e ON e.id = r.experiment
               LEFT JOIN run p ON p.project = r.project AND p.run = r.parent
               LEFT JOIN experiment pe ON pe.id = p.experiment
             WHERE r.id = ?1",
        )?
        .query_row([id], record)?;
    run.params = pairs(db, "SELECT w.text, p.value FROM param p JOIN word w ON w.id = p.key WHERE p.run = ?1", id)?;
    run.tags = pairs(db, "SELECT w.text, t.value FROM tag t JOIN word w ON w.id = t.key WHERE t.run = ?1", id)?;
    run.metrics = metrics(db, id)?;
    run.datasets = datasets(db, id, detail)?;
    run.input_models = db
        .prepare_cached("SELECT model FROM input_model WHERE run = ?1")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    run.output_models = db
        .prepare_cached("SELECT model, step FROM output_model WHERE run = ?1")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    if detail == RunDetail::Full {
        run.dropped = dropped(db, id)?;
    }
    Ok(run)
}

fn record(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let project: String = row.get(0)?;
    let parent: Option<String> = row.get(8)?;
    let parent_experiment: Option<String> = row.get(17)?;
    let state: String = row.get(4)?;
    let name = RunName::new(&project, &row.get::<_, String>(1)?, &row.get::<_, String>(2)?);
    Ok(RunRecord {
        name: name
            .map_err(|fault| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, fault.into()))?,
        display_name: row.get(3)?,
        state: RunState::parse(&state).unwrap_or_default(),
        user: row.get(5)?,
        start_time: Time::from_micros(row.get(6)?),
        end_time: row.get::<_, Option<i64>>(7)?.map(Time::from_micros),
        parent: parent.map(|id| {
            let name = parent_experiment.and_then(|experiment| RunName::new(&project, &experiment, &id).ok());
            (id, name)
        }),
        experiment_revision: row.get(9)?,
        artifact_location: row.get(10)?,
        is_deleted: row.get(11)?,
        create_time: Time::from_micros(row.get(12)?),
        update_time: Time::from_micros(row.get(13)?),
        delete_time: row.get::<_, Option<i64>>(14)?.map(Time::from_micros),
        creator: row.get(15)?,
        revision: Revision(row.get::<_, i64>(16)? as u64),
        params: vec![],
        tags: vec![],
        metrics: vec![],
        datasets: vec![],
        input_models: vec![],
        output_models: vec![],
        dropped: vec![],
    })
}

/// Sorted here: rows come in the order of key numbers, and a page has few of them.
fn pairs(db: &Connection, sql: &'static str, id: i64) -> rusqlite::Result<Vec<(String, String)>> {
    let mut select = db.prepare_cached(sql)?;
    let rows = select.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut pairs = rows.collect::<Result<Vec<_>, _>>()?;
    pairs.sort_unstable();
    Ok(pairs)
}

fn metrics(db: &Connection, id: i64) -> rusqlite::Result<Vec<MetricRecord>> {
    let mut select = db.prepare_cached(
        "SELECT w.text, m.value, m.step, m.time_ms, m.min, m.max, m.count
         FROM metric m JOIN word w ON w.id = m.key WHERE m.run = ?1",
    )?;
    let rows = select.query_map([id], |row| {
        Ok(MetricRecord {
            key: row.get(0)?,
            value: row.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN),
            step: row.get(2)?,
            time_ms: row.get(3)?,
            min: row.get(4)?,
            max: row.get(5)?,
            count: row.get::<_, i64>(6)? as u64,
        })
    })?;
    let mut metrics = rows.collect::<Result<Vec<_>, _>>()?;
    metrics.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(metrics)
}

fn datasets(db: &Connection, id: i64, detail: RunDetail) -> rusqlite::Result<Vec<Dataset>> {
    let mut select = db.prepare_cached(
        "SELECT d.name, d.digest, d.source_type, d.source, iif(?2, d.schema, ''), iif(?2, d.profile, ''), i.tags
         FROM dataset_input i JOIN dataset d ON d.id = i.dataset WHERE i.run = ?1",
    )?;
    let rows = select.query_map(params![id, detail == RunDetail::Full], |row| {
        let tags: String = row.get(6)?;
        Ok(Dataset {
            display_name: row.get(0)?,
            digest: row.get(1)?,
            source_type: row.get(2)?,
            source: row.get(3)?,
            schema: row.get(4)?,
            profile: row.get(5)?,
            tags: serde_json::from_str::<BTreeMap<String, String>>(&tags).unwrap_or_default(),
        })
    })?;
    rows.collect()
}

fn dropped(db: &Connection, id: i64) -> rusqlite::Result<Vec<Dropped>> {
    let mut select = db.prepare_cached("SELECT kind, key, lim, count FROM dropped WHERE run = ?1")?;
    let rows = select.query_map([id], |row| {
        let count = row.get::<_, i64>(3)? as u64;
        Ok(DroppedEntry { kind: row.get(0)?, key: row.get(1)?, limit: row.get(2)?, count }.into())
    })?;
    rows.collect()
}
