use std::sync::Arc;

use cairn_kernel::{AsOf, Name, Position, Time};
use cairn_projection::{QueryFault, ReadModel};
use cairn_search::{SearchFault, Sql, fingerprint, marks, token};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::model::ProjectName;
use crate::model::function::{Document, FunctionName, FunctionVersionName, Package, VersionId};
use crate::query::SearchError;

/// A function as it is or was.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionRecord {
    pub name: FunctionName,
    pub document: Document,
    pub revision: u32,
    pub create_time: Time,
    pub update_time: Time,
    /// When this revision deleted it.
    pub delete_time: Option<Time>,
    pub creator: String,
    pub updater: String,
    /// The version published last, and when.
    pub latest: Option<(VersionId, Time)>,
    pub version_count: u32,
    /// The stream's revision at that moment.
    pub etag: u64,
}

/// A published version.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionRecord {
    pub name: FunctionVersionName,
    pub package: Arc<Package>,
    pub create_time: Time,
    pub creator: String,
}

/// What of a project's functions a caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    All,
    /// Those with these ids.
    Some(Vec<String>),
}

/// Which functions, and where to begin.
#[derive(Clone, Debug)]
pub struct FunctionSearch {
    pub project: ProjectName,
    pub visible: Visible,
    /// Each a key, and the value it must have, if that matters.
    pub labels: Vec<(String, Option<String>)>,
    pub as_of: Option<AsOf>,
    pub limit: usize,
    pub page_token: String,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

const REVISION: &str =
    "SELECT r.project, r.function, r.revision, r.description, r.labels, r.spec, r.create_us, r.time_us,
  r.is_deleted, r.creator, r.updater, r.etag, r.position FROM function_revision r WHERE r.project = ";
const VERSION: &str =
    "SELECT project, function, version, description, labels, spec, sha256, size, signature, object_key,
  time_us, creator, position FROM function_version WHERE gone_position IS NULL AND project = ";

impl Visible {
    /// What these prefixes cover of a project.
    pub fn of(prefixes: &[Name], project: &ProjectName) -> Self {
        if prefixes.iter().any(|prefix| prefix.covers(project.name())) {
            return Self::All;
        }
        let of_project = prefixes.iter().filter(|prefix| prefix.project().as_ref() == Some(project.name()));
        Self::Some(of_project.filter_map(|name| Some(name.matches("projects/*/functions/*")?[1].to_owned())).collect())
    }
}

/// The last position that is seen.
fn last(until: Option<Position>) -> i64 {
    until.and_then(|position| i64::try_from(position.0).ok()).unwrap_or(i64::MAX)
}

/// A function at a moment. One that was deleted then is there only for who asks for deletions.
pub async fn function(
    model: &ReadModel,
    name: &FunctionName,
    until: Option<Position>,
    with_deleted: bool,
) -> Result<Option<FunctionRecord>, QueryFault> {
    let until = last(until);
    let mut sql = Sql::default();
    sql.push(REVISION).bind(name.project().to_owned());
    sql.push(" AND r.function = ").bind(name.function().to_owned());
    sql.push(" AND r.position <= ").bind(until);
    sql.push(" ORDER BY r.position DESC LIMIT 1");
    let ask = move |db: &Connection| {
        let found = sql.rows(db, |row| Ok((record(row)?, row.get::<_, bool>(8)?)))?;
        let found = found.into_iter().next().filter(|(_, is_deleted)| with_deleted || !is_deleted);
        found.map(|(record, _)| complete(db, record, until)).transpose()
    };
    model.query(ask).await
}

/// Where the revision stands that an event made.
pub async fn made_by(model: &ReadModel, event: Uuid) -> Result<Option<Position>, QueryFault> {
    let ask = move |db: &Connection| {
        db.prepare_cached("SELECT position FROM function_revision WHERE event = ?1")?
            .query_row(params![event.as_bytes().as_slice()], |row| Ok(Position(row.get::<_, i64>(0)? as u64)))
            .optional()
    };
    model.query(ask).await
}

/// Functions by name.
pub async fn search(
    model: &ReadModel,
    search: FunctionSearch,
    until: Option<Position>,
) -> Result<Page<FunctionRecord>, SearchError> {
    let print = fingerprint(&(&search.project, &search.labels, search.as_of));
    let start = one_mark(&print, &search.page_token)?;
    let mut sql = Sql::default();
    sql.push(REVISION).bind(search.project.project().to_owned());
    match until {
        None => sql.push(" AND r.is_newest = 1"),
        Some(_) => {
            sql.push(" AND r.position = (SELECT max(x.position) FROM function_revision x WHERE x.project = r.project")
                .push(" AND x.function = r.function AND x.position <= ");
            sql.bind(last(until)).push(")")
        }
    };
    sql.push(" AND r.is_deleted = 0");
    if let Visible::Some(functions) = &search.visible {
        sql.push(" AND r.function IN ").list(functions);
    }
    for (key, value) in &search.labels {
        sql.push(" AND EXISTS (SELECT 1 FROM json_each(r.labels) l WHERE l.key = ").bind(key.clone());
        if let Some(value) = value {
            sql.push(" AND l.value = ").bind(value.clone());
        }
        sql.push(")");
    }
    if let Some(mark) = start {
        sql.push(" AND r.function > ").bind(mark);
    }
    let (limit, until) = (search.limit, last(until));
    sql.push(" ORDER BY r.function LIMIT ").bind(limit as i64 + 1);
    let ask = move |db: &Connection| {
        let rows = sql.rows(db, |row| Ok((record(row)?, Value::from(row.get::<_, String>(1)?))))?;
        let page = cut(rows, limit, &print);
        let items = page.items.into_iter().map(|record| complete(db, record, until));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next_page_token: page.next_page_token })
    };
    Ok(model.query(ask).await?)
}

