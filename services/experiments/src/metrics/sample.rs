//! Thinning out for charts.
//!
//! M4 (Jugel, Jerzak, Hackenbroich, Markl: "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014): cut
//! the steps into equal stretches and keep of each its first, last, lowest and highest point. A line drawn through them
//! covers the same pixels as one through all, so no peak is lost, which averages and every n-th point would do.

use super::packed::Row;

/// Points kept of each stretch.
const POINTS_PER_STRETCH: usize = 4;

/// A series, thinned out.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// By step.
    pub rows: Vec<Row>,
    /// How many there were.
    pub total_count: u64,
}

/// Keeps at most `points_max` (four or more) of points that are sorted by step.
pub(crate) fn thin_out(rows: Vec<Row>, points_max: usize) -> Sample {
    let total_count = rows.len() as u64;
    if rows.len() <= points_max {
        return Sample { rows, total_count };
    }
    let [Some(first), Some(last)] = [rows.first(), rows.last()] else { return Sample::default() };
    let stretches = (points_max / POINTS_PER_STRETCH).max(1);
    let (start, width) = (i128::from(first.step), i128::from(last.step) - i128::from(first.step) + 1);
    let stretch = |row: &Row| (i128::from(row.step) - start) * stretches as i128 / width;

    let mut kept = Vec::with_capacity(points_max);
    for alike in rows.chunk_by(|a, b| stretch(a) == stretch(b)) {
        keep(alike, &mut kept);
    }
    Sample { rows: kept, total_count }
}

/// First, last, lowest and highest, in their order. A stretch without a number keeps its ends.
fn keep(rows: &[Row], kept: &mut Vec<Row>) {
    let numbers = || rows.iter().enumerate().filter(|(_, row)| !row.value.is_nan());
    let lowest = numbers().min_by(|(_, a), (_, b)| a.value.total_cmp(&b.value));
    let highest = numbers().max_by(|(_, a), (_, b)| a.value.total_cmp(&b.value));
    let mut indexes = vec![0, rows.len() - 1];
    indexes.extend(lowest.into_iter().chain(highest).map(|(index, _)| index));
    indexes.sort_unstable();
    indexes.dedup();
    kept.extend(indexes.into_iter().map(|index| rows[index]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sample_is_small_and_keeps_both_extremes(
            values in prop::collection::vec(-1e9..1e9_f64, 1..2000),
            points_max in 4_usize..200,
        ) {
            let rows: Vec<Row> = values
                .iter()
                .enumerate()
                .map(|(at, &value)| Row { step: (at as i64) * 7 - 3000, time_ms: 0, value })
                .collect();
            let sample = thin_out(rows.clone(), points_max);
            prop_assert!(sample.rows.len() <= points_max);
            prop_assert_eq!(sample.total_count, rows.len() as u64);
            let extremes = |rows: &[Row]| {
                rows.iter().fold((f64::MAX, f64::MIN), |(low, high), row| (low.min(row.value), high.max(row.value)))
            };
            prop_assert_eq!(extremes(&sample.rows), extremes(&rows));
            prop_assert!(sample.rows.iter().all(|row| rows.contains(row)));
            prop_assert!(sample.rows.is_sorted_by_key(|row| row.step));
        }
    }

    #[test]
    fn a_series_of_extreme_steps_and_no_numbers_is_thinned_out_too() {
        let mut rows: Vec<Row> = (0..100).map(|step| Row { step, time_ms: 0, value: f64::NAN }).collect();
        rows[0].step = i64::MIN;
        rows[99].step = i64::MAX;
        let sample = thin_out(rows, 8);
        assert!(sample.rows.len() <= 8 && sample.rows.len() >= 2);
    }
}
