use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_contract::cairn::registry::events::v1::ModelVersionCreated;
use cairn_kernel::{Revision, Time};
use cairn_projection::QueryFault;
use cairn_search::{Column, Sql, Term, Text, after, fingerprint, marks, order_by, token};
use prost::Message;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Query, SearchError, Tags, Visible, is_rare, sorted};
use crate::model::version::Facts;
use crate::model::{ModelName, Number, ProjectName, Stage, VersionName};
use crate::search::{Ordered, Prompts, TextColumn, VersionCondition, VersionOrder};
use crate::stored::facts;

/// A version as the read model has it.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRecord {
    pub name: VersionName,
    /// What its model is called.
    pub model_display_name: String,
    pub stage: Stage,
    pub aliases: Vec<String>,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    pub facts: Arc<Facts>,
    pub create_time: Time,
    pub update_time: Time,
    pub creator: String,
    pub revision: Revision,
}

/// Which versions, in which order, and where to begin.
#[derive(Clone, Debug)]
pub struct VersionSearch {
    pub project: ProjectName,
    /// Those of one model only.
    pub model: Option<ModelName>,
    pub visible: Visible,
    pub filter: Vec<Term<VersionCondition>>,
    pub prompts: Prompts,
    /// Absent: last changed first.
    pub order: Vec<Ordered<VersionOrder>>,
    pub limit: usize,
    pub page_token: String,
}

/// A page of versions.
#[derive(Clone, Debug, Default)]
pub struct VersionPage {
    pub versions: Vec<VersionRecord>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

const COLUMNS: &str =
    "SELECT v.id, m.id, m.project, m.model, m.display_name, v.number, v.stage, v.description, v.facts,
  v.create_us, v.update_us, v.creator, v.etag";
const COLUMN_COUNT: usize = 13;
/// The version leads: its indexes have the orders.
const FROM: &str = " FROM version v CROSS JOIN model m ON m.id = v.model";
const TAGS: Tags = Tags { table: "version_tag", owner: "version", id: "v.id" };

impl Query {
    /// A version by its name.
    pub async fn version(&self, name: &VersionName) -> Result<Option<VersionRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(FROM).push(" WHERE v.model = ");
        only(&mut sql, &name.parent());
        sql.push(" AND v.number = ").bind(name.number().0);
        self.first(sql).await
    }

    /// The newest version of a model in a stage, or of all.
    pub async fn newest_version(
        &self,
        model: &ModelName,
        stage: Option<Stage>,
    ) -> Result<Option<VersionRecord>, QueryFault> {
        self.first(newest(model, stage)).await
    }

    /// The newest version of each stage, for each of these models.
    pub async fn newest_versions(&self, models: &[ModelName]) -> Result<Vec<Vec<VersionRecord>>, QueryFault> {
        let models = models.to_vec();
        self.ask(move |db| {
            let all = |model: &ModelName| -> rusqlite::Result<Vec<VersionRecord>> {
                let mut found = vec![];
                for stage in Stage::ALL {
                    found.extend(first(db, &newest(model, Some(stage)))?);
                }
                Ok(found)
            };
            models.iter().map(all).collect()
        })
        .await
    }

    /// The version that an alias points at.
    pub async fn version_by_alias(&self, model: &ModelName, alias: &str) -> Result<Option<VersionRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(FROM).push(" WHERE v.model = ");
        only(&mut sql, model);
        sql.push(" AND v.number = (SELECT a.number FROM alias a WHERE a.model = ");
        only(&mut sql, model);
        sql.push(" AND a.alias = ").bind(alias.to_owned()).push(")");
        self.first(sql).await
    }

    /// The number that a request was given.
    pub async fn number_of(&self, model: &ModelName, request: &str) -> Result<Option<Number>, QueryFault> {
        let (model, request) = (model.to_string(), request.to_owned());
        self.ask(move |db| {
            db.prepare_cached("SELECT number FROM version_request WHERE model = ?1 AND request = ?2")?
                .query_row(params![model, request], |row| Ok(Number(row.get(0)?)))
                .optional()
        })
        .await
    }

    /// Finds versions.
    pub async fn search_versions(&self, search: VersionSearch) -> Result<VersionPage, SearchError> {
        let fingerprint = fingerprint(&(&search.project, &search.model, &search.filter, search.prompts, &search.order));
        let start = marks(&fingerprint, &search.page_token)?;
        let page = self
            .ask(move |db| {
                let mut found = hits(db, &search, start.as_deref())?;
                let has_more = found.len() > search.limit;
                found.truncate(search.limit);
                let next_page_token = match found.last() {
                    Some((_, _, marks)) if has_more => token(&fingerprint, marks.clone()),
                    _ => String::new(),
                };
                let versions = found.into_iter().map(|(ids, record, _)| complete(db, ids, record));
                Ok(VersionPage { versions: versions.collect::<Result<_, _>>()?, next_page_token })
            })
            .await?;
        Ok(page)
    }

    async fn first(&self, sql: Sql) -> Result<Option<VersionRecord>, QueryFault> {
        self.ask(move |db| first(db, &sql)).await
    }
}

