//! Measured values, many at a time.

use std::collections::{BTreeSet, HashMap};

/// One measured value. Equal when every bit is: NaN equals itself.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Index of its name in [`Points::keys`].
    pub key: u32,
    /// Index of its subject in [`Points::subjects`], plus one; 0: the run alone.
    pub subject: u32,
    pub step: i64,
    pub time_ms: i64,
    pub value: f64,
}

/// What a point measured beside the run itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// Id of a logged model.
    pub model: String,
    pub dataset_name: String,
    pub dataset_digest: String,
}

/// A batch of points, with each name written once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    pub keys: Vec<String>,
    pub subjects: Vec<Subject>,
    pub points: Vec<Point>,
}

/// Fills a [`Points`].
#[derive(Debug, Default)]
pub struct PointsBuilder {
    points: Points,
    keys: HashMap<String, u32>,
    subjects: HashMap<Subject, u32>,
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        (self.key, self.subject, self.step, self.time_ms) == (other.key, other.subject, other.step, other.time_ms)
            && self.value.to_bits() == other.value.to_bits()
    }
}

impl Points {
    /// An empty batch to fill.
    pub fn builder() -> PointsBuilder {
        PointsBuilder::default()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Each point with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Point)> {
        self.points.iter().map(|point| (self.key(point), point))
    }

    /// A point's name.
    pub fn key(&self, point: &Point) -> &str {
        self.keys.get(point.key as usize).map_or("", String::as_str)
    }

    /// A point's subject, if it has one.
    pub fn subject(&self, point: &Point) -> Option<&Subject> {
        self.subjects.get((point.subject as usize).checked_sub(1)?)
    }

    /// Without the points of some names.
    pub(crate) fn without(&self, dropped: &BTreeSet<&str>) -> Self {
        let mut kept = Self::builder();
        for (key, point) in self.iter().filter(|(key, _)| !dropped.contains(key)) {
            kept.push(key, self.subject(point).cloned(), point.step, point.time_ms, point.value);
        }
        kept.finish()
    }
}

impl PointsBuilder {
    /// Adds a point.
    pub fn push(&mut self, key: &str, subject: Option<Subject>, step: i64, time_ms: i64, value: f64) {
        let key = match self.keys.get(key) {
            Some(&index) => index,
            None => {
                let index = self.points.keys.len() as u32;
                self.points.keys.push(key.to_owned());
                self.keys.insert(key.to_owned(), index);
                index
            }
        };
        let subject = subject.map_or(0, |subject| {
            let next = self.points.subjects.len() as u32 + 1;
            *self.subjects.entry(subject).or_insert_with_key(|subject| {
                self.points.subjects.push(subject.clone());
                next
            })
        });
        self.points.points.push(Point { key, subject, step, time_ms, value });
    }

    /// The batch.
    pub fn finish(self) -> Points {
        self.points
    }
}
