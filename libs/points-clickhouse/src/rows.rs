//! Points as ClickHouse's RowBinary has them.

use cairn_kernel::Time;
use cairn_points::{EngineFault, Entry, Row};

/// The columns of a point as they are sent, in this order.
pub(crate) const COLUMNS: &str = "project, run, name, time, step, value, position, logged";
pub(crate) const STRUCTURE: &str = "project String, run String, name String, time Int64, step Int64, value Float64, \
     position UInt64, logged DateTime";
/// Bytes of a point as it is read: time, step, value.
const READ_BYTES: usize = 24;

/// Seconds of a `DateTime`.
pub(crate) fn seconds(time: Time) -> u32 {
    let seconds = time.micros().div_euclid(1_000_000);
    u32::try_from(seconds).unwrap_or(if seconds < 0 { 0 } else { u32::MAX })
}

/// The points of some events.
pub(crate) fn written(entries: &[Entry]) -> Vec<u8> {
    let count: usize = entries.iter().map(|entry| entry.points.len()).sum();
    let mut bytes = Vec::with_capacity(count * 128);
    for entry in entries {
        for (metric, row) in &entry.points {
            put_text(&mut bytes, &entry.project);
            put_text(&mut bytes, &entry.run);
            put_text(&mut bytes, entry.metrics.get(*metric as usize).map_or("", String::as_str));
            bytes.extend(row.time_ms.to_le_bytes());
            bytes.extend(row.step.to_le_bytes());
            bytes.extend(row.value.to_le_bytes());
            bytes.extend(entry.position.0.to_le_bytes());
            bytes.extend(seconds(entry.time).to_le_bytes());
        }
    }
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(text.as_bytes());
}

/// Points as `SELECT time, step, value … FORMAT RowBinary` gives them.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Row>, EngineFault> {
    let (rows, rest) = bytes.as_chunks::<READ_BYTES>();
    if !rest.is_empty() {
        return Err(EngineFault::Away("its answer is not whole".to_owned()));
    }
    let part = |row: &[u8; READ_BYTES], at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&row[at..at + 8]);
        number
    };
    let row = |row: &[u8; READ_BYTES]| Row {
        time_ms: i64::from_le_bytes(part(row, 0)),
        step: i64::from_le_bytes(part(row, 8)),
        value: f64::from_le_bytes(part(row, 16)),
    };
    Ok(rows.iter().map(row).collect())
}
