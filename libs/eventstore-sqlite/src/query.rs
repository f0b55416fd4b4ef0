//! What readers ask the database. Every statement ends within one page.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_eventstore::{Direction, Filter, Page, ReadFault, Recorded, Retention, Snapshot};
use cairn_kernel::{Position, Revision, StreamName, Time};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::by_stream::{Tables, events_sql, last_revision};
use crate::fault::read_fault;
use crate::names::Names;
use crate::row::{COLUMN_COUNT, COLUMNS, Header, number};

/// Positions looked at by one statement.
const STEP: u64 = 2_048;
/// Positions looked at for one page, however few of them are wanted.
const CONSIDERED_MAX: u64 = 65_536;
/// Bytes after which a page of the log ends.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// Events of a stream read by one statement.
const CHUNK: usize = 1_024;

/// The names rows hold as numbers.
pub(crate) struct Dictionary {
    pub(crate) kinds: Names,
    pub(crate) categories: Names,
}

/// How long a stream's events are shown, as stored.
#[derive(Clone, Copy, Default)]
struct Kept {
    max_age: Option<i64>,
    max_count: Option<u64>,
}

impl Kept {
    fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<Self> {
        Ok(Self { max_age: row.get(column)?, max_count: row.get(column + 1)? })
    }

    fn shows(&self, header: &Header, last: u64, now: Time) -> bool {
        self.max_age.is_none_or(|age| now.micros().saturating_sub(header.time) <= age)
            && self.max_count.is_none_or(|count| last.saturating_sub(header.revision) < count)
    }
}

fn stored<T>(result: rusqlite::Result<T>) -> Result<T, ReadFault> {
    result.map_err(|error| read_fault(&error))
}

/// Events of one stream.
pub(crate) fn stream(
    connection: &Connection,
    dictionary: &Dictionary,
    name: &StreamName,
    from: Revision,
    direction: Direction,
    limit: usize,
    now: Time,
) -> Result<Vec<Arc<Recorded>>, ReadFault> {
    let mut events = vec![];
    // All of it is as it was at one moment, whatever moves or is removed meanwhile.
    let _snapshot = stored(connection.unchecked_transaction())?;
    let sql = "SELECT id, max_age, max_count FROM streams WHERE name = ?1";
    let found = connection.prepare_cached(sql).and_then(|mut statement| {
        statement.query_row([name.as_str()], |row| Ok((row.get(0)?, Kept::read(row, 1)?))).optional()
    });
    let Some((stream, kept)): Option<(i64, Kept)> = stored(found)? else { return Ok(events) };
    let Some(last) = stored(last_revision(connection, stream))? else { return Ok(events) };
    let first = kept.max_count.map_or(0, |count| (last + 1).saturating_sub(count));
    let mut from = match direction {
        Direction::Forwards => from.0.max(first),
        Direction::Backwards => from.0.min(last),
    };
    let tables = stored(Tables::of(stream, connection))?;
    let mut statement = stored(connection.prepare_cached(&events_sql(direction, tables)))?;
    while events.len() < limit {
        let chunk = CHUNK.min(limit - events.len());
        let mut rows = stored(statement.query(params![stream, number(from), chunk]))?;
        let mut count = 0;
        while let Some(row) = stored(rows.next())? {
            let header = Header::read(row).map_err(|error| unreadable(name, &error))?;
            count += 1;
            from = header.revision;
            if kept.shows(&header, last, now) {
                events.push(header.body(row, name.clone(), &dictionary.kinds)?);
            } else if direction == Direction::Backwards {
                return Ok(events);
            }
        }
        let next = match direction {
            Direction::Forwards => from.checked_add(1),
            Direction::Backwards => from.checked_sub(1),
        };
        match next {
            Some(next) if count == chunk => from = next,
            _ => break,
        }
    }
    Ok(events)
}

fn unreadable(stream: &StreamName, error: &rusqlite::Error) -> ReadFault {
    match read_fault(error) {
        ReadFault::Damaged(why) => ReadFault::Damaged(format!("an event of {stream}: {why}")),
        other => other,
    }
}

/// The first event under an id.
pub(crate) fn find(
    connection: &Connection,
    dictionary: &Dictionary,
    id: Uuid,
) -> Result<Option<Arc<Recorded>>, ReadFault> {
    let sql = format!(
        "SELECT {COLUMNS}, s.name FROM events e JOIN streams s ON s.id = e.stream
         WHERE e.id = ?1 ORDER BY e.position LIMIT 1"
    );
    let mut statement = stored(connection.prepare_cached(&sql))?;
    let mut rows = stored(statement.query([id.as_bytes().as_slice()]))?;
    let Some(row) = stored(rows.next())? else { return Ok(None) };
    let stream = StreamName::stored(stored(row.get::<_, String>(COLUMN_COUNT))?);
    stored(Header::read(row))?.body(row, stream, &dictionary.kinds).map(Some)
}

/// The newest snapshot of a stream, if it is still what was written.
pub(crate) fn snapshot(connection: &Connection, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
    let sql = "SELECT p.revision, p.schema, p.state, p.checksum
               FROM streams s JOIN snapshots p ON p.stream = s.id WHERE s.name = ?1";
    let read = |row: &Row<'_>| {
        let state: Vec<u8> = row.get(2)?;
        let is_sound = crc32fast::hash(&state) == row.get::<_, u32>(3)?;
        let snapshot = Snapshot { revision: Revision(row.get(0)?), schema: row.get(1)?, state: state.into() };
        Ok(is_sound.then_some(snapshot))
    };
    let found = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([stream.as_str()], read).optional());
    stored(found).map(Option::flatten)
}

