//! Rows as JSON objects: the queries name their columns as MLflow's REST API names its fields.

use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Connection, Row};
use serde_json::{Map, Value, json};

/// The column that later pages begin behind.
const AT: &str = "at";
/// The column that the parts of an item are found by.
const ID: &str = "id";

/// A query whose rows are items. A dot in the name of a column leads into an object of that name. Columns that are null
/// are left out, as fields without a value are.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    pub sql: &'static str,
    /// Lists that belong to each item: where they go, and how they are found by the item's `id`.
    pub parts: &'static [(&'static str, Query)],
}

/// A page of items.
#[derive(Debug, Default)]
pub struct Page {
    pub items: Vec<Value>,
    /// Where the last of them is.
    pub last: Option<i64>,
}

impl Query {
    /// The items of `of` behind `after`, at most `size` of them.
    pub fn page(&self, connection: &Connection, of: &str, after: i64, size: usize) -> rusqlite::Result<Page> {
        let mut statement = connection.prepare_cached(self.sql)?;
        let mut rows = statement.query((of, after, size))?;
        let mut page = Page::default();
        while let Some(row) = rows.next()? {
            page.last = Some(row.get(AT)?);
            page.items.push(self.item(connection, row)?);
        }
        Ok(page)
    }

    /// All items of what has this id.
    pub fn all(&self, connection: &Connection, id: &Cell) -> rusqlite::Result<Vec<Value>> {
        let mut statement = connection.prepare_cached(self.sql)?;
        let mut rows = statement.query([id])?;
        let mut items = vec![];
        while let Some(row) = rows.next()? {
            items.push(self.item(connection, row)?);
        }
        Ok(items)
    }

    fn item(&self, connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Value> {
        let mut item = object(row)?;
        if !self.parts.is_empty() {
            let id: Cell = row.get(ID)?;
            for (place, query) in self.parts {
                put(&mut item, place, Value::Array(query.all(connection, &id)?));
            }
        }
        Ok(Value::Object(item))
    }
}

fn object(row: &Row<'_>) -> rusqlite::Result<Map<String, Value>> {
    let mut object = Map::new();
    for (at, column) in row.as_ref().column_names().into_iter().enumerate() {
        if matches!(column, AT | ID) {
            continue;
        }
        match field(row.get_ref(at)?) {
            Value::Null => {}
            value => put(&mut object, column, value),
        }
    }
    Ok(object)
}

/// A cell as the API would write it. JSON has no numbers for what is not finite.
fn field(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) if number.is_finite() => json!(number),
        ValueRef::Real(number) if number > 0.0 => json!("Infinity"),
        ValueRef::Real(_) => json!("-Infinity"),
        // SQLite keeps whatever bytes it is given.
        ValueRef::Text(text) | ValueRef::Blob(text) => json!(String::from_utf8_lossy(text)),
    }
}

fn put(object: &mut Map<String, Value>, place: &str, value: Value) {
    match place.split_once('.') {
        None => drop(object.insert(place.to_owned(), value)),
        Some((first, rest)) => {
            let inner = object.entry(first).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THINGS: Query = Query {
        sql: r#"SELECT n AS at, n AS id, name AS "info.name", worth AS "data.worth" FROM things
                WHERE kind = ?1 AND n > ?2 ORDER BY n LIMIT ?3"#,
        parts: &[("data.tags", Query { sql: "SELECT key, value FROM tags WHERE n = ?1 ORDER BY key", parts: &[] })],
    };

    fn filled() -> rusqlite::Result<Connection> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE TABLE things (n INTEGER PRIMARY KEY, kind TEXT, name TEXT, worth FLOAT);
             CREATE TABLE tags (n INTEGER, key TEXT, value TEXT);
             INSERT INTO things VALUES (1, 'k', 'one', 1), (2, 'other', 'two', 2), (3, 'k', NULL, 9e999),
                                       (4, 'k', 'four', -9e999), (5, 'k', CAST(x'66ff' AS TEXT), 0.1);
             INSERT INTO tags VALUES (1, 'b', '2'), (1, 'a', NULL), (2, 'c', '3');",
        )?;
        Ok(connection)
    }

    #[test]
    fn rows_are_told_as_the_api_tells_things() -> rusqlite::Result<()> {
        let connection = filled()?;
        let page = THINGS.page(&connection, "k", 0, 10)?;
        let expected = json!([
            {"info": {"name": "one"}, "data": {"worth": 1.0, "tags": [{"key": "a"}, {"key": "b", "value": "2"}]}},
            {"data": {"worth": "Infinity", "tags": []}},
            {"info": {"name": "four"}, "data": {"worth": "-Infinity", "tags": []}},
            {"info": {"name": "f\u{fffd}"}, "data": {"worth": 0.1, "tags": []}},
        ]);
        assert_eq!(Value::Array(page.items), expected);
        Ok(())
    }

    #[test]
    fn a_page_begins_where_the_last_one_ended() -> rusqlite::Result<()> {
        let connection = filled()?;
        let (mut after, mut sizes) = (0, vec![]);
        while let Page { items, last: Some(last) } = THINGS.page(&connection, "k", after, 3)? {
            sizes.push(items.len());
            after = last;
        }
        assert_eq!(sizes, [3, 1]);
        Ok(())
    }
}
