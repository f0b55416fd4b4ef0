use std::sync::Arc;

use bytes::Bytes;
use cairn_eventstore::{ReadFault, Recorded};
use cairn_kernel::{Position, Revision, StreamName, Time};
use rusqlite::Row;
use uuid::Uuid;

use crate::names::Names;

/// The columns [`Header::read`] and [`Header::body`] read, in their order.
pub(crate) const COLUMNS: &str =
    "e.position, e.stream, e.revision, e.kind, e.time, e.checksum, e.id, e.metadata, e.payload";
/// How many there are.
pub(crate) const COLUMN_COUNT: usize = 9;

/// The small part of a stored event, enough to tell whether it is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) position: u64,
    pub(crate) stream: i64,
    pub(crate) revision: u64,
    pub(crate) kind: i64,
    pub(crate) time: i64,
}

/// The large part.
pub(crate) struct Rest<'a> {
    pub(crate) id: Uuid,
    metadata: &'a [u8],
    payload: &'a [u8],
}

impl Header {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            position: row.get(0)?,
            stream: row.get(1)?,
            revision: row.get(2)?,
            kind: row.get(3)?,
            time: row.get(4)?,
        })
    }

    /// What is stored beside an event, to notice when it is not what was written.
    pub(crate) fn checksum(&self, id: Uuid, metadata: &[u8], payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.position.to_be_bytes());
        hasher.update(&self.stream.to_be_bytes());
        hasher.update(&self.revision.to_be_bytes());
        hasher.update(&self.kind.to_be_bytes());
        hasher.update(&self.time.to_be_bytes());
        hasher.update(id.as_bytes());
        hasher.update(&(metadata.len() as u64).to_be_bytes());
        hasher.update(metadata);
        hasher.update(payload);
        hasher.finalize()
    }

    /// The rest of the row, if all of it is still what was written; else what is wrong with it.
    pub(crate) fn rest<'a>(&self, row: &'a Row<'_>) -> Result<Rest<'a>, &'static str> {
        let blob = |column, wrong| row.get_ref(column).ok().and_then(|value| value.as_blob().ok()).ok_or(wrong);
        let checksum: u32 = row.get(5).map_err(|_| "its checksum cannot be read")?;
        let id = blob(6, "its id cannot be read")?;
        let id = Uuid::from_slice(id).map_err(|_| "its id cannot be read")?;
        let metadata = blob(7, "its metadata cannot be read")?;
        let payload = blob(8, "its payload cannot be read")?;
        if self.checksum(id, metadata, payload) != checksum {
            return Err("its checksum does not match");
        }
        Ok(Rest { id, metadata, payload })
    }

    /// The whole event, if it is still what was written.
    pub(crate) fn body(&self, row: &Row<'_>, stream: StreamName, kinds: &Names) -> Result<Arc<Recorded>, ReadFault> {
        let damaged = |what: &str| ReadFault::Damaged(format!("event {} of {stream}: {what}", self.position));
        let rest = self.rest(row).map_err(damaged)?;
        Ok(Arc::new(Recorded {
            id: rest.id,
            kind: kinds.name(self.kind).ok_or_else(|| damaged("its type has no name"))?,
            revision: Revision(self.revision),
            position: Position(self.position),
            time: Time::from_micros(self.time),
            payload: Bytes::copy_from_slice(rest.payload),
            metadata: Bytes::copy_from_slice(rest.metadata),
            stream,
        }))
    }
}

/// A position or revision as SQLite counts; the largest stands for "the end".
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_covers_every_field() {
        let header = Header { position: 1, stream: 2, revision: 3, kind: 4, time: 5 };
        let id = Uuid::from_u128(6);
        let original = header.checksum(id, b"meta", b"payload");
        let changed = [
            Header { position: 9, ..header }.checksum(id, b"meta", b"payload"),
            Header { stream: 9, ..header }.checksum(id, b"meta", b"payload"),
            Header { revision: 9, ..header }.checksum(id, b"meta", b"payload"),
            Header { kind: 9, ..header }.checksum(id, b"meta", b"payload"),
            Header { time: 9, ..header }.checksum(id, b"meta", b"payload"),
            header.checksum(Uuid::from_u128(7), b"meta", b"payload"),
            header.checksum(id, b"metb", b"payload"),
            header.checksum(id, b"meta", b"paxload"),
            header.checksum(id, b"metap", b"ayload"),
        ];
        assert!(changed.iter().all(|checksum| *checksum != original));
    }
}
