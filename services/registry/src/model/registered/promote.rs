use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_kernel::{Aggregate, Position, Time};

use super::versions::archived;
use super::{Change, End, Event, Model, Rejection, Stage, Target, Terms};
use crate::model::entry::{ALIASES_MAX, MOVES_MAX, OPEN_PROMOTIONS_MAX};
use crate::model::{Approver, Evidence, Move, Number, Promotion, Unmet};

/// A promotion somebody asks for.
pub(super) struct Wish {
    pub promotion: String,
    pub moves: Vec<Move>,
    pub requester: String,
    pub comment: String,
    pub roles_position: Position,
    pub now: Time,
}

impl Model {
    /// A promotion that waits.
    pub fn promotion(&self, promotion: &str) -> Option<&Arc<Promotion>> {
        self.promotions.get(promotion)
    }

    /// The promotion of somebody who asked for just this, if it still waits: asking again changes nothing.
    pub fn asked(&self, moves: &[Move], requester: &str, now: Time) -> Option<&str> {
        let is_same = |open: &Promotion| open.moves == moves && open.requester == requester && !open.is_expired(now);
        self.promotions.iter().find(|(_, open)| is_same(open)).map(|(id, _)| id.as_str())
    }

    /// What a promotion needs and has not.
    pub fn unmet(&self, open: &Promotion, evidence: &Evidence, default: Option<&Arc<Terms>>, now: Time) -> Vec<Unmet> {
        let mut unmet = open.missing(evidence, now);
        unmet.extend(self.obstacles(&open.moves));
        if *self.terms_in_force(default) != *open.terms {
            unmet.push(Unmet::PolicyChanged);
        }
        unmet
    }

    pub(super) fn open(&self, promotion: &str, now: Time) -> Result<&Arc<Promotion>, Rejection> {
        self.name()?;
        let ended = |how| Rejection::Ended { promotion: promotion.to_owned(), how };
        match (self.promotions.get(promotion), self.ended.get(promotion)) {
            (_, Some(end)) => Err(ended(*end)),
            (Some(open), None) if open.is_expired(now) => Err(ended(End::Expired)),
            (Some(open), None) => Ok(open),
            (None, None) => Err(Rejection::PromotionNotFound(promotion.to_owned())),
        }
    }

    pub(super) fn end(&mut self, promotion: &str, how: End) {
        Arc::make_mut(&mut self.promotions).remove(promotion);
        Arc::make_mut(&mut self.ended).insert(promotion.to_owned(), how);
    }