/// What a function has been, newest first.
pub async fn revisions(
    model: &ReadModel,
    name: &FunctionName,
    limit: usize,
    page_token: &str,
) -> Result<Page<FunctionRecord>, SearchError> {
    let print = fingerprint(&("revisions", name));
    let start = one_mark(&print, page_token)?;
    let mut sql = Sql::default();
    sql.push(REVISION).bind(name.project().to_owned());
    sql.push(" AND r.function = ").bind(name.function().to_owned());
    if let Some(mark) = start {
        sql.push(" AND r.position < ").bind(mark);
    }
    sql.push(" ORDER BY r.position DESC LIMIT ").bind(limit as i64 + 1);
    let ask = move |db: &Connection| {
        let rows = sql.rows(db, |row| {
            let position: i64 = row.get(12)?;
            Ok(((record(row)?, position), Value::from(position)))
        })?;
        let page = cut(rows, limit, &print);
        let items = page.items.into_iter().map(|(record, position)| complete(db, record, position));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next_page_token: page.next_page_token })
    };
    Ok(model.query(ask).await?)
}

/// A version that is handed out. `None` as the version: the one published last.
pub async fn version(
    model: &ReadModel,
    function: &FunctionName,
    version: Option<&VersionId>,
) -> Result<Option<VersionRecord>, QueryFault> {
    let mut sql = Sql::default();
    sql.push(VERSION).bind(function.project().to_owned());
    sql.push(" AND function = ").bind(function.function().to_owned());
    match version {
        Some(version) => sql.push(" AND version = ").bind(version.as_str().to_owned()),
        None => sql.push(" ORDER BY position DESC LIMIT 1"),
    };
    model.query(move |db| Ok(sql.rows(db, version_record)?.into_iter().next())).await
}

/// Versions that are handed out, newest first.
pub async fn versions(
    model: &ReadModel,
    function: &FunctionName,
    limit: usize,
    page_token: &str,
) -> Result<Page<VersionRecord>, SearchError> {
    let print = fingerprint(&("versions", function));
    let start = one_mark(&print, page_token)?;
    let mut sql = Sql::default();
    sql.push(VERSION).bind(function.project().to_owned());
    sql.push(" AND function = ").bind(function.function().to_owned());
    if let Some(mark) = start {
        sql.push(" AND position < ").bind(mark);
    }
    sql.push(" ORDER BY position DESC LIMIT ").bind(limit as i64 + 1);
    let ask = move |db: &Connection| {
        let rows = sql.rows(db, |row| Ok((version_record(row)?, Value::from(row.get::<_, i64>(12)?))))?;
        Ok(cut(rows, limit, &print))
    };
    Ok(model.query(ask).await?)
}

/// Whether an object is the package of a version, also of one that is not handed out any more.
pub async fn is_used(model: &ReadModel, object_key: &str) -> Result<bool, QueryFault> {
    let key = object_key.to_owned();
    let ask = move |db: &Connection| {
        db.prepare_cached("SELECT 1 FROM function_version WHERE object_key = ?1 LIMIT 1")?.exists(params![key])
    };
    model.query(ask).await
}

