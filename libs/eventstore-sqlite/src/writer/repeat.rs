use cairn_eventstore::{AppendFault, Appended, Write};
use cairn_kernel::{Position, Revision};
use rusqlite::{OptionalExtension, params};

use super::Writer;

impl Writer {
    /// The first time's answer, if every event of these writes is in the log already; `None` if none is.
    pub(super) fn repeated(&mut self, writes: &[Write]) -> rusqlite::Result<Result<Option<Appended>, AppendFault>> {
        let mut last: Option<u64> = None;
        let (mut known, mut is_any_new) = (None, false);
        let mut streams = Vec::with_capacity(writes.len());
        for write in writes {
            let stream = match self.heads.get(&write.stream, &self.connection)? {
                Ok(head) => head.stream,
                Err(damaged) => return Ok(Err(damaged)),
            };
            streams.push(stream);
            for event in &write.events {
                let sql = "SELECT position FROM events WHERE id = ?1 AND stream = ?2";
                let mut statement = self.connection.prepare_cached(sql)?;
                let found: Option<u64> = statement
                    .query_row(params![event.id.as_bytes().as_slice(), stream], |row| row.get(0))
                    .optional()?;
                match found {
                    Some(position) => {
                        known = Some(&write.stream);
                        last = last.max(Some(position));
                    }
                    None => is_any_new = true,
                }
            }
        }
        match (known, last) {
            (Some(stream), _) if is_any_new => Ok(Err(AppendFault::PartlyAppended { stream: stream.clone() })),
            (Some(_), Some(position)) => {
                let revisions = streams.iter().map(|stream| self.revision_at(*stream, position));
                let revisions = revisions.collect::<rusqlite::Result<_>>()?;
                Ok(Ok(Some(Appended { position: Position(position), revisions, is_repeat: true })))
            }
            _ => Ok(Ok(None)),
        }
    }

    /// The stream's last revision when `position` was the head of the log.
    fn revision_at(&self, stream: Option<i64>, position: u64) -> rusqlite::Result<Option<Revision>> {
        let sql = "SELECT revision FROM by_stream WHERE stream = ?1 AND position <= ?2
                   UNION ALL
                   SELECT revision FROM by_stream_recent WHERE stream = ?1 AND position <= ?2
                   ORDER BY 1 DESC LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row(params![stream, position], |row| row.get(0).map(Revision)).optional()
    }
}
