use rusqlite::{Connection, OptionalExtension, params};

use super::packed::{Row, pack, tidy, unpack};

/// Points of a small chunk. Fewer wait in the series' tail.
const SMALL_POINTS: usize = 64;
/// Small chunks that are merged into large ones. A point is thus written three times at most.
const SMALL_CHUNKS: i64 = 64;
/// Most points of one chunk.
const CHUNK_POINTS: usize = 4096;

/// What of a series is not in a large chunk yet.
#[derive(Default)]
struct Tail {
    /// Number of the next chunk.
    next_chunk: i64,
    small_chunks: i64,
    waiting: Vec<Row>,
}

/// Adds points to one series.
///
/// INVARIANT: how points are packed depends on their order alone, not on how many come at once. So a rebuilt view is the
/// live one byte by byte.
pub(crate) fn write_series(tx: &Connection, run: i64, key: i64, rows: Vec<Row>) -> rusqlite::Result<()> {
    let mut tail = tx
        .prepare_cached("SELECT next_chunk, small_chunks, data FROM metric_tail WHERE run = ?1 AND key = ?2")?
        .query_row([run, key], |row| {
            let waiting = unpack(row.get_ref(2)?.as_blob().unwrap_or_default()).unwrap_or_default();
            Ok(Tail { next_chunk: row.get(0)?, small_chunks: row.get(1)?, waiting })
        })
        .optional()?
        .unwrap_or_default();
    tail.waiting.extend(rows);
    let whole = tail.waiting.len() / SMALL_POINTS * SMALL_POINTS;
    let left = tail.waiting.split_off(whole);
    for small in std::mem::replace(&mut tail.waiting, left).chunks(SMALL_POINTS) {
        let mut rows = small.to_vec();
        tidy(&mut rows);
        write_chunks(tx, run, key, &mut tail.next_chunk, true, &rows)?;
        tail.small_chunks += 1;
        if tail.small_chunks == SMALL_CHUNKS {
            merge(tx, run, key, &mut tail.next_chunk)?;
            tail.small_chunks = 0;
        }
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO metric_tail (run, key, next_chunk, small_chunks, data) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![run, key, tail.next_chunk, tail.small_chunks, pack(&tail.waiting)])?;
    Ok(())
}

/// What a series comes to.
struct Summary {
    latest: Row,
    min: Option<f64>,
    max: Option<f64>,
    count: i64,
}

/// Keeps a series' latest value and extremes.
pub(crate) fn summarize(tx: &Connection, run: i64, key: i64, experiment: i64, rows: &[Row]) -> rusqlite::Result<()> {
    let known = tx
        .prepare_cached("SELECT value, step, time_ms, min, max, count FROM metric WHERE run = ?1 AND key = ?2")?
        .query_row([run, key], |row| {
            let value = row.get::<_, Option<f64>>(0)?.unwrap_or(f64::NAN);
            let latest = Row { value, step: row.get(1)?, time_ms: row.get(2)? };
            Ok(Summary { latest, min: row.get(3)?, max: row.get(4)?, count: row.get(5)? })
        })
        .optional()?;
    let Some(&first) = rows.first() else { return Ok(()) };
    let mut summary = known.unwrap_or(Summary { latest: first, min: None, max: None, count: 0 });
    summary.count += rows.len() as i64;
    for row in rows {
        if row.recency(&summary.latest).is_ge() {
            summary.latest = *row;
        }
        if !row.value.is_nan() {
            summary.min = Some(summary.min.map_or(row.value, |min| min.min(row.value)));
            summary.max = Some(summary.max.map_or(row.value, |max| max.max(row.value)));
        }
    }
    let Summary { latest, min, max, count } = summary;
    tx.prepare_cached(
        "INSERT INTO metric (run, key, experiment, value, step, time_ms, min, max, count)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET value = excluded.value, step = excluded.step, time_ms = excluded.time_ms,
           min = excluded.min, max = excluded.max, count = excluded.count",
    )?
    .execute(params![run, key, experiment, latest.value, latest.step, latest.time_ms, min, max, count])?;
    Ok(())
}

fn write_chunks(
    tx: &Connection,
    run: i64,
    key: i64,
    next_chunk: &mut i64,
    is_small: bool,
    rows: &[Row],
) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO metric_chunk (run, key, chunk, is_small, time_min, time_max, step_min, step_max, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for part in rows.chunks(CHUNK_POINTS) {
        let [Some(first), Some(last)] = [part.first(), part.last()] else { continue };
        let step_min = part.iter().map(|row| row.step).min();
        let step_max = part.iter().map(|row| row.step).max();
        let (time_min, time_max, data) = (first.time_ms, last.time_ms, pack(part));
        insert.execute(params![run, key, *next_chunk, is_small, time_min, time_max, step_min, step_max, data])?;
        *next_chunk += 1;
    }
    Ok(())
}

/// Makes large chunks of a series' small ones.
fn merge(tx: &Connection, run: i64, key: i64, next_chunk: &mut i64) -> rusqlite::Result<()> {
    let mut rows = vec![];
    let mut select =
        tx.prepare_cached("SELECT data FROM metric_chunk WHERE run = ?1 AND key = ?2 AND is_small ORDER BY chunk")?;
    let mut chunks = select.query([run, key])?;
    while let Some(chunk) = chunks.next()? {
        rows.extend(unpack(chunk.get_ref(0)?.as_blob().unwrap_or_default()).unwrap_or_default());
    }
    drop(chunks);
    tidy(&mut rows);
    tx.prepare_cached("DELETE FROM metric_chunk WHERE run = ?1 AND key = ?2 AND is_small")?.execute([run, key])?;
    write_chunks(tx, run, key, next_chunk, false, &rows)
}
