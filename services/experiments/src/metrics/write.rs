use rusqlite::{Connection, OptionalExtension, params};

use super::packed::{Row, pack, tidy, unpack};

/// Points that wait in a series' tail before they become a chunk.
const TAIL_POINTS: usize = 64;
/// Small chunks that are merged into large ones. A point is thus written three times at most.
const SMALL_CHUNKS: i64 = 64;
/// Most points of one chunk.
const CHUNK_POINTS: usize = 4096;

/// Adds points to one series, and keeps its latest value and extremes.
pub(crate) fn write_series(
    tx: &Connection,
    run: i64,
    key: i64,
    experiment: i64,
    rows: Vec<Row>,
) -> rusqlite::Result<()> {
    summarize(tx, run, key, experiment, &rows)?;
    let tail: Option<(i64, Vec<u8>)> = tx
        .prepare_cached("SELECT small_chunks, data FROM metric_tail WHERE run = ?1 AND key = ?2")?
        .query_row([run, key], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut small_chunks, data) = tail.unwrap_or_default();
    let mut waiting = unpack(&data).unwrap_or_default();
    waiting.extend(rows);
    if waiting.len() >= TAIL_POINTS {
        tidy(&mut waiting);
        match waiting.len() >= CHUNK_POINTS {
            true => write_chunks(tx, run, key, false, &waiting)?,
            false => {
                write_chunks(tx, run, key, true, &waiting)?;
                small_chunks += 1;
            }
        }
        waiting.clear();
    }
    if small_chunks >= SMALL_CHUNKS {
        merge(tx, run, key)?;
        small_chunks = 0;
    }
    tx.prepare_cached("INSERT OR REPLACE INTO metric_tail (run, key, small_chunks, data) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run, key, small_chunks, pack(&waiting)])?;
    Ok(())
}

/// What a series comes to.
struct Summary {
    latest: Row,
    min: Option<f64>,
    max: Option<f64>,
    count: i64,
}

fn summarize(tx: &Connection, run: i64, key: i64, experiment: i64, rows: &[Row]) -> rusqlite::Result<()> {
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

fn write_chunks(tx: &Connection, run: i64, key: i64, is_small: bool, rows: &[Row]) -> rusqlite::Result<()> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO metric_chunk (run, key, is_small, time_min, time_max, step_min, step_max, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for chunk in rows.chunks(CHUNK_POINTS) {
        let [Some(first), Some(last)] = [chunk.first(), chunk.last()] else { continue };
        let step_min = chunk.iter().map(|row| row.step).min();
        let step_max = chunk.iter().map(|row| row.step).max();
        insert.execute(params![run, key, is_small, first.time_ms, last.time_ms, step_min, step_max, pack(chunk)])?;
    }
    Ok(())
}

/// Makes large chunks of a series' small ones.
fn merge(tx: &Connection, run: i64, key: i64) -> rusqlite::Result<()> {
    let mut rows = vec![];
    let mut select =
        tx.prepare_cached("SELECT data FROM metric_chunk WHERE run = ?1 AND key = ?2 AND is_small ORDER BY id")?;
    let mut chunks = select.query([run, key])?;
    while let Some(chunk) = chunks.next()? {
        rows.extend(unpack(chunk.get_ref(0)?.as_blob().unwrap_or_default()).unwrap_or_default());
    }
    drop(chunks);
    tidy(&mut rows);
    tx.prepare_cached("DELETE FROM metric_chunk WHERE run = ?1 AND key = ?2 AND is_small")?.execute([run, key])?;
    write_chunks(tx, run, key, false, &rows)
}
