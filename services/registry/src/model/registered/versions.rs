use std::sync::Arc;

use super::{Change, Model, Rejection, Stage, Target, Terms};
use crate::model::Number;

impl Model {
    /// Whether a version exists.
    pub fn has(&self, version: Number) -> bool {
        self.name().is_ok() && self.gone < version && version <= self.last && !self.deleted.contains(&version)
    }

    /// Where a version stands.
    pub fn stage(&self, version: Number) -> Stage {
        self.stages.get(&version).copied().unwrap_or_default()
    }

    /// A version, if it exists.
    pub fn version(&self, version: Number) -> Result<Number, Rejection> {
        let model = self.name()?;
        match self.has(version) {
            true => Ok(version),
            false => Err(Rejection::VersionNotFound { model: model.clone(), version }),
        }
    }

    /// INVARIANT: one more than the last number, whatever was deleted meanwhile, so none is left out and none comes twice.
    pub(super) fn number(&self, versions_max: u32, request: String) -> Result<Vec<Change>, Rejection> {
        self.name()?;
        if self.last.0 >= versions_max {
            return Err(Rejection::Full { what: "versions", limit: versions_max as usize });
        }
        Ok(vec![Change::Numbered { version: Number(self.last.0 + 1), request }])
    }

    /// Numbers only ever rise, wherever they come from.
    pub(super) fn number_as(
        &self,
        version: Number,
        versions_max: u32,
        request: String,
    ) -> Result<Vec<Change>, Rejection> {
        let model = self.name()?;
        if version <= self.last {
            return Err(Rejection::NumberTaken { model: model.clone(), version, last: self.last });
        }
        if version.0 > versions_max {
            return Err(Rejection::Full { what: "versions", limit: versions_max as usize });
        }
        Ok(vec![Change::Numbered { version, request }])
    }

    pub(super) fn delete_version(
        &self,
        version: Number,
        default: Option<Arc<Terms>>,
    ) -> Result<Vec<Change>, Rejection> {
        self.version(version)?;
        let default = default.as_ref();
        self.guard(default, Target::Stage(self.stage(version)))?;
        let mut changes = vec![];
        for (alias, _) in self.aliases.iter().filter(|(_, held)| **held == version) {
            self.guard(default, Target::Alias(alias.clone()))?;
            changes.push(Change::AliasRemoved { alias: alias.clone(), version });
        }
        changes.push(Change::VersionDeleted(version));
        Ok(changes)
    }

    pub(super) fn transition(
        &self,
        version: Number,
        to: Stage,
        archive_existing: bool,
        default: Option<Arc<Terms>>,
    ) -> Result<Vec<Change>, Rejection> {
        let from = self.stage(self.version(version)?);
        let existing = match archive_existing && to.is_active() {
            true => self.others_in(to, version),
            false => vec![],
        };
        if from == to && existing.is_empty() {
            return Ok(vec![]);
        }
        let default = default.as_ref();
        self.guard(default, Target::Stage(to))?;
        let mut changes = vec![];
        if !existing.is_empty() {
            self.guard(default, Target::Stage(Stage::Archived))?;
        }
        if from != to {
            self.guard(default, Target::Stage(from))?;
            if !from.leads_to(to) {
                return Err(Rejection::StageMove { version, from, to });
            }
            changes.push(Change::StageMoved { version, from, to });
        }
        changes.extend(existing.into_iter().map(|version| archived(version, to)));
        Ok(changes)
    }

    /// The other versions in a stage.
    pub(super) fn others_in(&self, stage: Stage, version: Number) -> Vec<Number> {
        let others = self.stages.iter().filter(|(other, at)| **other != version && **at == stage);
        others.map(|(other, _)| *other).collect()
    }
}

/// What happens to a version whose place another one takes.
pub(super) fn archived(version: Number, from: Stage) -> Change {
    Change::StageMoved { version, from, to: Stage::Archived }
}
