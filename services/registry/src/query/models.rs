use std::collections::BTreeMap;

use cairn_kernel::{Revision, Time};
use cairn_projection::QueryFault;
use cairn_search::{Column, Sql, Term, Text, after, fingerprint, marks, order_by, token};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Row};

use super::{Query, SearchError, Tags, Visible, sorted};
use crate::model::{ModelName, Number, ProjectName};
use crate::search::{ModelCondition, ModelOrder, Ordered, Prompts};

/// A model as the read model has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRecord {
    pub name: ModelName,
    pub display_name: String,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    pub aliases: BTreeMap<String, Number>,
    /// Its newest version that is not deleted.
    pub latest: Option<Number>,
    pub create_time: Time,
    pub update_time: Time,
    pub creator: String,
    pub revision: Revision,
}

/// Which models, in which order, and where to begin.
#[derive(Clone, Debug)]
pub struct ModelSearch {
    pub project: ProjectName,
    pub visible: Visible,
    pub filter: Vec<Term<ModelCondition>>,
    pub prompts: Prompts,
    /// Absent: by name.
    pub order: Vec<Ordered<ModelOrder>>,
    pub limit: usize,
    pub page_token: String,
}

/// A page of models.
#[derive(Clone, Debug, Default)]
pub struct ModelPage {
    pub models: Vec<ModelRecord>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

const COLUMNS: &str =
    "SELECT m.id, m.project, m.model, m.display_name, m.description, m.create_us, m.update_us, m.creator,
  m.etag, (SELECT max(v.number) FROM version v WHERE v.model = m.id)";
const COLUMN_COUNT: usize = 10;
const TAGS: Tags = Tags { table: "model_tag", owner: "model", id: "m.id" };

impl Query {
    /// A model by its name.
    pub async fn model(&self, name: &ModelName) -> Result<Option<ModelRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(" FROM model m WHERE m.project = ").bind(name.project().to_owned());
        sql.push(" AND m.model = ").bind(name.model().to_owned());
        self.ask(move |db| {
            let found = sql.rows(db, |row| Ok((row.get::<_, i64>(0)?, record(row)?)))?;
            found.into_iter().next().map(|(id, record)| complete(db, id, record)).transpose()
        })
        .await
    }

    /// Finds models.
    pub async fn search_models(&self, search: ModelSearch) -> Result<ModelPage, SearchError> {
        let fingerprint = fingerprint(&(&search.project, &search.filter, search.prompts, &search.order));
        let start = marks(&fingerprint, &search.page_token)?;
        Ok(self.ask(move |db| page(db, &search, &fingerprint, start.as_deref())).await?)
    }
}

fn page(
    db: &Connection,
    search: &ModelSearch,
    fingerprint: &str,
    start: Option<&[Value]>,
) -> rusqlite::Result<ModelPage> {
    let mut found = hits(db, search, start)?;
    let has_more = found.len() > search.limit;
    found.truncate(search.limit);
    let next_page_token = match found.last() {
        Some((_, _, marks)) if has_more => token(fingerprint, marks.clone()),
        _ => String::new(),
    };
    let models = found.into_iter().map(|(id, record, _)| complete(db, id, record));
    Ok(ModelPage { models: models.collect::<Result<_, _>>()?, next_page_token })
}

