use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use cairn_eventstore::{ReadFault, Recorded};
use cairn_kernel::{Position, Revision, StreamName, Time};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

/// How many columns an event has.
pub(crate) const COLUMN_COUNT: usize = 10;

/// Reads rows as events. Names that come again are shared among them.
#[derive(Default)]
pub(crate) struct Decoder {
    streams: HashMap<i64, StreamName>,
    kinds: HashMap<i32, Arc<str>>,
}

impl Decoder {
    pub(crate) fn events(rows: &[Row]) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        let mut decoder = Self::default();
        rows.iter().map(|row| decoder.event(row)).collect()
    }

    pub(crate) fn event(&mut self, row: &Row) -> Result<Arc<Recorded>, ReadFault> {
        let position = unsigned(row, 0)?;
        let (stream, kind) = (column(row, 1)?, column(row, 4)?);
        let stream = match self.streams.get(&stream) {
            Some(name) => name.clone(),
            None => {
                let name = StreamName::stored(named(row, 2, position)?);
                self.streams.insert(stream, name.clone());
                name
            }
        };
        let kind = match self.kinds.get(&kind) {
            Some(name) => Arc::clone(name),
            None => {
                let name: Arc<str> = named(row, 5, position)?.into();
                self.kinds.insert(kind, Arc::clone(&name));
                name
            }
        };
        Ok(Arc::new(Recorded {
            id: column(row, 7)?,
            stream,
            kind,
            revision: Revision(unsigned(row, 3)?),
            position: Position(position),
            time: Time::from_micros(column(row, 6)?),
            payload: Bytes::copy_from_slice(column(row, 9)?),
            metadata: Bytes::copy_from_slice(column(row, 8)?),
        }))
    }
}

/// The name that a number stands for. Numbers are given names in the same transaction, so one without is damage.
fn named(row: &Row, at: usize, position: u64) -> Result<&str, ReadFault> {
    column::<Option<&str>>(row, at)?.ok_or_else(|| {
        let what = if at == 2 { "stream" } else { "type" };
        ReadFault::Damaged(format!("event {position} is of a {what} that is not there"))
    })
}

/// A column that must be of its type, since we made the table.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, ReadFault> {
    row.try_get(at).map_err(|error| ReadFault::Damaged(cairn_postgres::said(&error)))
}

fn unsigned(row: &Row, at: usize) -> Result<u64, ReadFault> {
    let value: i64 = column(row, at)?;
    u64::try_from(value).map_err(|_| ReadFault::Damaged(format!("{value} is no position or revision")))
}

/// A position or revision as PostgreSQL counts; the largest stands for "the end".
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
