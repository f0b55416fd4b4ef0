use std::collections::BTreeMap;

use super::environment::{CHANGES_MAX, Change, Environment};
use crate::model::schema::Judge;
use crate::model::{Json, Key, Rejection};

/// Entries of one environment.
const ENTRIES_MAX: usize = 1_000;
/// Longest value, as JSON, in bytes.
const VALUE_BYTES_MAX: usize = 16 << 10;
/// All keys and values of one environment together, in bytes.
const ENVIRONMENT_BYTES_MAX: usize = 1 << 20;

impl Environment {
    /// What of these changes changes anything, by key. The last word on a key counts.
    pub(super) fn revise(&self, changes: Vec<Change>, schemas: &BTreeMap<Key, Json>) -> Result<Vec<Change>, Rejection> {
        if changes.len() > CHANGES_MAX {
            return Err(Rejection::TooLarge { what: "changes of a revision", limit: CHANGES_MAX });
        }
        let changes: BTreeMap<Key, Option<Json>> =
            changes.into_iter().map(|Change { key, value }| (key, value)).collect();
        let mut after = self.clone();
        let mut effective = vec![];
        for (key, value) in changes {
            if let Some(value) = &value {
                check(&key, value, schemas.get(&key))?;
            }
            if self.entries.get(&key) != value.as_ref() {
                let change = Change { key, value };
                after.apply(&change);
                effective.push(change);
            }
        }
        if after.entries.len() > ENTRIES_MAX {
            return Err(Rejection::TooLarge { what: "entries of an environment", limit: ENTRIES_MAX });
        }
        let bytes: usize = after.entries.iter().map(|(key, value)| key.as_str().len() + value.text().len()).sum();
        if bytes > ENVIRONMENT_BYTES_MAX {
            return Err(Rejection::TooLarge { what: "bytes of an environment", limit: ENVIRONMENT_BYTES_MAX });
        }
        Ok(effective)
    }
}

fn check(key: &Key, value: &Json, schema: Option<&Json>) -> Result<(), Rejection> {
    if value.text().len() > VALUE_BYTES_MAX {
        return Err(Rejection::TooLarge { what: "bytes of a value", limit: VALUE_BYTES_MAX });
    }
    let Some(schema) = schema else { return Ok(()) };
    // A stored schema was read before it was stored; one that no longer reads admits nothing.
    let problem = Judge::read(schema).map_or_else(Some, |judge| judge.problem(value));
    problem.map_or(Ok(()), |problem| Err(Rejection::ValueInvalid { key: key.clone(), problem }))
}