/// How many bytes the packages of a project's functions have, and whether this object is one of them. Each counts once,
/// however many versions it was published as; those of deleted functions do not.
pub async fn package_bytes(model: &ReadModel, project: &str, object_key: &str) -> Result<(u64, bool), QueryFault> {
    let (project, key) = (project.to_owned(), object_key.to_owned());
    let ask = move |db: &Connection| {
        db.prepare_cached(
            "SELECT coalesce(sum(size), 0), coalesce(max(object_key = ?2), 0) FROM (
               SELECT DISTINCT object_key, size FROM function_version WHERE project = ?1 AND gone_position IS NULL)",
        )?
        .query_row(params![project, key], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?)))
    };
    model.query(ask).await
}

/// A page out of a row more than it holds.
fn cut<T>(mut rows: Vec<(T, Value)>, limit: usize, print: &str) -> Page<T> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next_page_token = match rows.last() {
        Some((_, mark)) if has_more => token(print, vec![mark.clone()]),
        _ => String::new(),
    };
    Page { items: rows.into_iter().map(|(item, _)| item).collect(), next_page_token }
}

fn one_mark(print: &str, page_token: &str) -> Result<Option<Value>, SearchFault> {
    match marks(print, page_token)? {
        None => Ok(None),
        Some(marks) => match <[Value; 1]>::try_from(marks) {
            Ok([mark]) => Ok(Some(mark)),
            Err(_) => Err(SearchFault::PageToken),
        },
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<FunctionRecord> {
    let update_time = Time::from_micros(row.get(7)?);
    Ok(FunctionRecord {
        name: function_name(row)?,
        revision: row.get(2)?,
        document: document(row, 3)?,
        create_time: Time::from_micros(row.get(6)?),
        update_time,
        delete_time: row.get::<_, bool>(8)?.then_some(update_time),
        creator: row.get(9)?,
        updater: row.get(10)?,
        latest: None,
        version_count: 0,
        etag: row.get::<_, i64>(11)? as u64,
    })
}

/// Adds what was published by then.
fn complete(db: &Connection, mut record: FunctionRecord, until: i64) -> rusqlite::Result<FunctionRecord> {
    let name = &record.name;
    let newest = db
        .prepare_cached(
            "SELECT version, time_us, etag, count(*) OVER () FROM function_version
             WHERE project = ?1 AND function = ?2 AND position <= ?3 AND (gone_position IS NULL OR gone_position > ?3)
             ORDER BY position DESC LIMIT 1",
        )?
        .query_row(params![name.project(), name.function(), until], |row| {
            let latest = (VersionId::stored(row.get::<_, String>(0)?), Time::from_micros(row.get(1)?));
            Ok((latest, row.get::<_, i64>(2)? as u64, row.get::<_, u32>(3)?))
        })
        .optional()?;
    if let Some((latest, etag, count)) = newest {
        record.latest = Some(latest);
        record.version_count = count;
        record.etag = record.etag.max(etag);
    }
    Ok(record)
}

fn version_record(row: &Row<'_>) -> rusqlite::Result<VersionRecord> {
    let version = VersionId::stored(row.get::<_, String>(2)?);
    let package = Package {
        document: document(row, 3)?,
        sha256: row.get(6)?,
        size: row.get::<_, i64>(7)? as u64,
        signature: row.get(8)?,
        object_key: row.get(9)?,
    };
    Ok(VersionRecord {
        name: function_name(row)?.version(&version),
        package: Arc::new(package),
        create_time: Time::from_micros(row.get(10)?),
        creator: row.get(11)?,
    })
}

fn function_name(row: &Row<'_>) -> rusqlite::Result<FunctionName> {
    let [project, function]: [String; 2] = [row.get(0)?, row.get(1)?];
    FunctionName::new(&project, &function)
        .map_err(|fault| rusqlite::Error::FromSqlConversionFailure(1, Type::Text, fault.into()))
}

/// Description, labels and spec, from three columns.
fn document(row: &Row<'_>, at: usize) -> rusqlite::Result<Document> {
    Ok(Document { description: row.get(at)?, labels: json(row, at + 1)?, spec: json(row, at + 2)? })
}

fn json<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text).map_err(|fault| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, fault.into()))
}
