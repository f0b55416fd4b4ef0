//! Pages that continue after the last row, so that a deep page costs no more than the first.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use crate::SearchFault;
use crate::sql::Sql;

/// A sort column: text of ours, and which way.
#[derive(Clone, Debug)]
pub struct Column {
    pub sql: String,
    pub is_descending: bool,
}

/// Where a page ended. Opaque outside.
#[derive(Serialize, Deserialize)]
struct Token {
    /// Names the search: a token of another one is refused.
    search: String,
    marks: Vec<Mark>,
}

/// A value of the last row. Numbers are bits, because JSON has no infinities.
#[derive(Serialize, Deserialize)]
enum Mark {
    Null,
    Int(i64),
    Real(u64),
    Text(String),
}

impl Column {
    pub fn ascending(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), is_descending: false }
    }

    pub fn descending(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), is_descending: true }
    }
}

/// Names a search by what it asks for.
pub fn fingerprint(search: &impl std::fmt::Debug) -> String {
    let digest = digest::digest(&digest::SHA256, format!("{search:?}").as_bytes());
    hex::encode(&digest.as_ref()[..8])
}

/// The token of the page after a row.
pub fn token(search: &str, marks: Vec<Value>) -> String {
    let marks = marks.into_iter().map(|value| match value {
        Value::Null | Value::Blob(_) => Mark::Null,
        Value::Integer(int) => Mark::Int(int),
        Value::Real(real) => Mark::Real(real.to_bits()),
        Value::Text(text) => Mark::Text(text),
    });
    let token = Token { search: search.to_owned(), marks: marks.collect() };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// Where the page before ended. An empty token is the start.
pub fn marks(search: &str, token: &str) -> Result<Option<Vec<Value>>, SearchFault> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| SearchFault::PageToken)?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|_| SearchFault::PageToken)?;
    if token.search != search {
        return Err(SearchFault::PageToken);
    }
    let marks = token.marks.into_iter().map(|mark| match mark {
        Mark::Null => Value::Null,
        Mark::Int(int) => Value::Integer(int),
        Mark::Real(bits) => Value::Real(f64::from_bits(bits)),
        Mark::Text(text) => Value::Text(text),
    });
    Ok(Some(marks.collect()))
}

/// Adds ` AND (…)`: only rows after the one with these marks.
pub fn after(sql: &mut Sql, columns: &[Column], marks: &[Value]) {
    // What every later row satisfies, said apart, so that an index can begin there.
    if let ([first, ..], [mark, ..]) = (columns, marks)
        && !matches!(mark, Value::Null)
    {
        let compare = if first.is_descending { " <= " } else { " >= " };
        sql.push(" AND ").push(&first.sql).push(compare).bind(mark.clone());
    }
    sql.push(" AND (");
    let mut depth = 0;
    for (at, (column, mark)) in columns.iter().zip(marks).enumerate() {
        let compare = if column.is_descending { " < " } else { " > " };
        sql.push(&column.sql).push(compare).bind(mark.clone());
        if at + 1 < columns.len() {
            sql.push(" OR (").push(&column.sql).push(" IS ").bind(mark.clone()).push(" AND (");
            depth += 2;
        }
    }
    sql.push(&")".repeat(depth + 1));
}

/// Adds ` ORDER BY …`.
pub fn order_by(sql: &mut Sql, columns: &[Column]) {
    for (at, column) in columns.iter().enumerate() {
        sql.push(if at == 0 { " ORDER BY " } else { ", " }).push(&column.sql);
        if column.is_descending {
            sql.push(" DESC");
        }
    }
}
