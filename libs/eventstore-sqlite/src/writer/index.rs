use std::mem;

use cairn_eventstore::AppendFault;
use rusqlite::{Connection, params};

use crate::fault::is_conflict;

/// Entries the recent table holds before some move to the large one: few enough pages that a commit of many clients
/// changes hardly more of them than it must, and enough entries that a stream's move together.
const RECENT_MAX: usize = 4_096;
/// Entries that move together at least.
const MOVED_MIN: usize = 256;
/// Events of one append to one stream from which on they are worth a page of the large table at once.
const TOGETHER_MIN: usize = 8;

const INSERT: &str = "INSERT INTO by_stream (stream, revision, position) VALUES (?1, ?2, ?3)";
const INSERT_RECENT: &str = "INSERT INTO by_stream_recent (stream, revision, position) VALUES (?1, ?2, ?3)";

/// Where one event of a stream is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) stream: i64,
    pub(super) revision: u64,
    pub(super) position: u64,
}

/// The writer's side of the [index by stream](crate::by_stream): puts entries in, and moves them on.
pub(super) struct StreamIndex {
    /// Entries of the recent table.
    recent: usize,
    /// How many of them came with the transaction that is open.
    added: usize,
    /// Where the next ones to move begin. Any place will do; from the end it starts over.
    after: (i64, i64),
    /// Moved since somebody asked.
    moved: usize,
}

impl StreamIndex {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { recent: count(connection)?, added: 0, after: START, moved: 0 })
    }

    /// Adds the entries that one append brought, stream by stream; none of them if a stream is not what it was taken for.
    pub(super) fn add(
        &mut self,
        entries: &[Entry],
        connection: &Connection,
    ) -> rusqlite::Result<Result<(), AppendFault>> {
        for together in entries.chunk_by(|one, next| one.stream == next.stream) {
            let is_long = together.len() >= TOGETHER_MIN;
            let mut statement = connection.prepare_cached(if is_long { INSERT } else { INSERT_RECENT })?;
            for entry in together {
                match statement.execute(params![entry.stream, entry.revision, entry.position]) {
                    Ok(_) => {}
                    Err(error) if is_conflict(&error) => {
                        remove(entries, connection)?;
                        self.recent = count(connection)?;
                        let what = format!("stream {} has a revision {} after its last", entry.stream, entry.revision);
                        return Ok(Err(AppendFault::Damaged(what)));
                    }
                    Err(error) => return Err(error),
                }
            }
            if !is_long {
                self.recent += together.len();
                self.added += together.len();
            }
        }
        Ok(Ok(()))
    }

    /// Moves some entries on if there are many, before a commit. Twice as many as came, so that it cannot fall behind,
    /// and never all at once, so that no commit takes long.
    pub(super) fn settle(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let added = mem::take(&mut self.added);
        if self.recent < RECENT_MAX {
            return Ok(());
        }
        let count = (2 * added).max(MOVED_MIN);
        let last = "SELECT stream, revision FROM by_stream_recent WHERE (stream, revision) > (?1, ?2)
                    ORDER BY stream, revision LIMIT 1 OFFSET ?3";
        let mut last = connection.prepare_cached(last)?;
        let (stream, revision) = self.after;
        let mut rows = last.query(params![stream, revision, count - 1])?;
        let to = match rows.next()? {
            Some(row) => (row.get(0)?, row.get(1)?),
            None => END,
        };
        let moves = "INSERT INTO by_stream (stream, revision, position)
                     SELECT stream, revision, position FROM by_stream_recent
                     WHERE (stream, revision) > (?1, ?2) AND (stream, revision) <= (?3, ?4) ORDER BY stream, revision";
        let leaves = "DELETE FROM by_stream_recent
                      WHERE (stream, revision) > (?1, ?2) AND (stream, revision) <= (?3, ?4)";
        let range = params![stream, revision, to.0, to.1];
        connection.prepare_cached(moves)?.execute(range)?;
        let moved = connection.prepare_cached(leaves)?.execute(range)?;
        self.recent = self.recent.saturating_sub(moved);
        self.moved += moved;
        self.after = if to == END { START } else { to };
        Ok(())
    }

    /// Removes the first entries of a stream.
    pub(super) fn remove_up_to(&mut self, stream: i64, revision: u64, connection: &Connection) -> rusqlite::Result<()> {
        let range = params![stream, revision];
        let sql = "DELETE FROM by_stream WHERE stream = ?1 AND revision <= ?2";
        connection.prepare_cached(sql)?.execute(range)?;
        let sql = "DELETE FROM by_stream_recent WHERE stream = ?1 AND revision <= ?2";
        self.recent = self.recent.saturating_sub(connection.prepare_cached(sql)?.execute(range)?);
        Ok(())
    }

    /// How many entries moved since this was asked last.
    pub(super) fn take_moved(&mut self) -> usize {
        mem::take(&mut self.moved)
    }
}

fn count(connection: &Connection) -> rusqlite::Result<usize> {
    connection.query_row("SELECT count(*) FROM by_stream_recent", [], |row| row.get(0))
}

/// Removes what was put in of these, and nothing that was there.
fn remove(entries: &[Entry], connection: &Connection) -> rusqlite::Result<()> {
    for entry in entries {
        for table in ["by_stream", "by_stream_recent"] {
            let sql = format!("DELETE FROM {table} WHERE stream = ?1 AND revision = ?2 AND position = ?3");
            let entry = params![entry.stream, entry.revision, entry.position];
            connection.prepare_cached(&sql)?.execute(entry)?;
        }
    }
    Ok(())
}

/// Before every entry.
const START: (i64, i64) = (i64::MIN, i64::MIN);
/// After every entry.
const END: (i64, i64) = (i64::MAX, i64::MAX);