/// Asks for the newest version of a model in a stage, or of all.
fn newest(model: &ModelName, stage: Option<Stage>) -> Sql {
    let mut sql = Sql::default();
    sql.push(COLUMNS).push(FROM).push(" WHERE v.model = ");
    only(&mut sql, model);
    if let Some(stage) = stage {
        sql.push(" AND v.stage = ").bind(stage.as_str().to_owned());
    }
    sql.push(" ORDER BY v.number DESC LIMIT 1");
    sql
}

fn first(db: &Connection, sql: &Sql) -> rusqlite::Result<Option<VersionRecord>> {
    let found = sql.rows(db, |row| Ok((ids(row)?, record(row)?)))?;
    found.into_iter().next().map(|(ids, record)| complete(db, ids, record)).transpose()
}

/// The rows of a version and of its model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    version: i64,
    model: i64,
}

/// The rows of a page and one more, each with the marks that a next page begins after.
pub(super) fn hits(
    db: &Connection,
    search: &VersionSearch,
    start: Option<&[Value]>,
) -> rusqlite::Result<Vec<(Ids, VersionRecord, Vec<Value>)>> {
    let mut columns = columns(&search.order);
    let project = search.project.project();
    let rare = rare(db, search)?;
    let mut sql = Sql::default();
    sql.push(COLUMNS);
    for column in &columns {
        sql.push(", ").push(&column.sql);
    }
    sql.push(FROM).push(" WHERE ");
    let begins = begin(&mut sql, search, rare.is_some());
    // Prompts are marked on either; the version's own mark begins the indexes of its project.
    sql.push(match (search.prompts, begins) {
        (Prompts::Hidden, Begins::Project) => " AND v.is_prompt = 0 AND m.is_prompt = 0",
        (Prompts::Hidden, Begins::Elsewhere) => " AND +v.is_prompt = 0 AND m.is_prompt = 0",
        (Prompts::Shown, Begins::Project) => " AND v.is_prompt IN (0, 1)",
        (Prompts::Shown, Begins::Elsewhere) => "",
    });
    if !search.visible.is_all {
        sql.push(" AND (m.model IN ").list(&search.visible.models);
        sql.push(" OR m.model || '/' || v.number IN ").list(&search.visible.versions).push(")");
    }
    for (at, term) in search.filter.iter().enumerate() {
        let begins = rare == Some(at);
        sql.push(" AND ").term(term, &mut |sql, condition| self::condition(sql, project, condition, begins));
    }
    if rare.is_some() {
        columns = sorted(&columns);
    }
    if let Some(marks) = start {
        after(&mut sql, &columns, marks);
    }
    order_by(&mut sql, &columns);
    sql.push(" LIMIT ").bind(search.limit as i64 + 1);
    sql.rows(db, |row| {
        let marks = (0..columns.len()).map(|at| row.get(COLUMN_COUNT + at)).collect::<Result<Vec<_>, _>>()?;
        Ok((ids(row)?, record(row)?, marks))
    })
}

/// Where a search begins: at its project, in the order that is wanted, or at what narrows it most.
#[derive(Clone, Copy)]
enum Begins {
    Project,
    Elsewhere,
}

