use std::collections::HashMap;
use std::mem;

use cairn_kernel::StreamName;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

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

    pub(super) fn get(&mut self, name: &StreamName, connection: &Connection) -> rusqlite::Result<Head> {
        if let Some(head) = self.young.get(name) {
            return Ok(*head);
        }
        let head = match self.old.remove(name) {
            Some(head) => head,
            None => stored(name, connection)?,
        };
        self.put(name, head);
        Ok(head)
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

fn stored(name: &StreamName, connection: &Connection) -> rusqlite::Result<Head> {
    let sql = "SELECT id, max_age IS NOT NULL OR max_count IS NOT NULL FROM streams WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((stream, is_retained)) = found else { return Ok(Head::default()) };
    let sql = "SELECT revision, id FROM events WHERE stream = ?1 ORDER BY revision DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let last = statement.query_row([stream], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let last = last.map(|(revision, id): (u64, [u8; 16])| (revision, Uuid::from_bytes(id)));
    Ok(Head { stream: Some(stream), last, is_retained })
}
