//! A registered model: its names and notes, the numbers of its versions, which of them is where, and who decided it.
//!
//! What a version is stands in the version's own stream; where it stands, here, so that everything that must move
//! together moves in one append.

mod aliases;
mod fault;
mod promote;
#[cfg(test)]
mod random;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod spec;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_kernel::{Aggregate, Position, Time};

use super::entry::{ENTRIES_MAX, Pairs, changes, count_after};
use super::{
    Alias, Approver, CountedSignature, Evidence, ModelName, Move, Number, Origin, Promotion, Stage, Target, Terms,
};

pub use fault::{End, Rejection};

/// A model as its events left it. One without events does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    name: Option<ModelName>,
    is_deleted: bool,
    pub display_name: Arc<str>,
    pub description: Arc<str>,
    pub tags: Pairs,
    aliases: Arc<BTreeMap<Alias, Number>>,
    /// Those that are not in [`Stage::None`].
    stages: Arc<BTreeMap<Number, Stage>>,
    /// The last number given.
    last: Number,
    /// Numbers up to this one are of an earlier life, before the model was deleted.
    gone: Number,
    deleted: Arc<BTreeSet<Number>>,
    /// Its own policy. It outlives a deletion, so that nobody sheds it by deleting the model.
    terms: Option<Arc<Terms>>,
    promotions: Arc<BTreeMap<String, Arc<Promotion>>>,
    ended: Arc<BTreeMap<String, End>>,
}

/// What may be asked of a model. `default` is the policy of its project.
#[derive(Clone, Debug)]
pub enum Command {
    Create {
        name: ModelName,
        display_name: String,
        description: String,
        tags: BTreeMap<String, String>,
    },
    /// Says in the append that creates it that it was registered elsewhere.
    Import(Origin),
    /// Takes another display name. Whoever asks has claimed it in the same append.
    Rename {
        display_name: String,
        default: Option<Arc<Terms>>,
    },
    Describe(String),
    Tag {
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    },
    Delete {
        principal: String,
        default: Option<Arc<Terms>>,
    },
    /// Gives the next number to a version that is made in the same append.
    Number {
        versions_max: u32,
        /// Names the request, so that a repeat finds the number it was given. Empty: it cannot be repeated.
        request: String,
    },
    /// Gives a number that the version had elsewhere. Those it leaves out are never given.
    NumberAs {
        version: Number,
        versions_max: u32,
        request: String,
    },
    DeleteVersion {
        version: Number,
        default: Option<Arc<Terms>>,
    },
    SetAlias {
        alias: Alias,
        version: Number,
        default: Option<Arc<Terms>>,
    },
    RemoveAlias {
        alias: Alias,
        default: Option<Arc<Terms>>,
    },
    Transition {
        version: Number,
        stage: Stage,
        archive_existing: bool,
        default: Option<Arc<Terms>>,
    },
    SetTerms {
        terms: Arc<Terms>,
        default: Option<Arc<Terms>>,
        may_relax: bool,
    },
    Request {
        promotion: String,
        moves: Vec<Move>,
        requester: String,
        comment: String,
        default: Option<Arc<Terms>>,
        /// Roles given after this position do not count.
        roles_position: Position,
        now: Time,
    },
    Approve {
        promotion: String,
        approver: Approver,
        comment: String,
        evidence: Evidence,
        default: Option<Arc<Terms>>,
        now: Time,
    },
    Reject {
        promotion: String,
        principal: String,
        comment: String,
        now: Time,
    },
    Withdraw {
        promotion: String,
        principal: String,
        comment: String,
        now: Time,
    },
    Complete {
        promotion: String,
        principal: String,
        evidence: Evidence,
        default: Option<Arc<Terms>>,
        now: Time,
    },
    Bypass {
        moves: Vec<Move>,
        principal: String,
        justification: String,
    },
}

/// What happened to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub model: ModelName,
    pub change: Change,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Created {
        display_name: String,
        description: String,
        tags: BTreeMap<String, String>,
    },
    Imported(Origin),
    Renamed {
        from: String,
        to: String,
    },
    Described(String),
    TagsSet(BTreeMap<String, String>),
    TagsDeleted(Vec<String>),
    Deleted,
    Numbered {
        version: Number,
        request: String,
    },
    VersionDeleted(Number),
    AliasMoved {
        alias: Alias,
        from: Option<Number>,
        to: Number,
    },
    AliasRemoved {
        alias: Alias,
        version: Number,
    },
    StageMoved {
        version: Number,
        from: Stage,
        to: Stage,
    },
    TermsSet {
        terms: Arc<Terms>,
        is_relaxed: bool,
    },
    Requested {
        promotion: String,
        moves: Vec<Move>,
        requester: String,
        comment: String,
        terms: Arc<Terms>,
        roles_position: Position,
        request_time: Time,
        expire_time: Time,
    },
    Approved {
        promotion: String,
        approver: String,
        role: String,
        role_position: Position,
        comment: String,
    },
    Rejected {
        promotion: String,
        principal: String,
        comment: String,
    },
    Withdrawn {
        promotion: String,
        principal: String,
        comment: String,
    },
    Completed {
        promotion: String,
        principal: String,
        /// Those that it rests on.
        signatures: Vec<CountedSignature>,
    },
    Bypassed {
        moves: Vec<Move>,
        principal: String,
        justification: String,
    },
}

