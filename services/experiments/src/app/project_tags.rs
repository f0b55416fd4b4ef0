use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use cairn_projection::QueryFault;
use moka::future::Cache;
use parking_lot::Mutex;

use crate::model::ProjectName;
use crate::query::Query;

/// Projects whose tag keys are held in memory.
const PROJECTS_MAX: u64 = 64;

/// Counts the distinct tag keys of each project.
///
/// Read once from the read model and then kept here. Two processes that admit new keys at the same moment do not see
/// each other's, and a key admitted for a request that is then refused counts until the project is forgotten: the limit
/// protects against explosions, and is not exact to the last key.
pub(super) struct ProjectTags {
    query: Query,
    keys_max: usize,
    projects: Cache<String, Arc<Mutex<HashSet<String>>>>,
}

impl ProjectTags {
    pub(super) fn new(query: Query, keys_max: usize) -> Self {
        Self { query, keys_max, projects: Cache::new(PROJECTS_MAX) }
    }

    /// Takes keys in, and gives those for which there is no room.
    pub(super) async fn admit(
        &self,
        project: &ProjectName,
        keys: &[&String],
    ) -> Result<BTreeSet<String>, Arc<QueryFault>> {
        if keys.is_empty() {
            return Ok(BTreeSet::new());
        }
        let read = async {
            let known = self.query.tag_keys(project, self.keys_max).await?;
            Ok::<_, QueryFault>(Arc::new(Mutex::new(known.into_iter().collect::<HashSet<_>>())))
        };
        let known = self.projects.try_get_with(project.project().to_owned(), read).await?;
        let mut known = known.lock();
        let mut beyond = BTreeSet::new();
        for key in keys {
            if known.contains(*key) {
                continue;
            }
            match known.len() < self.keys_max {
                true => drop(known.insert((*key).clone())),
                false => drop(beyond.insert((*key).clone())),
            }
        }
        Ok(beyond)
    }
}
