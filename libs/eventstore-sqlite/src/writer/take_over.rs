use std::sync::Arc;

use cairn_eventstore::{AppendFault, Fresh, Recorded, check_next};
use cairn_kernel::{Position, Revision};
use rusqlite::CachedStatement;

use super::Writer;
use super::append::{INSERT_EVENT, insert_event, too_many_categories};
use super::heads::Head;
use super::index::Entry;
use crate::row::Header;

impl Writer {
    /// Adds events of another log to the open transaction as they are there, all or none. The outer error ends the batch.
    pub(super) fn take_over(
        &mut self,
        events: &[Arc<Recorded>],
        fresh: &mut Vec<Fresh>,
    ) -> rusqlite::Result<Result<(), AppendFault>> {
        let before = (self.position, self.time, fresh.len());
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            match self.take_over_one(event)? {
                Ok((entry, is_retained)) => {
                    entries.push(entry);
                    fresh.push(Fresh { event: Arc::clone(event), is_retained });
                }
                Err(fault) => {
                    self.take_back(before, fresh)?;
                    return Ok(Err(fault));
                }
            }
        }
        if let Err(fault) = self.index.add(&entries, &self.connection)? {
            self.take_back(before, fresh)?;
            return Ok(Err(fault));
        }
        Ok(Ok(()))
    }

    /// Gives where the event is, and whether its stream does not keep everything.
    fn take_over_one(&mut self, event: &Recorded) -> rusqlite::Result<Result<(Entry, bool), AppendFault>> {
        let head = match self.heads.get(&event.stream, &self.connection)? {
            Ok(head) => head,
            Err(damaged) => return Ok(Err(damaged)),
        };
        let last = head.last.map(|(last, _)| Revision(last));
        if let Err(fault) = check_next(event, (Position(self.position), self.time), last) {
            return Ok(Err(fault));
        }
        let Some(stream) = self.number_of(&event.stream, &head)? else {
            return Ok(Err(too_many_categories(&event.stream)));
        };
        let invalid = |what: &str| Ok(Err(AppendFault::Invalid(format!("event {}: {what}", event.id))));
        let Some((kind, _)) = self.shared.dictionary.kinds.intern(&event.kind, &self.connection)? else {
            return invalid("too many event types");
        };
        let (position, revision) = (event.position.0, event.revision.0);
        let header = Header { position, stream, revision, kind, time: event.time.micros() };
        let mut statement: CachedStatement<'_> = self.connection.prepare_cached(INSERT_EVENT)?;
        if !insert_event(&mut statement, &header, (event.id, &event.metadata, &event.payload))? {
            return invalid("its stream has an event of this id already");
        }
        (self.position, self.time) = (position, event.time);
        let head = Head { stream: Some(stream), last: Some((revision, event.id)), ..head };
        self.heads.put(&event.stream, head);
        Ok(Ok((Entry { stream, revision, position }, head.is_retained)))
    }
}
