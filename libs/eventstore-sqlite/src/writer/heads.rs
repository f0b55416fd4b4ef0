use std::collections::HashMap;
use std::fmt::Display;
use std::mem;

use cairn_eventstore::{AppendFault, Direction};
use cairn_kernel::StreamName;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use crate::by_stream::{Tables, events_sql};
use crate::fault::is_damage;
use crate::row::Header;

/// The end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Head {
    /// The stream's number; `None` until something is stored about it.
    pub(super) stream: Option<i64>,
    /// Revision and id of its last event.
    pub(super) last: Option<(u64, Uuid)>,
    /// Whether it does not keep everything.
    pub(super) is_retained: bool,
}

/// The ends of the streams written to lately: two generations, of which the older one is dropped as a whole.
pub(super) struct Heads {
    young: HashMap<StreamName, Head>,
    old: HashMap<StreamName, Head>,
    generation_max: usize,
}

impl Heads {
    pub(super) fn new(count_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), generation_max: count_max.div_ceil(2) }
    }

    /// The inner error: what is stored of this stream is damaged, so nobody knows what may follow. Other streams are not
    /// concerned.
    pub(super) fn get(
        &mut self,
        name: &StreamName,
        connection: &Connection,
    ) -> rusqlite::Result<Result<Head, AppendFault>> {
        if let Some(head) = self.young.get(name) {
            return Ok(Ok(*head));
        }
        let head = match self.old.remove(name) {
            Some(head) => head,
            None => match stored(name, connection) {
                Ok(Ok(head)) => head,
                Ok(Err(what)) => return Ok(Err(damaged(name, what))),
                Err(error) if is_damage(&error) => return Ok(Err(damaged(name, error))),
                Err(error) => return Err(error),
            },
        };
        self.put(name, head);
        Ok(Ok(head))
    }

    pub(super) fn put(&mut self, name: &StreamName, head: Head) {
        if let Some(known) = self.young.get_mut(name) {
            *known = head;
            return;
        }
        if self.young.len() >= self.generation_max {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name.clone(), head);
    }

    /// Forgets everything, because a transaction was rolled back.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// The inner error says what is wrong with the stream's last event. It is looked at as a whole: what follows it would
/// rest on its revision and id.
fn stored(name: &StreamName, connection: &Connection) -> rusqlite::Result<Result<Head, &'static str>> {
    let sql = "SELECT id, max_age IS NOT NULL OR max_count IS NOT NULL FROM streams WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((stream, is_retained)): Option<(i64, bool)> = found else { return Ok(Ok(Head::default())) };
    let mut statement = connection.prepare_cached(&events_sql(Direction::Backwards, Tables::Both))?;
    let last = statement.query_row(params![stream, i64::MAX, 1], |row| {
        let header = Header::read(row)?;
        Ok(header.rest(row).map(|rest| (header.revision, rest.id)))
    });
    let last = last.optional()?.transpose();
    Ok(last.map(|last| Head { stream: Some(stream), last, is_retained }))
}

fn damaged(name: &StreamName, what: impl Display) -> AppendFault {
    AppendFault::Damaged(format!("the last event of {name}: {what}"))
}
