use std::collections::BTreeMap;

use cairn_kernel::{Revision, Time};
use cairn_projection::QueryFault;
use cairn_search::{Column, Sql, after, fingerprint, marks, order_by, token};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::{Query, SearchError, Visible};
use crate::model::logged_model::LoggedModelState;
use crate::model::{LoggedModelName, ProjectName};
use crate::search::{Compare, LoggedModelCondition, LoggedModelOrder, Ordered, Text};

/// A logged model as the read model has it.
#[derive(Clone, Debug)]
pub struct LoggedModelRecord {
    pub name: LoggedModelName,
    pub display_name: String,
    /// Id of the run that made it; empty: none.
    pub source_run: String,
    /// The same by name, if it is a run of this project.
    pub source_run_name: Option<String>,
    pub model_type: String,
    pub artifact_location: String,
    pub state: LoggedModelState,
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
    pub metrics: Vec<MeasuredRecord>,
    pub is_deleted: bool,
    pub create_time: Time,
    pub update_time: Time,
    pub delete_time: Option<Time>,
    pub creator: String,
    pub revision: Revision,
}

/// The latest value of what a run measured of a model.
#[derive(Clone, Debug)]
pub struct MeasuredRecord {
    pub key: String,
    pub dataset_name: String,
    pub dataset_digest: String,
    pub value: f64,
    pub step: i64,
    pub time_ms: i64,
    /// Id of the run that measured it.
    pub run: String,
}

/// Which logged models, in which order, and where to begin.
#[derive(Clone, Debug)]
pub struct LoggedModelSearch {
    pub project: ProjectName,
    /// Ids of experiments. `None`: all of the project.
    pub experiments: Option<Vec<String>>,
    pub visible: Visible,
    pub filter: Vec<LoggedModelCondition>,
    /// Data sets that metrics in filter and order are measured on: name and digest (empty: any). None: whatever they
    /// are measured on.
    pub datasets: Vec<(String, String)>,
    /// Absent: newest first.
    pub order: Vec<Ordered<LoggedModelOrder>>,
    pub limit: usize,
    pub page_token: String,
}

/// A page of logged models.
#[derive(Clone, Debug, Default)]
pub struct LoggedModelPage {
    pub models: Vec<LoggedModelRecord>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

const COLUMNS: &str = "SELECT m.id, m.project, e.experiment, m.model, m.display_name, m.source_run, m.model_type,
  m.artifact_location, m.state, m.is_deleted, m.create_us, m.update_us, m.delete_us, m.creator, m.etag,
  (SELECT se.experiment FROM run s JOIN experiment se ON se.id = s.experiment
   WHERE s.project = m.project AND s.run = m.source_run)";
const COLUMN_COUNT: usize = 16;
const FROM: &str = " FROM logged_model m JOIN experiment e ON e.id = m.experiment";

impl Query {
    /// A logged model by its id, whatever its experiment, deleted or not.
    pub async fn logged_model(
        &self,
        project: &ProjectName,
        model: &str,
    ) -> Result<Option<LoggedModelRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(FROM).push(" WHERE m.project = ").bind(project.project().to_owned());
        sql.push(" AND m.model = ").bind(model.to_owned());
        self.ask(move |db| {
            let found = sql.rows(db, |row| Ok((row.get::<_, i64>(0)?, record(row)?)))?;
            found.into_iter().next().map(|(id, record)| complete(db, id, record)).transpose()
        })
        .await
    }

