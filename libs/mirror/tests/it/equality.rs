//! A copy is what the view is: row by row, and type by type.

use std::time::Duration;

use cairn_mirror::unescaped;
use cairn_postgres::{Dialer, Link};
use cairn_projection::ReadModel;
use cairn_projection::rusqlite::types::Value;
use cairn_testkit::postgres::Postgres;
use tokio::time::Instant;
use tokio_postgres::types::Type;

use crate::shapes::{COPIED, SCHEMA};

/// Values of rows, in an order that both have.
type Table = Vec<Vec<String>>;

pub async fn link(server: &Postgres) -> Link {
    Dialer::new(&server.url(), Duration::from_secs(5)).unwrap().dial().await.unwrap()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(value) => format!("integer {value}"),
        Value::Real(value) => format!("real {:016x}", value.to_bits()),
        Value::Text(value) => format!("text {value:?}"),
        Value::Blob(value) => format!("blob {value:?}"),
    }
}

async fn here(model: &ReadModel, table: &'static str, columns: &'static str) -> Table {
    let rows = model.query(move |connection| {
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
        let count = statement.column_count();
        let row = |row: &cairn_projection::rusqlite::Row<'_>| (0..count).map(|at| Ok(shown(&row.get(at)?))).collect();
        statement.query_map([], row)?.collect::<Result<Table, _>>()
    });
    let mut rows = rows.await.unwrap();
    rows.sort();
    rows
}

async fn there(link: &Link, table: &str) -> Option<Table> {
    let rows = link.query(&format!("SELECT * FROM {SCHEMA}.{table}"), &[]).await.ok()?;
    let shown = |row: &tokio_postgres::Row, at: usize| match *row.columns()[at].type_() {
        Type::INT8 => row.get::<_, Option<i64>>(at).map(Value::Integer),
        Type::FLOAT8 => row.get::<_, Option<f64>>(at).map(Value::Real),
        Type::TEXT => row.get::<_, Option<String>>(at).map(|text| Value::Text(unescaped(&text).unwrap())),
        Type::BYTEA => row.get::<_, Option<Vec<u8>>>(at).map(Value::Blob),
        ref other => panic!("a column of type {other}"),
    };
    let row = |row: &tokio_postgres::Row| {
        (0..row.len()).map(|at| self::shown(&shown(row, at).unwrap_or(Value::Null))).collect()
    };
    let mut rows: Table = rows.iter().map(row).collect();
    rows.sort();
    Some(rows)
}

/// Where the copy first differs from the view.
pub async fn difference(link: &Link, model: &ReadModel) -> Option<String> {
    for (local, remote, columns) in COPIED {
        let here = here(model, local, columns).await;
        match there(link, remote).await {
            None => return Some(format!("{remote} is not there")),
            Some(there) if there != here => return Some(format!("{remote}:\nview {here:?}\ncopy {there:?}")),
            Some(_) => {}
        }
    }
    None
}

/// Waits until the copy is what the view is.
pub async fn become_equal(server: &Postgres, model: &ReadModel) {
    let link = link(server).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Some(difference) = difference(&link, model).await {
        assert!(Instant::now() < deadline, "the copy does not become what the view is: {difference}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The first value of an answer.
pub async fn one(link: &Link, sql: &str) -> String {
    let row = link.query_one(&format!("SELECT ({sql})::text"), &[]).await.unwrap();
    row.get::<_, Option<String>>(0).unwrap_or_default()
}
