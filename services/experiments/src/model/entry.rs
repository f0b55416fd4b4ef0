//! Params and tags: values under keys, and what is left of them when there are too many.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cairn_kernel::newtype;

/// Longest key of a metric, param or tag, in bytes.
pub const KEY_BYTES_MAX: usize = 250;
/// Longest value of a param, in characters.
pub const PARAM_CHARS_MAX: usize = 6000;
/// Longest value of a run's or logged model's tag, in characters.
pub const TAG_CHARS_MAX: usize = 8000;
/// Longest value of an experiment's tag, in characters.
pub const EXPERIMENT_TAG_CHARS_MAX: usize = 20_000;
/// Longest display name of an experiment, in characters.
pub const EXPERIMENT_DISPLAY_NAME_CHARS_MAX: usize = 500;

/// Names of tags that mean something to us. They are those of MLflow's clients, so that both see the same.
pub mod tag {
    /// Client tags begin with it.
    pub const RESERVED_PREFIX: &str = "mlflow.";
    /// A run's display name.
    pub const RUN_NAME: &str = "mlflow.runName";
    /// The id of the run that a run is nested in.
    pub const PARENT_RUN: &str = "mlflow.parentRunId";
    /// Notes for people.
    pub const NOTE: &str = "mlflow.note.content";
}

/// Values by key. Shared, because states are copied for every command and most commands change none of it.
pub type Pairs = Arc<BTreeMap<String, String>>;

newtype!(
    /// The name of a metric, param or tag: letters, digits, `_ - . : /` and spaces, and a path that means itself.
    Key,
    "key (1 to 250 bytes of letters, digits, `_-.:/` and spaces that are not another name's path)",
    is_key
);

fn is_key(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:/ ".contains(c);
    let is_normal = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    text.len() <= KEY_BYTES_MAX && text.chars().all(is_plain) && text.split('/').all(is_normal)
}

/// What sort of thing a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    Metric,
    Param,
    Tag,
}

/// Which limit a key was beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Names of one kind in one run.
    Run,
    /// Distinct tag keys in one project.
    Project,
}

/// A key that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    pub kind: EntryKind,
    /// Empty: all further keys.
    pub key: String,
    pub limit: Limit,
    /// How often it was sent.
    pub count: u64,
}

/// Collects what is not kept, naming only the first keys of each kind.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    entries: Vec<Dropped>,
    /// Where the keys of one kind and limit stand: a batch may bring ten thousand of them.
    places: HashMap<(EntryKind, Limit), HashMap<String, usize>>,
}

/// Most keys of one kind and limit that are named.
pub const DROPPED_KEYS_MAX: usize = 100;

impl Drops {
    pub(crate) fn add(&mut self, kind: EntryKind, limit: Limit, key: &str, count: u64) {
        let places = self.places.entry((kind, limit)).or_default();
        let named = places.len() - usize::from(places.contains_key(""));
        // An empty key stands for all further ones.
        let key = if named < DROPPED_KEYS_MAX || places.contains_key(key) { key } else { "" };
        match places.get(key) {
            Some(&at) => self.entries[at].count += count,
            None => {
                places.insert(key.to_owned(), self.entries.len());
                self.entries.push(Dropped { kind, key: key.to_owned(), limit, count });
            }
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Dropped> {
        self.entries
    }
}

/// What of `set` is new or different, and what of `delete` is there.
pub(crate) fn changes(
    current: &BTreeMap<String, String>,
    set: BTreeMap<String, String>,
    delete: Vec<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let deleted = delete.into_iter().filter(|key| current.contains_key(key) && !set.contains_key(key)).collect();
    let changed = set.into_iter().filter(|(key, value)| current.get(key) != Some(value)).collect();
    (changed, deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_path_that_means_itself() {
        for key in ["loss", "val/loss", "a b", "top:5", "é", "..a", "a."] {
            assert!(key.parse::<Key>().is_ok(), "{key:?} was refused");
        }
        for key in ["", "/a", "a/", "a//b", "./a", "a/..", ".", "a\nb", "a=b", &"k".repeat(251)] {
            assert!(key.parse::<Key>().is_err(), "{key:?} was accepted");
        }
    }

    #[test]
    fn only_the_first_hundred_dropped_keys_are_named() {
        let mut drops = Drops::default();
        for n in 0..300 {
            drops.add(EntryKind::Tag, Limit::Run, &format!("k{n}"), 2);
        }
        drops.add(EntryKind::Tag, Limit::Run, "k0", 1);
        let dropped = drops.into_vec();
        assert_eq!(dropped.len(), DROPPED_KEYS_MAX + 1);
        assert_eq!(dropped[0].count, 3);
        assert_eq!((dropped[100].key.as_str(), dropped[100].count), ("", 400));
    }
}
