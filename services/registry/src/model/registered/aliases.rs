use std::sync::Arc;

use super::{Change, Model, Rejection, Target, Terms};
use crate::model::entry::ALIASES_MAX;
use crate::model::{Alias, Number};

impl Model {
    pub(super) fn set_alias(
        &self,
        alias: Alias,
        version: Number,
        default: Option<Arc<Terms>>,
    ) -> Result<Vec<Change>, Rejection> {
        let to = self.version(version)?;
        let from = self.aliases.get(&alias).copied();
        if from == Some(to) {
            return Ok(vec![]);
        }
        self.guard(default.as_ref(), Target::Alias(alias.clone()))?;
        if from.is_none() && self.aliases.len() >= ALIASES_MAX {
            return Err(Rejection::Full { what: "aliases", limit: ALIASES_MAX });
        }
        Ok(vec![Change::AliasMoved { alias, from, to }])
    }

    pub(super) fn remove_alias(&self, alias: Alias, default: Option<Arc<Terms>>) -> Result<Vec<Change>, Rejection> {
        self.name()?;
        let Some(version) = self.aliases.get(&alias).copied() else { return Ok(vec![]) };
        self.guard(default.as_ref(), Target::Alias(alias.clone()))?;
        Ok(vec![Change::AliasRemoved { alias, version }])
    }
}
