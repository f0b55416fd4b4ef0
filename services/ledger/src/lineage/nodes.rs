use std::collections::HashMap;

use cairn_kernel::Name;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params_from_iter};

use crate::scope::Scope;

/// The end of what has not ended.
pub const ENDLESS: i64 = i64::MAX;

/// What a reader sees of the graph: what lies where they may look, as of a position.
#[derive(Clone, Debug)]
pub struct View {
    pub scope: Scope,
    pub until: i64,
}

/// A node as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeRow {
    pub id: i64,
    pub name: Name,
    pub kind: String,
    pub label: String,
    pub digest: String,
    pub state: String,
    pub is_ended: bool,
    pub position: i64,
}

/// An edge as the table has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EdgeRow {
    pub source: i64,
    pub target: i64,
    pub relation: i64,
    pub position: i64,
    pub end_position: i64,
    pub time_micros: i64,
}

impl EdgeRow {
    /// Reads source, target, relation, position, end and time, in this order.
    pub fn of(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            source: row.get(0)?,
            target: row.get(1)?,
            relation: row.get(2)?,
            position: row.get(3)?,
            end_position: row.get(4)?,
            time_micros: row.get(5)?,
        })
    }

    /// Whether it was there at a position.
    pub fn is_there(&self, until: i64) -> bool {
        self.position <= until && self.end_position > until
    }
}

/// Looks nodes up by their numbers, each once, and only those that the reader may see.
pub struct Nodes<'c> {
    view: View,
    seen: HashMap<i64, Option<Seen>>,
    words: HashMap<i64, String>,
    whole: CachedStatement<'c>,
    word: CachedStatement<'c>,
    mark: CachedStatement<'c>,
}

/// What does not change with the moment.
struct Seen {
    name: Name,
    kind: i64,
    label: String,
    digest: String,
    position: i64,
}

impl<'c> Nodes<'c> {
    pub fn new(connection: &'c Connection, view: View) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            view,
            seen: HashMap::new(),
            words: HashMap::new(),
            whole: connection.prepare_cached(
                "SELECT coalesce(name, key), kind, label, digest, position FROM lineage_node WHERE id = ?1",
            )?,
            word: connection.prepare_cached("SELECT text FROM lineage_word WHERE id = ?1")?,
            mark: connection.prepare_cached(
                "SELECT state, is_ended FROM lineage_mark WHERE node = ?1 AND position <= ?2
                 ORDER BY position DESC LIMIT 1",
            )?,
        })
    }

    /// What the reader sees of the graph.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Whether the reader sees a node.
    ///
    /// INVARIANT: everything that walks asks here before it goes on, so nothing is found through what is not seen.
    pub fn sees(&mut self, id: i64) -> Result<bool, rusqlite::Error> {
        if let Some(seen) = self.seen.get(&id) {
            return Ok(seen.is_some());
        }
        let found = self.whole.query_row([id], |row| {
            let name: String = row.get(0)?;
            Ok((name, (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))
        });
        let seen = found.optional()?.and_then(|(name, (kind, label, digest, position))| {
            let name = name.parse().ok()?;
            let seen = Seen { name, kind, label, digest, position };
            (position <= self.view.until && self.view.scope.covers(&seen.name)).then_some(seen)
        });
        let is_seen = seen.is_some();
        self.seen.insert(id, seen);
        Ok(is_seen)
    }

    /// A node, if the reader sees it.
    pub fn row(&mut self, id: i64) -> Result<Option<NodeRow>, rusqlite::Error> {
        self.sees(id)?;
        let Some(Some(seen)) = self.seen.get(&id) else { return Ok(None) };
        let Seen { name, kind, label, digest, position } = seen;
        let (name, label, digest, kind, position) = (name.clone(), label.clone(), digest.clone(), *kind, *position);
        let mark = self.mark.query_row([id, self.view.until], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (state, is_ended) = match mark {
            Some((state, is_ended)) => (self.word(state)?, is_ended),
            None => (String::new(), false),
        };
        Ok(Some(NodeRow { id, name, kind: self.word(kind)?, label, digest, state, is_ended, position }))
    }

    /// The name of a node, if the reader sees it.
    pub fn name(&mut self, id: i64) -> Result<Option<String>, rusqlite::Error> {
        self.sees(id)?;
        Ok(self.seen.get(&id).and_then(Option::as_ref).map(|seen| seen.name.to_string()))
    }

    /// The text of a word.
    pub fn word(&mut self, id: i64) -> Result<String, rusqlite::Error> {
        if let Some(text) = self.words.get(&id) {
            return Ok(text.clone());
        }
        let text: String = self.word.query_row([id], |row| row.get(0))?;
        self.words.insert(id, text.clone());
        Ok(text)
    }
}

/// The number of the node of a name, in full or without what may be left out.
pub fn find(connection: &Connection, name: &str) -> Result<Option<i64>, rusqlite::Error> {
    let by = |sql| connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional();
    match by("SELECT id FROM lineage_node WHERE name = ?1")? {
        Some(id) => Ok(Some(id)),
        None => by("SELECT id FROM lineage_node WHERE key = ?1"),
    }
}

/// Which nodes a list wants.
#[derive(Clone, Debug, Default)]
pub struct NodesPage {
    pub kind: String,
    pub label: String,
    /// After this node.
    pub after: i64,
    pub size: usize,
}

/// The nodes of a page, in the order of their numbers, and whether there are more.
pub fn list(connection: &Connection, view: &View, page: &NodesPage) -> Result<(Vec<NodeRow>, bool), rusqlite::Error> {
    let (mut sql, mut values) =
        ("SELECT id FROM lineage_node WHERE id > ?".to_owned(), vec![Value::Integer(page.after)]);
    if !page.kind.is_empty() {
        sql.push_str(" AND kind = (SELECT id FROM lineage_word WHERE text = ?)");
        values.push(Value::Text(page.kind.clone()));
    }
    if !page.label.is_empty() {
        sql.push_str(" AND label <> '' AND label = ?");
        values.push(Value::Text(page.label.clone()));
    }
    // The names of a scope, as stretches of the two columns that hold names.
    if !view.scope.covers(&Name::ROOT) {
        let mut places = vec![];
        for name in &view.scope.0 {
            let (low, high) = (format!("{name}/"), format!("{name}0"));
            for column in ["key", "name"] {
                places.push(format!("{column} = ? OR ({column} > ? AND {column} < ?)"));
                values.extend([name.to_string(), low.clone(), high.clone()].map(Value::Text));
            }
        }
        sql.push_str(&format!(" AND ({})", if places.is_empty() { "FALSE".to_owned() } else { places.join(" OR ") }));
    }
    sql.push_str(" ORDER BY id");
    let mut nodes = Nodes::new(connection, view.clone())?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = vec![];
    while let Some(row) = rows.next()? {
        // The name in full decides.
        let Some(node) = nodes.row(row.get(0)?)? else { continue };
        if found.len() == page.size {
            return Ok((found, true));
        }
        found.push(node);
    }
    Ok((found, false))
}