    /// Makes room: what has expired can never move anything.
    pub(super) fn forget_expired(&mut self, now: Time) {
        let expired = |open: &Arc<Promotion>| open.is_expired(now);
        if !self.promotions.values().any(expired) {
            return;
        }
        let ids: Vec<String> =
            self.promotions.iter().filter(|(_, open)| expired(open)).map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| self.end(id, End::Expired));
    }

    pub(super) fn set_terms(
        &self,
        terms: Arc<Terms>,
        default: Option<Arc<Terms>>,
        may_relax: bool,
    ) -> Result<Vec<Change>, Rejection> {
        self.name()?;
        if self.terms.as_ref() == Some(&terms) {
            return Ok(vec![]);
        }
        let is_relaxed = !terms.ask_no_less_than(&self.terms_in_force(default.as_ref()));
        // Where nothing was protected there is nothing to ask less for.
        let is_relaxed = is_relaxed && (self.terms.is_some() || default.is_some());
        if is_relaxed && !may_relax {
            return Err(Rejection::PolicyRelaxed);
        }
        Ok(vec![Change::TermsSet { terms, is_relaxed }])
    }

    pub(super) fn request(&self, wish: Wish, default: Option<Arc<Terms>>) -> Result<Vec<Change>, Rejection> {
        let Wish { promotion, moves, requester, comment, roles_position, now } = wish;
        self.check(&moves)?;
        if self.asked(&moves, &requester, now).is_some() {
            return Ok(vec![]);
        }
        if self.promotions.values().filter(|open| !open.is_expired(now)).count() >= OPEN_PROMOTIONS_MAX {
            return Err(Rejection::Full { what: "promotions that wait", limit: OPEN_PROMOTIONS_MAX });
        }
        let terms = self.terms_in_force(default.as_ref());
        let expire_time = now.after(terms.lifetime);
        Ok(vec![Change::Requested {
            promotion,
            moves,
            requester,
            comment,
            terms,
            roles_position,
            request_time: now,
            expire_time,
        }])
    }

    pub(super) fn approve(
        &self,
        promotion: &str,
        approver: Approver,
        comment: String,
        evidence: &Evidence,
        default: Option<Arc<Terms>>,
        now: Time,
    ) -> Result<Vec<Change>, Rejection> {
        let open = self.open(promotion, now)?;
        if open.requester == approver.principal {
            return Err(Rejection::Own(promotion.to_owned()));
        }
        if open.approvers.contains(&approver.principal) {
            return Ok(vec![]);
        }
        if *self.terms_in_force(default.as_ref()) != *open.terms {
            return Err(Rejection::PolicyChanged(promotion.to_owned()));
        }
        let (role, role_position) = counting_role(open, &approver)?;
        let principal = approver.principal;
        let mut changes = vec![Change::Approved {
            promotion: promotion.to_owned(),
            approver: principal.clone(),
            role,
            role_position,
            comment,
        }];
        let mut after = Promotion::clone(open);
        after.approvers.push(principal.clone());
        if self.unmet(&after, evidence, default.as_ref(), now).is_empty() {
            changes.extend(self.carried_out(&after.moves)?);
            let signatures = after.signatures(evidence);
            changes.push(Change::Completed { promotion: promotion.to_owned(), principal, signatures });
        }
        Ok(changes)
    }

    pub(super) fn complete(
        &self,
        promotion: &str,
        principal: String,
        evidence: &Evidence,
        default: Option<Arc<Terms>>,
        now: Time,
    ) -> Result<Vec<Change>, Rejection> {
        let open = self.open(promotion, now)?;
        let unmet = self.unmet(open, evidence, default.as_ref(), now);
        if !unmet.is_empty() {
            return Err(Rejection::Unmet { promotion: promotion.to_owned(), unmet });
        }
        let mut changes = self.carried_out(&open.moves)?;
        let signatures = open.signatures(evidence);
        changes.push(Change::Completed { promotion: promotion.to_owned(), principal, signatures });
        Ok(changes)
    }

    pub(super) fn bypass(
        &self,
        moves: Vec<Move>,
        principal: String,
        justification: String,
    ) -> Result<Vec<Change>, Rejection> {
        self.check(&moves)?;
        let steps = self.carried_out(&moves)?;
        let mut changes = vec![Change::Bypassed { moves, principal, justification }];
        changes.extend(steps);
        Ok(changes)
    }

    /// Judges what is to move, before anybody is bothered with it.
    fn check(&self, moves: &[Move]) -> Result<(), Rejection> {
        self.name()?;
        let invalid = |problem: &str| Err(Rejection::Moves(problem.to_owned()));
        if moves.is_empty() || moves.len() > MOVES_MAX {
            return invalid(&format!("there must be 1 to {MOVES_MAX} of them"));
        }
        let (mut aliases, mut staged) = (BTreeSet::new(), BTreeSet::new());
        for step in moves {
            self.version(step.version)?;
            match &step.target {
                Target::Alias(alias) if !aliases.insert(alias) => {
                    return invalid(&format!("alias {alias} stands there twice"));
                }
                Target::Stage(_) if !staged.insert(step.version) => {
                    return invalid(&format!("version {} cannot go to two stages", step.version));
                }
                _ => {}
            }
        }
        match self.obstacles(moves).into_iter().next() {
            Some(Unmet::StageMove { version, from, to }) => Err(Rejection::StageMove { version, from, to }),
            _ => Ok(()),
        }
    }

    /// What of the model itself stands in the way of moves.
    fn obstacles(&self, moves: &[Move]) -> Vec<Unmet> {
        let mut unmet = vec![];
        for Move { version, target } in moves {
            if !self.has(*version) {
                unmet.push(Unmet::VersionGone(*version));
                continue;
            }
            if let Target::Stage(to) = *target {
                let from = self.stage(*version);
                if from != to && !from.leads_to(to) {
                    unmet.push(Unmet::StageMove { version: *version, from, to });
                }
            }
        }
        unmet
    }

    /// The moves, and the retirement of those whose places are taken, as one list of events.
    fn carried_out(&self, moves: &[Move]) -> Result<Vec<Change>, Rejection> {
        let mut after = self.clone();
        let model = self.name()?.clone();
        let mut changes = vec![];
        let mut push = |after: &mut Self, change: Change| {
            after.evolve(&Event { model: model.clone(), change: change.clone() });
            changes.push(change);
        };
        let mut former = BTreeSet::new();
        for Move { version, target } in moves {
            match target {
                Target::Alias(alias) => {
                    let from = after.aliases.get(alias).copied();
                    if from == Some(*version) {
                        continue;
                    }
                    if from.is_none() && after.aliases.len() >= ALIASES_MAX {
                        return Err(Rejection::Full { what: "aliases", limit: ALIASES_MAX });
                    }
                    former.extend(from);
                    push(&mut after, Change::AliasMoved { alias: alias.clone(), from, to: *version });
                }
                Target::Stage(to) => {
                    let from = after.stage(*version);
                    if from != *to {
                        push(&mut after, Change::StageMoved { version: *version, from, to: *to });
                    }
                    if to.is_active() {
                        former.extend(after.others_in(*to, *version));
                    }
                }
            }
        }
        let promoted: BTreeSet<Number> = moves.iter().map(|step| step.version).collect();
        for version in former.difference(&promoted) {
            let is_still_used = after.aliases.values().any(|held| held == version);
            let from = after.stage(*version);
            if !is_still_used && from.leads_to(Stage::Archived) {
                push(&mut after, archived(*version, from));
            }
        }
        Ok(changes)
    }
}

/// The role that an approval counts for.
///
/// INVARIANT: it was given no later than the promotion was asked for, so that nobody becomes an approver of what already
/// waits.
fn counting_role(open: &Promotion, approver: &Approver) -> Result<(String, Position), Rejection> {
    let roles = || open.terms.roles.iter().cloned().collect::<Vec<_>>();
    if !approver.is_person && !open.terms.programs_approve {
        return Err(Rejection::NotAPerson(approver.principal.clone()));
    }
    let counting = approver.held.iter().filter(|(role, _)| open.terms.roles.contains(role));
    match counting.min_by_key(|(_, since)| *since) {
        Some((role, since)) if *since <= open.roles_position => Ok((role.clone(), *since)),
        Some((role, _)) => Err(Rejection::RoleTooRecent { principal: approver.principal.clone(), role: role.clone() }),
        None => Err(Rejection::RoleMissing { principal: approver.principal.clone(), roles: roles() }),
    }
}