/// The rows of a page and one more, each with the marks that a next page begins after.
pub(super) fn hits(
    db: &Connection,
    search: &ModelSearch,
    start: Option<&[Value]>,
) -> rusqlite::Result<Vec<(i64, ModelRecord, Vec<Value>)>> {
    let mut columns = columns(&search.order);
    let project = search.project.project();
    let rare = rare_tag(db, search)?;
    let mut sql = Sql::default();
    sql.push(COLUMNS);
    for column in &columns {
        sql.push(", ").push(&column.sql);
    }
    sql.push(" FROM model m WHERE ").push(if rare.is_some() { "+m.project = " } else { "m.project = " });
    sql.bind(project.to_owned());
    sql.push(match search.prompts {
        Prompts::Hidden => " AND m.is_prompt = 0",
        // Also when all are shown: the indexes begin with it.
        Prompts::Shown => " AND m.is_prompt IN (0, 1)",
    });
    if !search.visible.is_all {
        sql.push(" AND m.model IN ").list(&search.visible.models);
    }
    let mut begins_elsewhere = rare.is_some();
    for (at, term) in search.filter.iter().enumerate() {
        begins_elsewhere |= matches!(term, Term::Is(ModelCondition::DisplayName(Text::Eq(_))));
        let begins = rare == Some(at);
        sql.push(" AND ").term(term, &mut |sql, condition| self::condition(sql, project, condition, begins));
    }
    if begins_elsewhere {
        columns = sorted(&columns);
    }
    if let Some(marks) = start {
        after(&mut sql, &columns, marks);
    }
    order_by(&mut sql, &columns);
    sql.push(" LIMIT ").bind(search.limit as i64 + 1);
    sql.rows(db, |row| {
        let marks = (0..columns.len()).map(|at| row.get(COLUMN_COUNT + at)).collect::<Result<Vec<_>, _>>()?;
        Ok((row.get(0)?, record(row)?, marks))
    })
}

/// Adds a condition. `begins`: few meet it, and the search begins with them.
fn condition(sql: &mut Sql, project: &str, condition: &ModelCondition, begins: bool) {
    match condition {
        ModelCondition::DisplayName(text) => {
            sql.text("m.display_name", text);
        }
        ModelCondition::Time { column, compare, value } => {
            sql.push(attribute(*column)).push(" / 1000 ").push(compare.sql()).push(" ").bind(*value);
        }
        ModelCondition::Tag { key, text } => TAGS.condition(sql, project, key, text, begins),
    }
}

/// Which condition asks for a tag that few have.
fn rare_tag(db: &Connection, search: &ModelSearch) -> rusqlite::Result<Option<usize>> {
    for (at, term) in search.filter.iter().enumerate() {
        if let Term::Is(ModelCondition::Tag { key, text }) = term
            && TAGS.is_rare(db, search.project.project(), key, text)?
        {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn record(row: &Row<'_>) -> rusqlite::Result<ModelRecord> {
    let name = ModelName::new(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?);
    Ok(ModelRecord {
        name: name.map_err(|fault| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, fault.into()))?,
        display_name: row.get(3)?,
        description: row.get(4)?,
        tags: BTreeMap::new(),
        aliases: BTreeMap::new(),
        latest: row.get::<_, Option<u32>>(9)?.map(Number),
        create_time: Time::from_micros(row.get(5)?),
        update_time: Time::from_micros(row.get(6)?),
        creator: row.get(7)?,
        revision: Revision(row.get::<_, i64>(8)? as u64),
    })
}

fn complete(db: &Connection, id: i64, mut record: ModelRecord) -> rusqlite::Result<ModelRecord> {
    record.tags = db
        .prepare_cached("SELECT key, value FROM model_tag WHERE model = ?1")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    record.aliases = db
        .prepare_cached("SELECT alias, number FROM alias WHERE model = ?1")?
        .query_map([id], |row| Ok((row.get(0)?, Number(row.get(1)?))))?
        .collect::<Result<_, _>>()?;
    Ok(record)
}

fn columns(order: &[Ordered<ModelOrder>]) -> Vec<Column> {
    let mut columns: Vec<Column> = order
        .iter()
        .map(|term| Column { sql: attribute(term.key).to_owned(), is_descending: term.is_descending })
        .collect();
    if !order.iter().any(|term| term.key == ModelOrder::DisplayName) {
        columns.push(Column::ascending("m.display_name"));
    }
    columns
}

fn attribute(key: ModelOrder) -> &'static str {
    match key {
        ModelOrder::DisplayName => "m.display_name",
        ModelOrder::CreateTime => "m.create_us",
        ModelOrder::UpdateTime => "m.update_us",
    }
}