/// Which condition few versions meet, so that the search begins with them.
fn rare(db: &Connection, search: &VersionSearch) -> rusqlite::Result<Option<usize>> {
    let project = search.project.project();
    for (at, term) in search.filter.iter().enumerate() {
        let is_rare = match term {
            Term::Is(VersionCondition::Tag { key, text }) => TAGS.is_rare(db, project, key, text)?,
            Term::Is(VersionCondition::Text { column: TextColumn::Run, text: Text::Eq(run) }) => {
                is_rare(db, "version", "project = ?1 AND run = ?2", params![project, run])?
            }
            _ => false,
        };
        if is_rare {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Adds where the search is: in one model, by its name or by what it is called, or in the project.
fn begin(sql: &mut Sql, search: &VersionSearch, is_rare: bool) -> Begins {
    let called = search.filter.iter().find_map(|term| match term {
        Term::Is(VersionCondition::Text { column: TextColumn::Model, text: Text::Eq(display_name) }) => {
            Some(display_name)
        }
        _ => None,
    });
    let project = search.project.project();
    match (&search.model, called) {
        (Some(model), _) => {
            sql.push(if is_rare { "+v.model = " } else { "v.model = " });
            only(sql, model);
        }
        (None, Some(display_name)) => {
            sql.push(if is_rare { "+v.model = " } else { "v.model = " });
            sql.push("(SELECT id FROM model WHERE project = ").bind(project.to_owned());
            sql.push(" AND is_prompt IN (0, 1) AND display_name = ").bind(display_name.clone()).push(")");
        }
        (None, None) if is_rare => {
            sql.push("+v.project = ").bind(project.to_owned());
        }
        (None, None) => {
            sql.push("v.project = ").bind(project.to_owned());
            return Begins::Project;
        }
    }
    Begins::Elsewhere
}

/// Adds a condition. `begins`: few meet it, and the search begins with them.
fn condition(sql: &mut Sql, project: &str, condition: &VersionCondition, begins: bool) {
    match condition {
        VersionCondition::Text { column: TextColumn::Run, text: Text::Eq(run) } if begins => {
            sql.push("v.id IN (SELECT id FROM version WHERE project = ").bind(project.to_owned());
            sql.push(" AND run = ").bind(run.clone()).push(")");
        }
        VersionCondition::Text { column, text } => {
            sql.text(text_column(*column), text);
        }
        VersionCondition::Number { compare, value } => {
            sql.push("v.number ").push(compare.sql()).push(" ").bind(*value);
        }
        VersionCondition::Time { column, compare, value } => {
            sql.push(attribute(*column)).push(" / 1000 ").push(compare.sql()).push(" ").bind(*value);
        }
        VersionCondition::Tag { key, text } => TAGS.condition(sql, project, key, text, begins),
    }
}

/// Adds the row of a model.
fn only(sql: &mut Sql, model: &ModelName) {
    sql.push("(SELECT id FROM model WHERE project = ").bind(model.project().to_owned());
    sql.push(" AND model = ").bind(model.model().to_owned()).push(")");
}

fn ids(row: &Row<'_>) -> rusqlite::Result<Ids> {
    Ok(Ids { version: row.get(0)?, model: row.get(1)? })
}

fn record(row: &Row<'_>) -> rusqlite::Result<VersionRecord> {
    let model = ModelName::new(&row.get::<_, String>(2)?, &row.get::<_, String>(3)?);
    let model = model.map_err(|fault| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, fault.into()))?;
    let kept: Vec<u8> = row.get(8)?;
    let kept = ModelVersionCreated::decode(kept.as_slice())
        .map_err(|fault| rusqlite::Error::FromSqlConversionFailure(8, Type::Blob, fault.into()))?;
    Ok(VersionRecord {
        name: model.version(Number(row.get(5)?)),
        model_display_name: row.get(4)?,
        stage: row.get::<_, String>(6)?.parse().unwrap_or_default(),
        aliases: vec![],
        description: row.get(7)?,
        tags: BTreeMap::new(),
        facts: Arc::new(facts(kept)),
        create_time: Time::from_micros(row.get(9)?),
        update_time: Time::from_micros(row.get(10)?),
        creator: row.get(11)?,
        revision: Revision(row.get::<_, i64>(12)? as u64),
    })
}

fn complete(db: &Connection, ids: Ids, mut record: VersionRecord) -> rusqlite::Result<VersionRecord> {
    record.tags = db
        .prepare_cached("SELECT key, value FROM version_tag WHERE version = ?1")?
        .query_map([ids.version], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    record.aliases = db
        .prepare_cached("SELECT alias FROM alias WHERE model = ?1 AND number = ?2 ORDER BY alias")?
        .query_map(params![ids.model, record.name.number().0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(record)
}

fn columns(order: &[Ordered<VersionOrder>]) -> Vec<Column> {
    let mut columns: Vec<Column> = order
        .iter()
        .map(|term| Column { sql: attribute(term.key).to_owned(), is_descending: term.is_descending })
        .collect();
    if columns.is_empty() {
        columns.push(Column::descending("v.update_us"));
    }
    if !order.iter().any(|term| term.key == VersionOrder::Model) {
        columns.push(Column::ascending("m.display_name"));
    }
    if !order.iter().any(|term| term.key == VersionOrder::Number) {
        columns.push(Column::descending("v.number"));
    }
    columns
}

fn attribute(key: VersionOrder) -> &'static str {
    match key {
        VersionOrder::Model => "m.display_name",
        VersionOrder::Number => "v.number",
        VersionOrder::CreateTime => "v.create_us",
        VersionOrder::UpdateTime => "v.update_us",
    }
}

fn text_column(column: TextColumn) -> &'static str {
    match column {
        TextColumn::Model => "m.display_name",
        TextColumn::Run => "v.run",
        TextColumn::Source => "v.source_uri",
        TextColumn::Stage => "v.stage",
        TextColumn::Framework => "v.framework",
    }
}