/// The streams that do not keep everything.
pub(crate) fn retentions(connection: &Connection) -> Result<Vec<(StreamName, Retention)>, ReadFault> {
    let sql =
        "SELECT name, max_age, max_count FROM streams WHERE max_age IS NOT NULL OR max_count IS NOT NULL ORDER BY id";
    let read = |row: &Row<'_>| {
        let kept = Kept::read(row, 1)?;
        let max_age = kept.max_age.map(|age| Duration::from_micros(age.unsigned_abs()));
        Ok((StreamName::stored(row.get::<_, String>(0)?), Retention { max_age, max_count: kept.max_count }))
    };
    let read_all = |mut statement: CachedStatement<'_>| statement.query_map([], read)?.collect();
    stored(connection.prepare_cached(sql).and_then(read_all))
}

/// A stretch of the whole log, up to `head`.
pub(crate) struct LogQuery<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) dictionary: &'a Dictionary,
    pub(crate) filter: &'a Filter,
    pub(crate) head: Position,
    /// For what is still to be shown; `None` reads what is kept.
    pub(crate) now: Option<Time>,
}

/// What a page knows of the streams it met.
#[derive(Default)]
struct Met {
    names: HashMap<i64, StreamName>,
    lasts: HashMap<i64, u64>,
}

impl LogQuery<'_> {
    pub(crate) fn page(&self, from: Position, direction: Direction, limit: usize) -> Result<Page, ReadFault> {
        let sql = match direction {
            Direction::Forwards => self.sql("ASC"),
            Direction::Backwards => self.sql("DESC"),
        };
        let mut statement = stored(self.connection.prepare_cached(&sql))?;
        let kinds = self.dictionary.kinds.mask(|kind| self.filter.wants_kind(kind));
        let categories = self.dictionary.categories.mask(|category| self.filter.wants_category(category));
        let mut met = Met::default();
        let mut page = Page { events: vec![], considered: from, is_end: false };
        let mut bytes = 0;
        // Positions still to be looked at: above `low`, up to `high`.
        let (mut low, mut high) = match direction {
            Direction::Forwards => (from.0, self.head.0),
            Direction::Backwards => (0, self.head.0.min(from.0.saturating_sub(1))),
        };
        let mut budget = CONSIDERED_MAX;
        while low < high && budget > 0 {
            let (first, last) = match direction {
                Direction::Forwards => (low, high.min(low.saturating_add(STEP))),
                Direction::Backwards => (low.max(high.saturating_sub(STEP)), high),
            };
            let mut rows = stored(statement.query(params![number(first), number(last)]))?;
            while let Some(row) = stored(rows.next())? {
                if page.events.len() >= limit || bytes >= PAGE_BYTES_MAX {
                    return Ok(self.ended(page, direction));
                }
                let header = stored(Header::read(row))?;
                page.considered = Position(header.position);
                let category: i64 = stored(row.get(COLUMN_COUNT + 1))?;
                let is_wanted = kinds.contains(header.kind) && categories.contains(category);
                if is_wanted && self.is_shown(&header, row, &mut met)? {
                    let event = header.body(row, met.name(header.stream, row)?, &self.dictionary.kinds)?;
                    bytes += event.payload.len() + event.metadata.len();
                    page.events.push(event);
                }
            }
            match direction {
                Direction::Forwards => (low, page.considered) = (last, Position(last)),
                Direction::Backwards => (high, page.considered) = (first, Position(first + 1)),
            }
            budget = budget.saturating_sub(STEP);
        }
        if low >= high && direction == Direction::Backwards {
            page.considered = Position::START;
        }
        Ok(self.ended(page, direction))
    }

    fn ended(&self, page: Page, direction: Direction) -> Page {
        let is_end = match direction {
            Direction::Forwards => page.considered >= self.head,
            Direction::Backwards => page.considered <= Position(1),
        };
        Page { is_end, ..page }
    }

    /// The streams are looked up per event, never the other way round: events come in order of position.
    fn sql(&self, order: &str) -> String {
        format!(
            "SELECT {COLUMNS}, s.name, s.category, s.max_age, s.max_count
             FROM events e CROSS JOIN streams s ON s.id = e.stream
             WHERE e.position > ?1 AND e.position <= ?2 ORDER BY e.position {order}"
        )
    }

    fn is_shown(&self, header: &Header, row: &Row<'_>, met: &mut Met) -> Result<bool, ReadFault> {
        let Some(now) = self.now else { return Ok(true) };
        let kept = stored(Kept::read(row, COLUMN_COUNT + 2))?;
        let last = match (kept.max_count, met.lasts.get(&header.stream)) {
            (None, _) => header.revision,
            (Some(_), Some(&last)) => last,
            (Some(_), None) => {
                let last = stored(last_revision(self.connection, header.stream))?.unwrap_or(header.revision);
                met.lasts.insert(header.stream, last);
                last
            }
        };
        Ok(kept.shows(header, last, now))
    }
}

impl Met {
    fn name(&mut self, stream: i64, row: &Row<'_>) -> Result<StreamName, ReadFault> {
        if let Some(name) = self.names.get(&stream) {
            return Ok(name.clone());
        }
        let text = stored(row.get_ref(COLUMN_COUNT))?;
        let text = text.as_str().map_err(|_| ReadFault::Damaged(format!("stream {stream} has no readable name")))?;
        let name = StreamName::stored(text);
        self.names.insert(stream, name.clone());
        Ok(name)
    }
}
