use std::collections::BTreeMap;

use cairn_kernel::{Revision, Time};
use cairn_projection::QueryFault;
use cairn_search::{Column, Sql, after, fingerprint, marks, order_by, token};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{LifecycleFilter, Query, SearchError, Visible};
use crate::model::{ExperimentName, ProjectName};
use crate::search::{ExperimentCondition, ExperimentOrder, Ordered, Text};

/// An experiment as the read model has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentRecord {
    pub name: ExperimentName,
    pub display_name: String,
    pub artifact_location: String,
    pub tags: BTreeMap<String, String>,
    pub is_deleted: bool,
    /// Counts its edits, from 1.
    pub edits: u32,
    pub create_time: Time,
    pub update_time: Time,
    pub creator: String,
    pub revision: Revision,
}

/// An experiment as one edit left it.
#[derive(Clone, Debug, PartialEq)]
pub struct RevisionRecord {
    pub number: u32,
    pub display_name: String,
    pub tags: BTreeMap<String, String>,
    pub create_time: Time,
    pub author: String,
}

/// Which experiments, in which order, and where to begin.
#[derive(Clone, Debug)]
pub struct ExperimentSearch {
    pub project: ProjectName,
    pub visible: Visible,
    pub lifecycle: LifecycleFilter,
    pub filter: Vec<ExperimentCondition>,
    /// Absent: newest first.
    pub order: Vec<Ordered<ExperimentOrder>>,
    pub limit: usize,
    pub page_token: String,
}

/// A page of experiments.
#[derive(Clone, Debug, Default)]
pub struct ExperimentPage {
    pub experiments: Vec<ExperimentRecord>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

const COLUMNS: &str = "SELECT e.id, e.project, e.experiment, e.display_name, e.artifact_location, e.is_deleted,
  e.revision, e.create_us, e.update_us, e.creator, e.etag";

impl Query {
    /// An experiment by its name, deleted or not.
    pub async fn experiment(&self, name: &ExperimentName) -> Result<Option<ExperimentRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(" FROM experiment e WHERE e.project = ").bind(name.project().to_owned());
        sql.push(" AND e.experiment = ").bind(name.experiment().to_owned());
        self.ask(move |db| one(db, &sql)).await
    }

    /// The experiment that has a display name, deleted or not.
    pub async fn experiment_by_display_name(
        &self,
        project: &ProjectName,
        display_name: &str,
    ) -> Result<Option<ExperimentRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(" FROM experiment e WHERE e.project = ").bind(project.project().to_owned());
        sql.push(" AND e.display_name = ").bind(display_name.to_owned());
        self.ask(move |db| one(db, &sql)).await
    }

    /// Finds experiments.
    pub async fn search_experiments(&self, search: ExperimentSearch) -> Result<ExperimentPage, SearchError> {
        let fingerprint = fingerprint(&(&search.project, search.lifecycle, &search.filter, &search.order));
        let start = marks(&fingerprint, &search.page_token)?;
        let columns = columns(&search.order);
        let mut sql = Sql::default();
        sql.push(COLUMNS);
        for column in &columns {
            sql.push(", ").push(&column.sql);
        }
        sql.push(" FROM experiment e WHERE e.project = ").bind(search.project.project().to_owned());
        if let Some(lifecycle) = search.lifecycle.sql() {
            sql.push(" AND e.is_deleted").push(lifecycle);
        }
        if !search.visible.is_all {
            sql.push(" AND e.experiment IN ").list(&search.visible.experiments);
        }
        search.filter.iter().for_each(|condition| self::condition(&mut sql, condition));
        if let Some(marks) = &start {
            after(&mut sql, &columns, marks);
        }
        order_by(&mut sql, &columns);
        sql.push(" LIMIT ").bind(search.limit as i64 + 1);
        let page = self
            .ask(move |db| {
                let mut found = sql.rows(db, |row| {
                    let marks = (0..columns.len()).map(|at| row.get(11 + at)).collect::<Result<Vec<_>, _>>()?;
                    Ok((row.get::<_, i64>(0)?, record(row)?, marks))
                })?;
                let has_more = found.len() > search.limit;
                found.truncate(search.limit);
                let next_page_token = match found.last() {
                    Some((_, _, marks)) if has_more => token(&fingerprint, marks.clone()),
                    _ => String::new(),
                };
                let experiments = found.into_iter().map(|(id, record, _)| with_tags(db, id, record));
                Ok(ExperimentPage { experiments: experiments.collect::<Result<_, _>>()?, next_page_token })
            })
            .await?;
        Ok(page)
    }

    /// What an experiment looked like after each edit before number `before`, newest first.
    pub async fn experiment_revisions(
        &self,
        name: &ExperimentName,
        before: u32,
        limit: usize,
    ) -> Result<Vec<RevisionRecord>, QueryFault> {
        let (project, experiment) = (name.project().to_owned(), name.experiment().to_owned());
        self.ask(move |db| {
            db.prepare_cached(
                "SELECT v.revision, v.display_name, v.tags, v.create_us, v.author
                 FROM experiment e JOIN experiment_revision v ON v.experiment = e.id
                 WHERE e.project = ?1 AND e.experiment = ?2 AND v.revision < ?3 ORDER BY v.revision DESC LIMIT ?4",
            )?
            .query_map(params![project, experiment, before, limit as i64], |row| {
                let tags: String = row.get(2)?;
                Ok(RevisionRecord {
                    number: row.get(0)?,
                    display_name: row.get(1)?,
                    tags: serde_json::from_str(&tags).unwrap_or_default(),
                    create_time: Time::from_micros(row.get(3)?),
                    author: row.get(4)?,
                })
            })?
            .collect()
        })
        .await
    }
}