    /// Finds logged models that are not deleted.
    pub async fn search_logged_models(&self, search: LoggedModelSearch) -> Result<LoggedModelPage, SearchError> {
        let fingerprint =
            fingerprint(&(&search.project, &search.experiments, &search.filter, &search.datasets, &search.order));
        let start = marks(&fingerprint, &search.page_token)?;
        let columns = columns(&search.order);
        let mut sql = Sql::default();
        sql.push(COLUMNS);
        for column in &columns {
            sql.push(", ").push(&column.sql);
        }
        sql.push(FROM);
        for (at, term) in search.order.iter().enumerate() {
            if let LoggedModelOrder::Metric(key) = &term.key {
                // One value for each model: the latest among those that qualify.
                sql.push(" LEFT JOIN (SELECT c.model, c.value, max(c.step) FROM logged_model_metric c");
                sql.push(" WHERE c.project = ").bind(search.project.project().to_owned());
                sql.push(" AND c.key = ").bind(key.clone());
                measured_on(&mut sql, &search.datasets);
                sql.push(&format!(" GROUP BY c.model) o{at} ON o{at}.model = m.model"));
            }
        }
        sql.push(" WHERE m.is_deleted = 0 AND m.project = ").bind(search.project.project().to_owned());
        if let Some(experiments) = &search.experiments {
            sql.push(" AND e.experiment IN ").list(experiments);
        }
        if !search.visible.is_all {
            sql.push(" AND (e.experiment IN ").list(&search.visible.experiments);
            sql.push(" OR m.model IN ").list(&search.visible.logged_models).push(")");
        }
        search.filter.iter().for_each(|condition| self::condition(&mut sql, condition, &search.datasets));
        if let Some(marks) = &start {
            after(&mut sql, &columns, marks);
        }
        order_by(&mut sql, &columns);
        sql.push(" LIMIT ").bind(search.limit as i64 + 1);
        let page = self
            .ask(move |db| {
                let mut found = sql.rows(db, |row| {
                    let marks = (0..columns.len()).map(|at| row.get(COLUMN_COUNT + at));
                    Ok((row.get::<_, i64>(0)?, record(row)?, marks.collect::<Result<Vec<_>, _>>()?))
                })?;
                let has_more = found.len() > search.limit;
                found.truncate(search.limit);
                let next_page_token = match found.last() {
                    Some((_, _, marks)) if has_more => token(&fingerprint, marks.clone()),
                    _ => String::new(),
                };
                let models = found.into_iter().map(|(id, record, _)| complete(db, id, record));
                Ok(LoggedModelPage { models: models.collect::<Result<_, _>>()?, next_page_token })
            })
            .await?;
        Ok(page)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<LoggedModelRecord> {
    let project: String = row.get(1)?;
    let name = LoggedModelName::new(&project, &row.get::<_, String>(2)?, &row.get::<_, String>(3)?);
    let source_run: String = row.get(5)?;
    let source_experiment: Option<String> = row.get(15)?;
    Ok(LoggedModelRecord {
        name: name.map_err(|fault| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, fault.into()))?,
        display_name: row.get(4)?,
        source_run_name: source_experiment
            .map(|experiment| format!("projects/{project}/experiments/{experiment}/runs/{source_run}")),
        source_run,
        model_type: row.get(6)?,
        artifact_location: row.get(7)?,
        state: LoggedModelState::parse(&row.get::<_, String>(8)?).unwrap_or_default(),
        is_deleted: row.get(9)?,
        params: BTreeMap::new(),
        tags: BTreeMap::new(),
        metrics: vec![],
        create_time: Time::from_micros(row.get(10)?),
        update_time: Time::from_micros(row.get(11)?),
        delete_time: row.get::<_, Option<i64>>(12)?.map(Time::from_micros),
        creator: row.get(13)?,
        revision: Revision(row.get::<_, i64>(14)? as u64),
    })
}

fn complete(db: &Connection, id: i64, mut record: LoggedModelRecord) -> rusqlite::Result<LoggedModelRecord> {
    let pairs = |sql: &'static str| {
        db.prepare_cached(sql)?.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()
    };
    record.params = pairs("SELECT key, value FROM logged_model_param WHERE model = ?1")?;
    record.tags = pairs("SELECT key, value FROM logged_model_tag WHERE model = ?1")?;
    record.metrics = db
        .prepare_cached(
            "SELECT key, dataset_name, dataset_digest, value, step, time_ms, run
             FROM logged_model_metric WHERE project = ?1 AND model = ?2",
        )?
        .query_map(params![record.name.project(), record.name.model()], |row| {
            Ok(MeasuredRecord {
                key: row.get(0)?,
                dataset_name: row.get(1)?,
                dataset_digest: row.get(2)?,
                value: row.get::<_, Option<f64>>(3)?.unwrap_or(f64::NAN),
                step: row.get(4)?,
                time_ms: row.get(5)?,
                run: row.get(6)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(record)
}

fn columns(order: &[Ordered<LoggedModelOrder>]) -> Vec<Column> {
    let mut columns = vec![];
    for (at, term) in order.iter().enumerate() {
        let value = match &term.key {
            LoggedModelOrder::Metric(_) => format!("o{at}.value"),
            key => attribute(key).to_owned(),
        };
        columns.push(Column::ascending(match &term.key {
            LoggedModelOrder::Metric(_) => format!("iif(o{at}.model IS NULL, 2, o{at}.value IS NULL)"),
            _ => format!("({value} IS NULL)"),
        }));
        columns.push(Column { sql: value, is_descending: term.is_descending });
    }
    if !order.iter().any(|term| term.key == LoggedModelOrder::CreateTime) {
        columns.push(Column::descending("m.create_us"));
    }
    columns.push(Column::ascending("m.model"));
    columns
}

fn attribute(key: &LoggedModelOrder) -> &'static str {
    match key {
        LoggedModelOrder::Id | LoggedModelOrder::Metric(_) => "m.model",
        LoggedModelOrder::DisplayName => "m.display_name",
        LoggedModelOrder::ModelType => "m.model_type",
        LoggedModelOrder::Status => "m.state",
        LoggedModelOrder::SourceRun => "m.source_run",
        LoggedModelOrder::CreateTime => "m.create_us",
        LoggedModelOrder::UpdateTime => "m.update_us",
    }
}

/// Adds ` AND (…)`: measured on one of these data sets.
fn measured_on(sql: &mut Sql, datasets: &[(String, String)]) {
    if datasets.is_empty() {
        return;
    }
    sql.push(" AND (");
    for (at, (name, digest)) in datasets.iter().enumerate() {
        sql.push(if at == 0 { "(" } else { " OR (" }).push("c.dataset_name = ").bind(name.clone());
        if !digest.is_empty() {
            sql.push(" AND c.dataset_digest = ").bind(digest.clone());
        }
        sql.push(")");
    }
    sql.push(")");
}

fn condition(sql: &mut Sql, condition: &LoggedModelCondition, datasets: &[(String, String)]) {
    sql.push(" AND ");
    match condition {
        LoggedModelCondition::Text { column, text } => {
            sql.text(attribute(column), text);
        }
        LoggedModelCondition::Time { column, compare, value } => {
            sql.push(attribute(column)).push(" / 1000 ").push(compare.sql()).push(" ").bind(*value);
        }
        LoggedModelCondition::Metric { key, compare, value } => {
            sql.push("EXISTS (SELECT 1 FROM logged_model_metric c WHERE c.project = m.project AND c.model = m.model");
            sql.push(" AND c.key = ").bind(key.clone());
            sql.push(" AND (c.value ").push(compare.sql()).push(" ").bind(*value);
            sql.push(if *compare == Compare::Ne { " OR c.value IS NULL)" } else { ")" });
            measured_on(sql, datasets);
            sql.push(")");
        }
        LoggedModelCondition::Param { key, text } => pair(sql, "logged_model_param", key, text),
        LoggedModelCondition::Tag { key, text } => pair(sql, "logged_model_tag", key, text),
    }
}

fn pair(sql: &mut Sql, table: &'static str, key: &str, text: &Text) {
    sql.push(if *text == Text::IsNull { "NOT EXISTS" } else { "EXISTS" });
    sql.push(" (SELECT 1 FROM ").push(table).push(" c WHERE c.model = m.id AND c.key = ").bind(key.to_owned());
    if !matches!(text, Text::IsNull | Text::IsNotNull) {
        sql.push(" AND ").text("c.value", text);
    }
    sql.push(")");
}
