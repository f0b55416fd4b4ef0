use std::fmt::Write;

use rusqlite::Connection;

use crate::QueryFault;
use crate::catalog::quoted;
use crate::definition::{Definition, Index};

/// The end of a state that is still so.
const OPEN: i64 = i64::MAX;

/// What the past of a view needs beside the view's own tables.
pub(crate) struct Twins {
    pub schema: String,
    /// Made last when all is built at once: they only serve readers.
    pub reader_indexes: Vec<Index>,
}

/// A table of the view.
struct Table {
    name: String,
    /// All columns, as SQL writes them.
    columns: Vec<String>,
    /// The same with their types, by which they compare.
    typed: Vec<String>,
    /// Those of the key.
    key: Vec<String>,
    /// Each index: its name and columns.
    indexes: Vec<(String, Vec<String>)>,
}

impl Twins {
    /// For a schema that was `created`.
    pub fn of(created: &Connection, definition: &Definition) -> Result<Self, QueryFault> {
        let mut schema =
            "CREATE TABLE past_clock (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL);\n".to_owned();
        // Nobody reads the tables themselves.
        for index in definition.reader_indexes.iter() {
            push(&mut schema, format_args!("DROP INDEX {};", quoted(&index.name)));
        }
        let mut reader_indexes = vec![];
        for table in Table::all(created, definition)? {
            let twin = table.twin();
            push(&mut schema, format_args!("{}\n{}", twin.create, twin.triggers));
            for index in twin.indexes {
                push(&mut schema, format_args!("{};", index.sql));
                reader_indexes.push(index);
            }
        }
        Ok(Self { schema, reader_indexes })
    }
}

/// What a reader's connection is told first: each table's name stands for its twin, cut to one moment.
///
/// The moment is a row and not part of the text, so that statements stay prepared from query to query.
pub(crate) fn prelude(definition: &Definition) -> Result<String, QueryFault> {
    let created = Connection::open_in_memory()?;
    created.execute_batch(&definition.schema)?;
    let mut text = "CREATE TEMP TABLE past_at (position INTEGER NOT NULL);
        INSERT INTO temp.past_at VALUES (0);\n"
        .to_owned();
    for table in Table::all(&created, definition)? {
        let (name, twin, columns) = (quoted(&table.name), table.twin_name(), table.columns.join(", "));
        push(
            &mut text,
            format_args!(
                "CREATE TEMP VIEW {name} AS SELECT {columns} FROM main.{twin}
                 WHERE past_from <= (SELECT position FROM temp.past_at)
                   AND past_to > (SELECT position FROM temp.past_at);"
            ),
        );
    }
    Ok(text)
}

/// The statements of one twin.
struct Twin {
    create: String,
    triggers: String,
    indexes: Vec<Index>,
}

impl Table {
    fn all(created: &Connection, definition: &Definition) -> Result<Vec<Self>, QueryFault> {
        definition.tables.iter().map(|table| Self::of(created, definition.name, table)).collect()
    }

    fn of(created: &Connection, view: &str, table: &crate::definition::Table) -> Result<Self, QueryFault> {
        let name = table.name.clone();
        let mut listed = created.prepare("SELECT name, type, pk FROM pragma_table_info(?1) ORDER BY cid")?;
        let found = listed.query_map([&name], |row| {
            let (column, kind) = (quoted(&row.get::<_, String>(0)?), row.get::<_, String>(1)?);
            Ok((format!("{column} {kind}"), column, row.get::<_, u32>(2)?))
        })?;
        let columns: Vec<(String, String, u32)> = found.collect::<Result<_, _>>()?;
        let mut key: Vec<_> = columns.iter().filter(|(.., place)| *place > 0).collect();
        key.sort_by_key(|(.., place)| *place);
        let key: Vec<_> = key.into_iter().map(|(_, column, _)| column.clone()).collect();
        if table.is_view || key.is_empty() {
            let problem = format!("view {view}: {name} has no primary key, so its rows have no past");
            return Err(QueryFault::Conflict(problem));
        }
        let (typed, columns) = columns.into_iter().map(|(typed, column, _)| (typed, column)).unzip();
        let indexes = indexes(created, &name)?;
        Ok(Self { name, columns, typed, key, indexes })
    }

    fn twin_name(&self) -> String {
        quoted(&format!("{}__past", self.name))
    }

    fn twin(&self) -> Twin {
        let (twin, columns, key) = (self.twin_name(), self.typed.join(", "), self.key.join(", "));
        let create = format!(
            "CREATE TABLE {twin} ({columns}, past_from INTEGER NOT NULL, past_to INTEGER NOT NULL,
             PRIMARY KEY ({key}, past_from)) WITHOUT ROWID;"
        );
        let (open, close) = (self.open(), self.close());
        let triggers = [("INSERT", open.clone()), ("UPDATE", format!("{close}\n{open}")), ("DELETE", close)];
        let triggers = triggers.map(|(change, body)| {
            let trigger = quoted(&format!("{}__past_{}", self.name, change.to_lowercase()));
            format!("CREATE TRIGGER {trigger} AFTER {change} ON {} BEGIN\n{body}\nEND;", quoted(&self.name))
        });
        let indexes = self.indexes.iter().map(|(name, columns)| {
            let name = format!("{name}__past");
            let sql = format!("CREATE INDEX {} ON {twin} ({})", quoted(&name), columns.join(", "));
            Index { name, sql }
        });
        Twin { create, triggers: triggers.join("\n"), indexes: indexes.collect() }
    }

    /// A row is so from now on.
    fn open(&self) -> String {
        let new: Vec<_> = self.columns.iter().map(|column| format!("new.{column}")).collect();
        format!("INSERT INTO {} SELECT {}, position, {OPEN} FROM past_clock;", self.twin_name(), new.join(", "))
    }

    /// A row is so no longer. A state that came and went at one position was never seen.
    fn close(&self) -> String {
        let twin = self.twin_name();
        let same = self.key.iter().map(|column| format!("{column} = old.{column}")).collect::<Vec<_>>().join(" AND ");
        format!(
            "DELETE FROM {twin} WHERE {same} AND past_from = (SELECT position FROM past_clock);
             UPDATE {twin} SET past_to = (SELECT position FROM past_clock)
               WHERE {same} AND past_from = (SELECT max(past_from) FROM {twin} WHERE {same}) AND past_to = {OPEN};"
        )
    }
}

/// The indexes of a table with the columns they sort by, the key itself aside. One over expressions is left out.
fn indexes(created: &Connection, table: &str) -> Result<Vec<(String, Vec<String>)>, rusqlite::Error> {
    let mut listed = created.prepare("SELECT name FROM pragma_index_list(?1) WHERE origin <> 'pk' ORDER BY name")?;
    let names: Vec<String> = listed.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut columns_of =
        created.prepare("SELECT name, \"desc\" FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno")?;
    let mut indexes = vec![];
    for name in names {
        let column = |row: &rusqlite::Row<'_>| {
            let order = if row.get::<_, bool>(1)? { " DESC" } else { "" };
            Ok(row.get::<_, Option<String>>(0)?.map(|column| format!("{}{order}", quoted(&column))))
        };
        let columns: Vec<Option<String>> = columns_of.query_map([&name], column)?.collect::<Result<_, _>>()?;
        if let Some(columns) = columns.into_iter().collect::<Option<Vec<_>>>() {
            indexes.push((name.trim_start_matches("sqlite_").to_owned(), columns));
        }
    }
    Ok(indexes)
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
