use std::time::{Duration, Instant};

use cairn_eventstore::{AppendFault, Retention};
use cairn_kernel::StreamName;
use rusqlite::params;

use super::Writer;
use super::append::too_many_categories;
use crate::by_stream::{last_revision, times_sql};
use crate::fault::is_damage;

/// Streams looked at in one step, and events removed from each: a step is one short commit.
const STREAMS_MAX: usize = 16;
const EVENTS_MAX: usize = 256;

/// The slow walk over the streams that do not keep everything.
pub(super) struct Sweep {
    interval: Duration,
    due: Instant,
    /// Streams up to this one were looked at in this round.
    after: i64,
}

impl Sweep {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, due: Instant::now() + interval, after: 0 }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    pub(super) fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }
}

impl Writer {
    /// Stores how much of a stream is kept, in the open transaction. The outer error ends the batch.
    pub(super) fn retain(
        &mut self,
        name: &StreamName,
        retention: Retention,
    ) -> rusqlite::Result<Result<(), AppendFault>> {
        let mut head = match self.heads.get(name, &self.connection)? {
            Ok(head) => head,
            Err(damaged) => return Ok(Err(damaged)),
        };
        let Some(stream) = self.number_of(name, &head)? else { return Ok(Err(too_many_categories(name))) };
        let max_age = retention.max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let max_count = retention.max_count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let sql = "UPDATE streams SET max_age = ?2, max_count = ?3 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![stream, max_age, max_count])?;
        head.stream = Some(stream);
        head.is_retained = max_age.is_some() || max_count.is_some();
        self.heads.put(name, head);
        Ok(Ok(()))
    }

    /// Removes some events that are no longer shown. Positions stay as they are; the last event of a stream is always
    /// kept, because it holds the stream's revision.
    pub(super) fn sweep_step(&mut self) -> rusqlite::Result<()> {
        let sql = "SELECT id, max_age, max_count FROM streams
                   WHERE (max_age IS NOT NULL OR max_count IS NOT NULL) AND id > ?1 ORDER BY id LIMIT ?2";
        let now = self.shared.clock.now().micros();
        let streams: Vec<(i64, Option<i64>, Option<u64>)> = self
            .connection
            .prepare_cached(sql)?
            .query_map(params![self.sweep.after, STREAMS_MAX], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let is_last = streams.len() < STREAMS_MAX;
        let mut removed = 0;
        let mut is_rest = false;
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        for (stream, max_age, max_count) in &streams {
            let oldest_shown = max_age.map_or(i64::MIN, |age| now.saturating_sub(age));
            let count = match self.remove_hidden(*stream, oldest_shown, *max_count) {
                // Whoever reads the stream is told. The other streams are not concerned.
                Err(error) if is_damage(&error) => 0,
                outcome => outcome?,
            };
            removed += count;
            is_rest |= count == EVENTS_MAX;
        }
        self.connection.execute_batch("COMMIT")?;
        self.shared.meters.removed_events.increment(removed as u64);
        match streams.last() {
            _ if is_rest => {}
            Some((last, ..)) if !is_last => self.sweep.after = *last,
            _ => {
                self.sweep.after = 0;
                self.sweep.due = Instant::now() + self.sweep.interval;
            }
        }
        Ok(())
    }

    fn remove_hidden(&mut self, stream: i64, oldest_shown: i64, max_count: Option<u64>) -> rusqlite::Result<usize> {
        let Some(last) = last_revision(&self.connection, stream)? else { return Ok(0) };
        let first_counted = max_count.map_or(0, |count| (last + 1).saturating_sub(count)).min(last);
        let mut statement = self.connection.prepare_cached(&times_sql())?;
        let mut rows = statement.query(params![stream, 0, EVENTS_MAX])?;
        let mut hidden = None;
        while let Some(row) = rows.next()? {
            let (revision, time): (u64, i64) = (row.get(2)?, row.get(3)?);
            if revision == last || (revision >= first_counted && time >= oldest_shown) {
                break;
            }
            hidden = Some(revision);
        }
        drop(rows);
        let Some(hidden) = hidden else { return Ok(0) };
        let sql = "DELETE FROM events WHERE position IN (
                       SELECT position FROM by_stream WHERE stream = ?1 AND revision <= ?2
                       UNION ALL
                       SELECT position FROM by_stream_recent WHERE stream = ?1 AND revision <= ?2)";
        let removed = self.connection.prepare_cached(sql)?.execute(params![stream, hidden])?;
        self.index.remove_up_to(stream, hidden, &self.connection)?;
        Ok(removed)
    }
}