impl Aggregate for Model {
    const CATEGORY: &'static str = "registry.model";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Rejection> {
        let changes = match command {
            Command::Create { name, display_name, description, tags } => {
                if self.name.is_some() && !self.is_deleted {
                    return Err(Rejection::Exists(name));
                }
                let change = Change::Created { display_name, description, tags };
                return Ok(vec![Event { model: name, change }]);
            }
            Command::Import(origin) => self.found().map(|_| vec![Change::Imported(origin)])?,
            Command::Rename { display_name, default } => self.rename(display_name, default)?,
            Command::Describe(description) if self.found()?.description.as_ref() == description => vec![],
            Command::Describe(description) => vec![Change::Described(description)],
            Command::Tag { set, delete } => self.tag(set, delete)?,
            Command::Delete { principal, default } => self.delete(principal, default)?,
            Command::Number { versions_max, request } => self.number(versions_max, request)?,
            Command::NumberAs { version, versions_max, request } => self.number_as(version, versions_max, request)?,
            Command::DeleteVersion { version, default } => self.delete_version(version, default)?,
            Command::SetAlias { alias, version, default } => self.set_alias(alias, version, default)?,
            Command::RemoveAlias { alias, default } => self.remove_alias(alias, default)?,
            Command::Transition { version, stage, archive_existing, default } => {
                self.transition(version, stage, archive_existing, default)?
            }
            Command::SetTerms { terms, default, may_relax } => self.set_terms(terms, default, may_relax)?,
            Command::Request { promotion, moves, requester, comment, default, roles_position, now } => {
                let wish = promote::Wish { promotion, moves, requester, comment, roles_position, now };
                self.request(wish, default)?
            }
            Command::Approve { promotion, approver, comment, evidence, default, now } => {
                self.approve(&promotion, approver, comment, &evidence, default, now)?
            }
            Command::Reject { promotion, principal, comment, now } => {
                self.open(&promotion, now)?;
                vec![Change::Rejected { promotion, principal, comment }]
            }
            Command::Withdraw { promotion, principal, comment, now } => {
                if self.open(&promotion, now)?.requester != principal {
                    return Err(Rejection::NotOwn(promotion));
                }
                vec![Change::Withdrawn { promotion, principal, comment }]
            }
            Command::Complete { promotion, principal, evidence, default, now } => {
                self.complete(&promotion, principal, &evidence, default, now)?
            }
            Command::Bypass { moves, principal, justification } => self.bypass(moves, principal, justification)?,
        };
        let model = self.name()?;
        Ok(changes.into_iter().map(|change| Event { model: model.clone(), change }).collect())
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created { display_name, description, tags } => {
                *self = Self {
                    name: Some(event.model.clone()),
                    display_name: display_name.as_str().into(),
                    description: description.as_str().into(),
                    tags: Arc::new(tags.clone()),
                    last: self.last,
                    gone: self.last,
                    terms: self.terms.take(),
                    ended: Arc::clone(&self.ended),
                    ..Self::default()
                };
            }
            Change::Imported(_) => {}
            Change::Renamed { to, .. } => self.display_name = to.as_str().into(),
            Change::Described(description) => self.description = description.as_str().into(),
            Change::TagsSet(tags) => Arc::make_mut(&mut self.tags).extend(tags.clone()),
            Change::TagsDeleted(keys) => Arc::make_mut(&mut self.tags).retain(|key, _| !keys.contains(key)),
            Change::Deleted => self.is_deleted = true,
            Change::Numbered { version, .. } => {
                let next = self.last.0 + 1;
                if next < version.0 {
                    Arc::make_mut(&mut self.deleted).extend((next..version.0).map(Number));
                }
                self.last = *version;
            }
            Change::VersionDeleted(version) => {
                Arc::make_mut(&mut self.deleted).insert(*version);
                Arc::make_mut(&mut self.stages).remove(version);
            }
            Change::AliasMoved { alias, to, .. } => drop(Arc::make_mut(&mut self.aliases).insert(alias.clone(), *to)),
            Change::AliasRemoved { alias, .. } => drop(Arc::make_mut(&mut self.aliases).remove(alias)),
            Change::StageMoved { version, to, .. } => {
                let stages = Arc::make_mut(&mut self.stages);
                match to {
                    Stage::None => stages.remove(version),
                    to => stages.insert(*version, *to),
                };
            }
            Change::TermsSet { terms, .. } => self.terms = Some(Arc::clone(terms)),
            Change::Requested {
                promotion, moves, requester, terms, roles_position, request_time, expire_time, ..
            } => {
                let open = Promotion {
                    moves: moves.clone(),
                    requester: requester.clone(),
                    terms: Arc::clone(terms),
                    roles_position: *roles_position,
                    request_time: *request_time,
                    expire_time: *expire_time,
                    approvers: vec![],
                };
                self.forget_expired(*request_time);
                Arc::make_mut(&mut self.promotions).insert(promotion.clone(), Arc::new(open));
            }
            Change::Approved { promotion, approver, .. } => {
                if let Some(open) = Arc::make_mut(&mut self.promotions).get_mut(promotion) {
                    Arc::make_mut(open).approvers.push(approver.clone());
                }
            }
            Change::Rejected { promotion, .. } => self.end(promotion, End::Rejected),
            Change::Withdrawn { promotion, .. } => self.end(promotion, End::Withdrawn),
            Change::Completed { promotion, .. } => self.end(promotion, End::Completed),
            Change::Bypassed { .. } => {}
        }
    }
}

