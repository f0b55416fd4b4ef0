use cairn_kernel::{Revision, Time};
use cairn_projection::{QueryFault, ReadModel};
use rusqlite::{OptionalExtension, params};

use crate::model::ProjectName;
use crate::model::artifact::{ArtifactPath, Content, Owner};

/// An artifact as the view lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub path: ArtifactPath,
    pub content: Content,
    pub create_time: Time,
    pub creator: String,
    pub revision: Revision,
}

/// What lies in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    pub path: String,
    /// `None`: it is a folder.
    pub size: Option<u64>,
}

/// What all artifacts of a project take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub artifacts: u64,
}

const COLUMNS: &str = "path, object_key, size, sha256, media_type, create_time, creator, revision";

/// The artifact with this id.
pub async fn by_id(model: &ReadModel, owner: &Owner, id: &str) -> Result<Option<Row>, QueryFault> {
    let (owner, id) = (owner.to_string(), id.to_owned());
    let query = move |connection: &rusqlite::Connection| {
        let mut found =
            connection.prepare_cached(&format!("SELECT {COLUMNS} FROM artifacts WHERE owner = ?1 AND id = ?2"))?;
        found.query_row(params![owner, id], row).optional()
    };
    model.query(query).await
}

/// Artifacts below a folder (empty: all), in the order of their paths, after one of them.
pub async fn below(
    model: &ReadModel,
    owner: &Owner,
    folder: &str,
    after: &str,
    limit: usize,
) -> Result<Vec<Row>, QueryFault> {
    let (owner, (mut from, to)) = (owner.to_string(), range(folder));
    if !after.is_empty() {
        from = from.max(behind(after));
    }
    let query = move |connection: &rusqlite::Connection| {
        let text = format!(
            "SELECT {COLUMNS} FROM artifacts WHERE owner = ?1 AND path >= ?2 AND {} ORDER BY path LIMIT ?4",
            until(&to)
        );
        let mut found = connection.prepare_cached(&text)?;
        found.query_map(params![owner, from, to, limit as i64], row)?.collect()
    };
    model.query(query).await
}

/// How many artifacts an owner has, counted no further than `max`.
pub async fn count(model: &ReadModel, owner: &Owner, max: usize) -> Result<usize, QueryFault> {
    let owner = owner.to_string();
    let query = move |connection: &rusqlite::Connection| {
        let mut count =
            connection.prepare_cached("SELECT count(*) FROM (SELECT 1 FROM artifacts WHERE owner = ?1 LIMIT ?2)")?;
        count.query_row(params![owner, max as i64], |row| row.get::<_, i64>(0))
    };
    Ok(model.query(query).await? as usize)
}

/// How much a project keeps. Costs the same however much it is.
pub async fn usage(model: &ReadModel, project: &ProjectName) -> Result<Usage, QueryFault> {
    let project = project.project().to_owned();
    let query = move |connection: &rusqlite::Connection| {
        let mut found = connection.prepare_cached("SELECT bytes, artifacts FROM project_usage WHERE project = ?1")?;
        let usage = |row: &rusqlite::Row<'_>| {
            Ok(Usage { bytes: row.get::<_, i64>(0)? as u64, artifacts: row.get::<_, i64>(1)? as u64 })
        };
        found.query_row([project], usage).optional()
    };
    Ok(model.query(query).await?.unwrap_or_default())
}

/// Files and folders right below a folder (empty: the root), in the order of their paths. One seek for each, however
/// much lies below them.
pub async fn children(model: &ReadModel, owner: &Owner, folder: &str) -> Result<Vec<Child>, QueryFault> {
    let (owner, (mut from, to)) = (owner.to_string(), range(folder));
    let skip = if folder.is_empty() { 0 } else { folder.len() + 1 };
    let query = move |connection: &rusqlite::Connection| {
        let text = format!(
            "SELECT path, size FROM artifacts WHERE owner = ?1 AND path >= ?2 AND {} ORDER BY path LIMIT 1",
            until(&to)
        );
        let mut next = connection.prepare_cached(&text)?;
        let mut children = vec![];
        let found = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        while let Some((path, size)) = next.query_row(params![owner, from, to], found).optional()? {
            from = match path.get(skip..).and_then(|rest| rest.find('/')) {
                Some(slash) => {
                    let folder = &path[..skip + slash];
                    children.push(Child { path: folder.to_owned(), size: None });
                    past(folder)
                }
                None => {
                    let from = behind(&path);
                    children.push(Child { path, size: Some(size as u64) });
                    from
                }
            };
        }
        // In the order of the names themselves: a folder was found where its slash sorts.
        children.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(children)
    };
    model.query(query).await
}

/// Whether an object is some artifact's content.
pub async fn is_used(model: &ReadModel, object_key: &str) -> Result<bool, QueryFault> {
    let key = object_key.to_owned();
    let query = move |connection: &rusqlite::Connection| {
        connection.prepare_cached("SELECT 1 FROM artifacts WHERE object_key = ?1 LIMIT 1")?.exists(params![key])
    };
    model.query(query).await
}

/// Where the paths below a folder begin, and before what they end.
fn range(folder: &str) -> (String, Option<String>) {
    if folder.is_empty() { (String::new(), None) } else { (format!("{folder}/"), Some(past(folder))) }
}

/// The first text behind everything below a folder: `0` follows `/`.
fn past(folder: &str) -> String {
    format!("{folder}0")
}

/// The first text behind a path: none contains a NUL.
fn behind(path: &str) -> String {
    format!("{path}\0")
}

/// The upper bound as a condition that the index can use.
fn until(to: &Option<String>) -> &'static str {
    if to.is_some() { "path < ?3" } else { "?3 IS NULL" }
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        path: ArtifactPath::stored(row.get::<_, String>(0)?),
        content: Content {
            object_key: row.get(1)?,
            size: row.get::<_, i64>(2)? as u64,
            sha256: row.get(3)?,
            media_type: row.get(4)?,
        },
        create_time: Time::from_micros(row.get(5)?),
        creator: row.get(6)?,
        revision: Revision(row.get::<_, i64>(7)? as u64),
    })
}