fn one(db: &Connection, sql: &Sql) -> rusqlite::Result<Option<ExperimentRecord>> {
    let found = sql.rows(db, |row| Ok((row.get::<_, i64>(0)?, record(row)?)))?;
    found.into_iter().next().map(|(id, record)| with_tags(db, id, record)).transpose()
}

fn record(row: &Row<'_>) -> rusqlite::Result<ExperimentRecord> {
    let name = ExperimentName::new(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?);
    Ok(ExperimentRecord {
        name: name.map_err(|fault| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, fault.into()))?,
        display_name: row.get(3)?,
        artifact_location: row.get(4)?,
        tags: BTreeMap::new(),
        is_deleted: row.get(5)?,
        edits: row.get(6)?,
        create_time: Time::from_micros(row.get(7)?),
        update_time: Time::from_micros(row.get(8)?),
        creator: row.get(9)?,
        revision: Revision(row.get::<_, i64>(10)? as u64),
    })
}

fn with_tags(db: &Connection, id: i64, mut record: ExperimentRecord) -> rusqlite::Result<ExperimentRecord> {
    record.tags = db
        .prepare_cached("SELECT key, value FROM experiment_tag WHERE experiment = ?1")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()
        .optional()?
        .unwrap_or_default();
    Ok(record)
}

fn columns(order: &[Ordered<ExperimentOrder>]) -> Vec<Column> {
    let column = |term: &Ordered<ExperimentOrder>| Column {
        sql: attribute(term.key).to_owned(),
        is_descending: term.is_descending,
    };
    let mut columns: Vec<Column> = order.iter().map(column).collect();
    if columns.is_empty() {
        columns.push(Column::descending("e.create_us"));
    }
    if !order.iter().any(|term| term.key == ExperimentOrder::Id) {
        columns.push(Column::ascending("e.experiment"));
    }
    columns
}

fn attribute(key: ExperimentOrder) -> &'static str {
    match key {
        ExperimentOrder::DisplayName => "e.display_name",
        ExperimentOrder::Id => "e.experiment",
        ExperimentOrder::CreateTime => "e.create_us",
        ExperimentOrder::UpdateTime => "e.update_us",
    }
}

fn condition(sql: &mut Sql, condition: &ExperimentCondition) {
    sql.push(" AND ");
    match condition {
        ExperimentCondition::DisplayName(text) => {
            sql.text("e.display_name", text);
        }
        ExperimentCondition::Id(text) => {
            sql.text("e.experiment", text);
        }
        ExperimentCondition::CreateTime(compare, ms) => {
            sql.push("e.create_us / 1000 ").push(compare.sql()).push(" ").bind(*ms);
        }
        ExperimentCondition::UpdateTime(compare, ms) => {
            sql.push("e.update_us / 1000 ").push(compare.sql()).push(" ").bind(*ms);
        }
        ExperimentCondition::Tag { key, text } => {
            sql.push(if *text == Text::IsNull { "NOT EXISTS" } else { "EXISTS" });
            sql.push(" (SELECT 1 FROM experiment_tag c WHERE c.experiment = e.id AND c.key = ").bind(key.clone());
            if !matches!(text, Text::IsNull | Text::IsNotNull) {
                sql.push(" AND ").text("c.value", text);
            }
            sql.push(")");
        }
    }
}