impl Model {
    /// Its name, if it exists.
    pub fn name(&self) -> Result<&ModelName, Rejection> {
        match &self.name {
            Some(name) if !self.is_deleted => Ok(name),
            _ => Err(Rejection::NotFound),
        }
    }

    /// Whether there was one, even if it is deleted.
    pub fn is_known(&self) -> bool {
        self.name.is_some()
    }

    /// The last number given to a version.
    pub fn last(&self) -> Number {
        self.last
    }

    /// Which version each alias points at.
    pub fn aliases(&self) -> &BTreeMap<Alias, Number> {
        &self.aliases
    }

    /// Its own policy.
    pub fn terms(&self) -> Option<&Arc<Terms>> {
        self.terms.as_ref()
    }

    /// The policy in force: its own, else its project's, else that nothing is protected.
    pub fn terms_in_force(&self, default: Option<&Arc<Terms>>) -> Arc<Terms> {
        self.terms.as_ref().or(default).cloned().unwrap_or_default()
    }

    fn found(&self) -> Result<&Self, Rejection> {
        self.name()?;
        Ok(self)
    }

    /// What its own policy protects would be had under the old name by whoever registers that next.
    fn rename(&self, to: String, default: Option<Arc<Terms>>) -> Result<Vec<Change>, Rejection> {
        let current = self.found()?;
        if current.display_name.as_ref() == to {
            return Ok(vec![]);
        }
        self.guard_held(default.as_ref())?;
        if let Some(target) = self.terms.as_ref().and_then(|terms| protected(terms)) {
            return Err(self.refuse(target));
        }
        Ok(vec![Change::Renamed { from: current.display_name.to_string(), to }])
    }

    fn tag(&self, set: BTreeMap<String, String>, delete: Vec<String>) -> Result<Vec<Change>, Rejection> {
        let (tags, keys) = changes(&self.found()?.tags, set, delete);
        if count_after(&self.tags, &tags, &keys) > ENTRIES_MAX {
            return Err(Rejection::Full { what: "tags", limit: ENTRIES_MAX });
        }
        let mut changes = vec![];
        if !tags.is_empty() {
            changes.push(Change::TagsSet(tags));
        }
        if !keys.is_empty() {
            changes.push(Change::TagsDeleted(keys));
        }
        Ok(changes)
    }

    fn delete(&self, principal: String, default: Option<Arc<Terms>>) -> Result<Vec<Change>, Rejection> {
        self.found()?.guard_held(default.as_ref())?;
        let comment = "the model was deleted".to_owned();
        let mut changes: Vec<Change> = self
            .promotions
            .keys()
            .map(|promotion| Change::Rejected {
                promotion: promotion.clone(),
                principal: principal.clone(),
                comment: comment.clone(),
            })
            .collect();
        changes.push(Change::Deleted);
        Ok(changes)
    }

    /// Refuses what a promotion alone may move.
    fn guard(&self, default: Option<&Arc<Terms>>, target: Target) -> Result<(), Rejection> {
        match self.terms_in_force(default).protects(&target) {
            true => Err(self.refuse(target)),
            false => Ok(()),
        }
    }

    /// Refuses what would take away everything at once, while any of it is protected.
    fn guard_held(&self, default: Option<&Arc<Terms>>) -> Result<(), Rejection> {
        for alias in self.aliases.keys() {
            self.guard(default, Target::Alias(alias.clone()))?;
        }
        let stages: BTreeSet<Stage> = self.stages.values().copied().collect();
        stages.into_iter().try_for_each(|stage| self.guard(default, Target::Stage(stage)))
    }

    fn refuse(&self, target: Target) -> Rejection {
        match self.name() {
            Ok(model) => Rejection::Protected { model: model.clone(), target },
            Err(rejection) => rejection,
        }
    }
}

/// Something that a policy protects.
fn protected(terms: &Terms) -> Option<Target> {
    let alias = terms.aliases.first().cloned().map(Target::Alias);
    alias.or_else(|| terms.stages.first().copied().map(Target::Stage))
}
