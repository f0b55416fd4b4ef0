use std::sync::Arc;

use cairn_eventstore::{AppendFault, Appended, Fresh, NewEvent, Recorded, Write};
use cairn_kernel::{Position, Revision, StreamName};
use rusqlite::{CachedStatement, params};
use uuid::Uuid;

use super::Writer;
use super::heads::Head;
use super::index::Entry;
use crate::fault::is_conflict;
use crate::row::Header;

pub(super) const INSERT_EVENT: &str = "
    INSERT INTO events (position, stream, revision, kind, time, checksum, id, metadata, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const INSERT_STREAM: &str = "INSERT INTO streams (name, category) VALUES (?1, ?2)";

/// What came of inserting an append's events.
enum Inserted {
    All(Vec<(StreamName, Head)>, Vec<Entry>),
    /// One of the ids is in its stream already.
    Conflict,
    Refused(AppendFault),
}

impl Writer {
    /// Adds one append to the open transaction, wholly or not at all. The outer error ends the batch.
    pub(super) fn append(
        &mut self,
        writes: &[Write],
        fresh: &mut Vec<Fresh>,
    ) -> rusqlite::Result<Result<Appended, AppendFault>> {
        for write in writes {
            let head = match self.heads.get(&write.stream, &self.connection)? {
                Ok(head) => head,
                Err(damaged) => {
                    self.shared.meters.damaged_events.increment(1);
                    return Ok(Err(damaged));
                }
            };
            if let Some(fault) = refusal(write, &head) {
                return Ok(match self.repeated(writes)? {
                    Ok(None) => Err(fault),
                    Ok(Some(repeat)) => Ok(repeat),
                    Err(partly) => Err(partly),
                });
            }
        }
        // The expectations hold, so most likely the events are new. Finding out beforehand would search the id index
        // twice for each; the index itself objects to those that are not.
        let before = (self.position, self.time, fresh.len());
        match self.insert(writes, fresh)? {
            Inserted::All(heads, entries) => {
                if let Err(fault) = self.index.add(&entries, &self.connection)? {
                    self.take_back(before, fresh)?;
                    return Ok(Err(fault));
                }
                let revisions = heads.iter().map(|(_, head)| head.last.map(|(last, _)| Revision(last))).collect();
                heads.iter().for_each(|(stream, head)| self.heads.put(stream, *head));
                Ok(Ok(Appended { position: Position(self.position), revisions, is_repeat: false }))
            }
            Inserted::Conflict => {
                self.take_back(before, fresh)?;
                // The id that objected is there, so either all of them are or this is not a repeat.
                let unknown = || AppendFault::Unavailable("an event could not be inserted".into());
                Ok(self.repeated(writes)?.and_then(|repeat| repeat.ok_or_else(unknown)))
            }
            Inserted::Refused(fault) => {
                self.take_back(before, fresh)?;
                Ok(Err(fault))
            }
        }
    }

    fn insert(&mut self, writes: &[Write], fresh: &mut Vec<Fresh>) -> rusqlite::Result<Inserted> {
        self.time = self.time.max(self.shared.clock.now());
        let (mut heads, mut entries) = (Vec::with_capacity(writes.len()), vec![]);
        let (mut position, time) = (self.position, self.time);
        for write in writes {
            let mut head = match self.heads.get(&write.stream, &self.connection)? {
                Ok(head) => head,
                Err(damaged) => return Ok(Inserted::Refused(damaged)),
            };
            if write.events.is_empty() {
                heads.push((write.stream.clone(), head));
                continue;
            }
            let Some(stream) = self.number_of(&write.stream, &head)? else {
                return Ok(Inserted::Refused(too_many_categories(&write.stream)));
            };
            head.stream = Some(stream);
            let mut statement = self.connection.prepare_cached(INSERT_EVENT)?;
            for event in &write.events {
                let Some((kind, kind_name)) = self.shared.dictionary.kinds.intern(&event.kind, &self.connection)?
                else {
                    let fault = AppendFault::Invalid(format!("event {}: too many event types", event.id));
                    return Ok(Inserted::Refused(fault));
                };
                let revision = head.last.map_or(0, |(last, _)| last + 1);
                position += 1;
                let header = Header { position, stream, revision, kind, time: time.micros() };
                if !insert_event(&mut statement, &header, (event.id, &event.metadata, &event.payload))? {
                    return Ok(Inserted::Conflict);
                }
                self.position = position;
                head.last = Some((revision, event.id));
                entries.push(Entry { stream, revision, position });
                let event = recorded(&header, event, write.stream.clone(), kind_name);
                fresh.push(Fresh { event, is_retained: head.is_retained });
            }
            heads.push((write.stream.clone(), head));
        }
        Ok(Inserted::All(heads, entries))
    }

    /// The stream's number, given one if it has none. `None`: there are too many categories.
    pub(super) fn number_of(&self, stream: &StreamName, head: &Head) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = head.stream {
            return Ok(Some(number));
        }
        let categories = &self.shared.dictionary.categories;
        let Some((category, _)) = categories.intern(stream.category(), &self.connection)? else { return Ok(None) };
        self.connection.prepare_cached(INSERT_STREAM)?.execute(params![stream.as_str(), category])?;
        Ok(Some(self.connection.last_insert_rowid()))
    }

    /// Removes what an append inserted before one of its events met itself.
    pub(super) fn take_back(
        &mut self,
        (position, time, fresh_count): (u64, cairn_kernel::Time, usize),
        fresh: &mut Vec<Fresh>,
    ) -> rusqlite::Result<()> {
        if self.position > position {
            self.connection.prepare_cached("DELETE FROM events WHERE position > ?1")?.execute([position])?;
        }
        (self.position, self.time) = (position, time);
        fresh.truncate(fresh_count);
        // Streams that were given a number keep it; they are read again when next asked for.
        self.heads.clear();
        Ok(())
    }
}

pub(super) fn too_many_categories(stream: &StreamName) -> AppendFault {
    AppendFault::Invalid(format!("stream {stream}: too many categories"))
}

/// Why a write cannot follow what is there.
fn refusal(write: &Write, head: &Head) -> Option<AppendFault> {
    let actual = head.last.map(|(revision, _)| Revision(revision));
    let is_followed = write.follows.is_none_or(|id| head.last.is_some_and(|(_, last)| last == id));
    if write.expected.accepts(actual) && is_followed {
        return None;
    }
    Some(AppendFault::WrongRevision { stream: write.stream.clone(), expected: write.expected, actual })
}

/// `false`: the event is in the stream already.
pub(super) fn insert_event(
    statement: &mut CachedStatement<'_>,
    header: &Header,
    (id, metadata, payload): (Uuid, &[u8], &[u8]),
) -> rusqlite::Result<bool> {
    let checksum = header.checksum(id, metadata, payload);
    let inserted = statement.execute(params![
        header.position,
        header.stream,
        header.revision,
        header.kind,
        header.time,
        checksum,
        id.as_bytes().as_slice(),
        metadata,
        payload,
    ]);
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if is_conflict(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn recorded(header: &Header, event: &NewEvent, stream: StreamName, kind: Arc<str>) -> Arc<Recorded> {
    Arc::new(Recorded {
        id: event.id,
        stream,
        kind,
        revision: Revision(header.revision),
        position: Position(header.position),
        time: cairn_kernel::Time::from_micros(header.time),
        payload: event.payload.clone(),
        metadata: event.metadata.clone(),
    })
}
