//! Points of one series as bytes: a version, a count, then columns — differences of times and of steps as variable
//! length integers, and values as they are.

pub use cairn_points::Row;

const VERSION: u8 = 1;

/// Sorts points and drops those that were logged twice.
pub(crate) fn tidy(rows: &mut Vec<Row>) {
    rows.sort_by(Row::order);
    rows.dedup();
}

/// Packs points in the order given.
pub(crate) fn pack(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + rows.len() * 12);
    bytes.push(VERSION);
    put(&mut bytes, rows.len() as u64);
    for column in [|row: &Row| row.time_ms, |row: &Row| row.step] {
        let mut last = 0_i64;
        for row in rows {
            let value = column(row);
            put_signed(&mut bytes, value.wrapping_sub(last));
            last = value;
        }
    }
    for row in rows {
        bytes.extend(row.value.to_le_bytes());
    }
    bytes
}

/// Reads packed points. `None`: they are not.
pub(crate) fn unpack(bytes: &[u8]) -> Option<Vec<Row>> {
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let count = usize::try_from(take(&mut rest)?).ok()?;
    // Each point takes ten bytes or more: a count that promises more than there is never reserves memory.
    if count > rest.len() / 10 {
        return None;
    }
    let mut rows = vec![Row { step: 0, time_ms: 0, value: 0.0 }; count];
    let mut last = 0_i64;
    for row in &mut rows {
        last = last.wrapping_add(take_signed(&mut rest)?);
        row.time_ms = last;
    }
    last = 0;
    for row in &mut rows {
        last = last.wrapping_add(take_signed(&mut rest)?);
        row.step = last;
    }
    if rest.len() != count * 8 {
        return None;
    }
    for (row, value) in rows.iter_mut().zip(rest.as_chunks::<8>().0) {
        row.value = f64::from_le_bytes(*value);
    }
    Some(rows)
}

fn put_signed(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, ((value << 1) ^ (value >> 63)) as u64);
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let value = take(bytes)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let row = (any::<i64>(), any::<i64>(), any::<u64>());
        prop::collection::vec(
            row.prop_map(|(step, time_ms, bits)| Row { step, time_ms, value: f64::from_bits(bits) }),
            0..50,
        )
    }

    proptest! {
        #[test]
        fn packed_points_read_back_bit_by_bit_s3_11(rows in rows()) {
            let back = unpack(&pack(&rows)).unwrap();
            prop_assert_eq!(back.len(), rows.len());
            for (a, b) in back.iter().zip(&rows) {
                prop_assert_eq!((a.step, a.time_ms, a.value.to_bits()), (b.step, b.time_ms, b.value.to_bits()));
            }
        }

        #[test]
        fn bytes_that_are_not_points_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpack(&bytes);
        }
    }

    #[test]
    fn points_logged_twice_are_kept_once() {
        let point = |value| Row { step: 1, time_ms: 1, value };
        let mut rows = vec![point(f64::NAN), point(2.0), point(f64::NAN), point(2.0), point(f64::INFINITY)];
        tidy(&mut rows);
        let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        assert_eq!(values[..2], [2.0, f64::INFINITY]);
        assert!(values[2].is_nan() && values.len() == 3);
    }
}
