use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use crate::catalog::quoted;
use crate::rebuild::{TableDigest, TableVerdict};

/// Where two builds of a table part: the keys of the first rows that differ, in the order of the key.
///
/// The same key on both sides: the rows differ in another column. Different keys: one side lacks a row. `None`: that
/// side has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub live: Option<String>,
    pub rebuilt: Option<String>,
}

/// Compares a table in two files.
pub(crate) fn compare(live: &Connection, rebuilt: &Connection, table: &str) -> Result<TableVerdict, rusqlite::Error> {
    let rows = Rows::of(live, table)?;
    let verdict = TableVerdict {
        table: table.to_owned(),
        live: rows.digest(live)?,
        rebuilt: rows.digest(rebuilt)?,
        difference: None,
    };
    if verdict.live == verdict.rebuilt {
        return Ok(verdict);
    }
    Ok(TableVerdict { difference: rows.first_difference(live, rebuilt)?, ..verdict })
}

/// How to read a table in the order of its key.
struct Rows {
    sql: String,
    /// Name and column index of each part of the key.
    key: Vec<(String, usize)>,
    columns: usize,
}

impl Rows {
    fn of(connection: &Connection, table: &str) -> Result<Self, rusqlite::Error> {
        let mut listed = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns: Vec<(String, u32)> =
            listed.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let mut key: Vec<_> = columns.iter().enumerate().filter(|(_, (_, place))| *place > 0).collect();
        key.sort_by_key(|(_, (_, place))| *place);
        if key.is_empty() {
            key = columns.iter().enumerate().collect();
        }
        let key: Vec<_> = key.into_iter().map(|(at, (name, _))| (name.clone(), at)).collect();
        let list = |names: Vec<&String>| names.into_iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {}",
            list(columns.iter().map(|(name, _)| name).collect()),
            quoted(table),
            list(key.iter().map(|(name, _)| name).collect()),
        );
        Ok(Self { sql, key, columns: columns.len() })
    }

    fn digest(&self, connection: &Connection) -> Result<TableDigest, rusqlite::Error> {
        let mut context = Context::new(&SHA256);
        let mut count = 0;
        let mut bytes = vec![];
        let mut statement = connection.prepare(&self.sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            bytes.clear();
            self.encode(row, &mut bytes)?;
            context.update(&bytes);
            count += 1;
        }
        Ok(TableDigest { rows: count, sha256: hex::encode(context.finish()) })
    }

    fn first_difference(&self, live: &Connection, rebuilt: &Connection) -> Result<Option<Difference>, rusqlite::Error> {
        let (mut live, mut rebuilt) = (live.prepare(&self.sql)?, rebuilt.prepare(&self.sql)?);
        let (mut live, mut rebuilt) = (live.query([])?, rebuilt.query([])?);
        let (mut left, mut right) = (vec![], vec![]);
        loop {
            let (one, other) = (live.next()?, rebuilt.next()?);
            if one.is_none() && other.is_none() {
                return Ok(None);
            }
            left.clear();
            right.clear();
            one.map_or(Ok(()), |row| self.encode(row, &mut left))?;
            other.map_or(Ok(()), |row| self.encode(row, &mut right))?;
            if left != right {
                let live = one.map(|row| self.key(row)).transpose()?;
                let rebuilt = other.map(|row| self.key(row)).transpose()?;
                return Ok(Some(Difference { live, rebuilt }));
            }
        }
    }

    /// Every value with its type and, where it varies, its length: no two rows have the same bytes.
    fn encode(&self, row: &Row<'_>, bytes: &mut Vec<u8>) -> Result<(), rusqlite::Error> {
        for at in 0..self.columns {
            match row.get_ref(at)? {
                ValueRef::Null => bytes.push(0),
                ValueRef::Integer(value) => {
                    bytes.push(1);
                    bytes.extend(value.to_le_bytes());
                }
                ValueRef::Real(value) => {
                    bytes.push(2);
                    bytes.extend(value.to_bits().to_le_bytes());
                }
                ValueRef::Text(value) => {
                    bytes.push(3);
                    bytes.extend((value.len() as u64).to_le_bytes());
                    bytes.extend(value);
                }
                ValueRef::Blob(value) => {
                    bytes.push(4);
                    bytes.extend((value.len() as u64).to_le_bytes());
                    bytes.extend(value);
                }
            }
        }
        Ok(())
    }

    /// The row's key for people: `run='abc', step=3`.
    fn key(&self, row: &Row<'_>) -> Result<String, rusqlite::Error> {
        let mut text = String::new();
        for (name, at) in &self.key {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = match row.get_ref(*at)? {
                ValueRef::Null => write!(text, "{separator}{name}=NULL"),
                ValueRef::Integer(value) => write!(text, "{separator}{name}={value}"),
                ValueRef::Real(value) => write!(text, "{separator}{name}={value}"),
                ValueRef::Text(value) => write!(text, "{separator}{name}='{}'", String::from_utf8_lossy(value)),
                ValueRef::Blob(value) => write!(text, "{separator}{name}=x'{}'", hex::encode(value)),
            };
        }
        Ok(text)
    }
}
