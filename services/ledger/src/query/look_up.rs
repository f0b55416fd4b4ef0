//! Single look-ups in the journal.

use cairn_kernel::{Position, Time};
use rusqlite::{Connection, OptionalExtension};

/// The number of a text; `None`: no row has it.
pub(super) fn word(connection: &Connection, text: &str) -> Result<Option<i64>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
    find.query_row([text], |row| row.get(0)).optional()
}

/// The numbers of some texts, each once.
pub(super) fn words(connection: &Connection, texts: &[String]) -> Result<Vec<i64>, rusqlite::Error> {
    let ids = texts.iter().map(|text| word(connection, text)).collect::<Result<Vec<_>, _>>()?;
    let mut ids: Vec<_> = ids.into_iter().flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The numbers of a name and of what lies below it, at most `limit`.
pub(super) fn words_below(connection: &Connection, name: &str, limit: usize) -> Result<Vec<i64>, rusqlite::Error> {
    let sql = "SELECT id FROM word WHERE text = ?1 OR text > ?2 AND text < ?3 LIMIT ?4";
    let (low, high) = below(name);
    let mut find = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    find.query_map((name, low, high, limit), |row| row.get(0))?.collect()
}

/// Between these lies every name below `name`: `0` is the character after `/`.
pub(super) fn below(name: &str) -> (String, String) {
    (format!("{name}/"), format!("{name}0"))
}

/// The first position at or after a moment; behind the last one if there is none.
pub(super) fn first_since(connection: &Connection, time: Time) -> Result<Position, rusqlite::Error> {
    let last: Option<i64> = connection.query_row("SELECT max(position) FROM entry", [], |row| row.get(0))?;
    let mut at_or_after =
        connection.prepare_cached("SELECT time_micros FROM entry WHERE position >= ?1 ORDER BY position LIMIT 1")?;
    let (mut low, mut high) = (1, last.unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: i64 = at_or_after.query_row([middle], |row| row.get(0))?;
        if found < time.micros() { low = middle + 1 } else { high = middle }
    }
    Ok(Position(low.cast_unsigned()))
}
