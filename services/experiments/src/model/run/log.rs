//! Metrics, params and tags: what is new, what may not change, and what is too much.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Change, Rejection, Run};
use crate::model::entry::{Drops, EntryKind, Limit, changes, tag};
use crate::model::limits::RESERVED_TAG_KEYS_PER_RUN_MAX;
use crate::model::{Dropped, Limits, Points};

/// What a run logs at once: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Given when its sender wants to be able to repeat it.
    pub id: Option<BatchId>,
    pub metrics: Arc<Points>,
    pub params: BTreeMap<String, String>,
    pub tags: TagChange,
    pub limits: Limits,
    /// Its sender was told that it is kept, when the run was in use. It is logged even if the run has been deleted since.
    pub was_accepted: bool,
}

/// Which batch of a run, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchId {
    pub id: String,
    /// SHA-256 of its content, hex.
    pub sha256: String,
}

/// Tags to set and to delete.
#[derive(Clone, Debug, Default)]
pub struct TagChange {
    pub set: BTreeMap<String, String>,
    pub delete: Vec<String>,
    /// Keys for which the project has no room. Counted outside: no run knows of the others.
    pub beyond_project: BTreeSet<String>,
    pub limits: Limits,
}

impl Run {
    pub(super) fn log(&self, batch: &Batch) -> Result<Vec<Change>, Rejection> {
        let mut drops = Drops::default();
        let mut changes = vec![];

        let params = self.new_params(batch, &mut drops)?;
        let has_param = |key: &&String| self.params.contains_key(*key) || params.contains_key(*key);
        let param_count = batch.params.keys().filter(has_param).count() as u32;
        if !params.is_empty() {
            changes.push(Change::ParamsLogged(params));
        }

        let tags = TagChange { limits: batch.limits, ..batch.tags.clone() };
        let (tag_changes, tag_count) = self.tag_changes(&tags, &mut drops);
        changes.extend(tag_changes);

        let metrics = self.kept_points(&batch.metrics, batch.limits.metric_names_per_run_max, &mut drops);
        let metric_count = metrics.points.len() as u32;
        if !metrics.is_empty() {
            changes.push(Change::MetricsLogged(metrics));
        }

        let dropped = drops.into_vec();
        if !dropped.is_empty() {
            changes.push(Change::EntriesDropped(dropped.clone()));
        }
        // A batch that says nothing new is remembered all the same: its id is used.
        if let Some(id) = batch.id.clone() {
            changes.push(Change::BatchLogged { id, metric_count, param_count, tag_count, dropped });
        }
        Ok(changes)
    }

    pub(super) fn tag(&self, change: &TagChange) -> Vec<Change> {
        let mut drops = Drops::default();
        let (mut changes, _) = self.tag_changes(change, &mut drops);
        let dropped = drops.into_vec();
        if !dropped.is_empty() {
            changes.push(Change::EntriesDropped(dropped));
        }
        changes
    }

    /// What of a batch it does not have, after it was logged: what was dropped.
    pub fn missing(&self, batch: &Batch) -> Vec<Dropped> {
        let mut drops = Drops::default();
        for (key, _) in batch.metrics.iter().filter(|(key, _)| !self.metrics.contains(*key)) {
            drops.add(EntryKind::Metric, Limit::Run, key, 1);
        }
        for key in batch.params.keys().filter(|key| !self.params.contains_key(*key)) {
            drops.add(EntryKind::Param, Limit::Run, key, 1);
        }
        for key in batch.tags.set.keys().filter(|key| !self.tags.contains_key(*key)) {
            let limit = if batch.tags.beyond_project.contains(key) { Limit::Project } else { Limit::Run };
            drops.add(EntryKind::Tag, limit, key, 1);
        }
        drops.into_vec()
    }

    /// The params it does not have yet. All are judged before any is dropped.
    fn new_params(&self, batch: &Batch, drops: &mut Drops) -> Result<BTreeMap<String, String>, Rejection> {
        let mut new = BTreeMap::new();
        for (key, given) in &batch.params {
            match self.params.get(key) {
                Some(logged) if logged == given => {}
                Some(logged) => {
                    let (key, logged, given) = (key.clone(), logged.clone(), given.clone());
                    return Err(Rejection::ParamImmutable { key, logged, given });
                }
                None if self.params.len() + new.len() < batch.limits.params_per_run_max => {
                    new.insert(key.clone(), given.clone());
                }
                None => drops.add(EntryKind::Param, Limit::Run, key, 1),
            }
        }
        Ok(new)
    }

    /// The changes, and how many of the tags sent are now set.
    fn tag_changes(&self, change: &TagChange, drops: &mut Drops) -> (Vec<Change>, u32) {
        let (mut set, deleted) = changes(&self.tags, change.set.clone(), change.delete.clone());
        let unchanged = change.set.len() - set.len();
        let is_reserved = |key: &str| key.starts_with(tag::RESERVED_PREFIX);
        let (mut reserved, mut plain) = (0, 0);
        for key in self.tags.keys().filter(|key| !deleted.contains(key)) {
            if is_reserved(key) { reserved += 1 } else { plain += 1 }
        }
        set.retain(|key, _| {
            if self.tags.contains_key(key) {
                return true;
            }
            let (used, max) = match is_reserved(key) {
                true => (&mut reserved, RESERVED_TAG_KEYS_PER_RUN_MAX),
                false => (&mut plain, change.limits.tag_keys_per_run_max),
            };
            let limit = match () {
                () if *used >= max => Limit::Run,
                () if change.beyond_project.contains(key) => Limit::Project,
                () => {
                    *used += 1;
                    return true;
                }
            };
            drops.add(EntryKind::Tag, limit, key, 1);
            false
        });
        let count = (unchanged + set.len()) as u32;
        let mut changes = vec![];
        if let Some(to) = set.remove(tag::RUN_NAME) {
            changes.extend(self.renamed(to));
        }
        if !set.is_empty() {
            changes.push(Change::TagsSet(set));
        }
        if !deleted.is_empty() {
            changes.push(Change::TagsDeleted(deleted));
        }
        (changes, count)
    }

    /// The points whose names there is room for. Shares the batch's own when that is all of them.
    fn kept_points(&self, points: &Arc<Points>, names_max: usize, drops: &mut Drops) -> Arc<Points> {
        let mut room = names_max.saturating_sub(self.metrics.len());
        let mut dropped = BTreeSet::new();
        for key in points.keys.iter().filter(|key| !self.metrics.contains(*key)) {
            match room.checked_sub(1) {
                Some(left) => room = left,
                None => drop(dropped.insert(key.as_str())),
            }
        }
        if dropped.is_empty() {
            return Arc::clone(points);
        }
        for (key, _) in points.iter().filter(|(key, _)| dropped.contains(key)) {
            drops.add(EntryKind::Metric, Limit::Run, key, 1);
        }
        Arc::new(points.without(&dropped))
    }
}
