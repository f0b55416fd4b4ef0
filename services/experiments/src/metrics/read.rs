use rusqlite::{Connection, OptionalExtension, params};

use super::packed::{Row, tidy, unpack};

/// Where a page of a history ended: the next begins after this very point, whatever was logged in between.
pub type Cursor = Row;

/// A page of a history.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    pub rows: Vec<Row>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// Points of one series in the order of a history, each once, at most `limit` of them.
pub(crate) fn history(
    db: &Connection,
    run: i64,
    key: i64,
    after: Option<Cursor>,
    limit: usize,
) -> rusqlite::Result<HistoryPage> {
    let is_after = |row: &Row| after.is_none_or(|cursor| row.order(&cursor).is_gt());
    let mut rows: Vec<Row> = tail(db, run, key)?.into_iter().filter(is_after).collect();
    let mut chunks = db.prepare_cached(
        "SELECT time_min, data FROM metric_chunk WHERE run = ?1 AND key = ?2 AND time_max >= ?3 ORDER BY time_min",
    )?;
    let mut chunks = chunks.query(params![run, key, after.map_or(i64::MIN, |cursor| cursor.time_ms)])?;
    while let Some(chunk) = chunks.next()? {
        let time_min: i64 = chunk.get(0)?;
        // Chunks come by their first time: once the page is full of earlier points, none of the rest belongs to it.
        if rows.len() > limit {
            tidy(&mut rows);
            if rows.get(limit).is_some_and(|row| row.time_ms < time_min) {
                break;
            }
        }
        let points = unpack(chunk.get_ref(1)?.as_blob().unwrap_or_default()).unwrap_or_default();
        rows.extend(points.into_iter().filter(is_after));
    }
    tidy(&mut rows);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().copied().filter(|_| has_more);
    Ok(HistoryPage { rows, next })
}

/// All points of one series within some steps, by step, each once.
pub(crate) fn by_step(
    db: &Connection,
    run: i64,
    key: i64,
    steps: std::ops::RangeInclusive<i64>,
) -> rusqlite::Result<Vec<Row>> {
    let mut rows = tail(db, run, key)?;
    let mut chunks = db.prepare_cached(
        "SELECT data FROM metric_chunk
         WHERE run = ?1 AND key = ?2 AND step_max >= ?3 AND step_min <= ?4 ORDER BY time_min",
    )?;
    let mut chunks = chunks.query(params![run, key, steps.start(), steps.end()])?;
    while let Some(chunk) = chunks.next()? {
        rows.extend(unpack(chunk.get_ref(0)?.as_blob().unwrap_or_default()).unwrap_or_default());
    }
    rows.retain(|row| steps.contains(&row.step));
    rows.sort_by(|a, b| a.step.cmp(&b.step).then_with(|| a.order(b)));
    rows.dedup();
    Ok(rows)
}

fn tail(db: &Connection, run: i64, key: i64) -> rusqlite::Result<Vec<Row>> {
    let data: Option<Vec<u8>> = db
        .prepare_cached("SELECT data FROM metric_tail WHERE run = ?1 AND key = ?2")?
        .query_row([run, key], |row| row.get(0))
        .optional()?;
    Ok(data.and_then(|data| unpack(&data)).unwrap_or_default())
}
