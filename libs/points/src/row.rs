use std::cmp::Ordering;

/// One point of a series.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub step: i64,
    pub time_ms: i64,
    pub value: f64,
}

impl Row {
    /// The order of a history: time, step, value; NaN after every number.
    pub fn order(&self, other: &Self) -> Ordering {
        (self.time_ms, self.step).cmp(&(other.time_ms, other.step)).then_with(|| order(self.value, other.value))
    }

    /// What makes a point the latest: step, time, value. NaN is below every number.
    pub fn recency(&self, other: &Self) -> Ordering {
        (self.step, self.time_ms).cmp(&(other.step, other.time_ms)).then_with(|| {
            match (self.value.is_nan(), other.value.is_nan()) {
                (false, false) => order(self.value, other.value),
                (is_nan, other_is_nan) => other_is_nan.cmp(&is_nan),
            }
        })
    }
}

/// All NaN are one and the same; so are the two zeros.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}
