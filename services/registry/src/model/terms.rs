use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::promotion::Target;
use super::{Alias, Stage};

/// How long a promotion waits, unless its policy says otherwise.
pub const LIFETIME: Duration = Duration::from_hours(7 * 24);
/// Whose approval counts, unless the policy says otherwise.
pub const APPROVERS: [&str; 3] = ["roles/admin", "roles/approver", "roles/manager"];

/// What promotions need.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Stages that only a promotion moves versions into or out of.
    pub stages: BTreeSet<Stage>,
    /// Aliases that only a promotion moves.
    pub aliases: BTreeSet<Alias>,
    /// How many must approve, beside who asks. At least one.
    pub approvals: u32,
    /// Roles whose holders may approve.
    pub roles: BTreeSet<String>,
    pub thresholds: Vec<Threshold>,
    /// Whether every version must be signed by a key that is trusted when it moves.
    pub needs_signature: bool,
    /// How long nothing moves after it was asked for.
    pub calm: Duration,
    /// How long a promotion waits.
    pub lifetime: Duration,
    pub programs_approve: bool,
}

/// What a metric must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    pub metric: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// Nothing is protected; who asks for a promotion all the same needs one more person.
impl Default for Terms {
    fn default() -> Self {
        Self {
            stages: BTreeSet::new(),
            aliases: BTreeSet::new(),
            approvals: 1,
            roles: APPROVERS.map(str::to_owned).into(),
            thresholds: vec![],
            needs_signature: false,
            calm: Duration::ZERO,
            lifetime: LIFETIME,
            programs_approve: false,
        }
    }
}

impl Terms {
    /// Whether only a promotion moves this.
    pub fn protects(&self, target: &Target) -> bool {
        match target {
            Target::Alias(alias) => self.aliases.contains(alias),
            Target::Stage(stage) => self.stages.contains(stage),
        }
    }

    /// Whether anything is moved by promotions only.
    pub fn protects_anything(&self) -> bool {
        !self.stages.is_empty() || !self.aliases.is_empty()
    }

    /// Whether these ask for no less than `other`.
    pub fn ask_no_less_than(&self, other: &Self) -> bool {
        let is_covered =
            |old: &Threshold| self.thresholds.iter().any(|new| new.metric == old.metric && new.asks_no_less_than(old));
        self.stages.is_superset(&other.stages)
            && self.aliases.is_superset(&other.aliases)
            && self.approvals >= other.approvals
            && self.roles.is_subset(&other.roles)
            && other.thresholds.iter().all(is_covered)
            && (self.needs_signature || !other.needs_signature)
            && self.calm >= other.calm
            && self.lifetime <= other.lifetime
            && (other.programs_approve || !self.programs_approve)
    }
}

impl Threshold {
    /// Whether a version with these metrics passes. One that is missing, or not a number, does not.
    pub fn is_met(&self, metrics: &BTreeMap<String, f64>) -> bool {
        metrics.get(&self.metric).is_some_and(|value| {
            !value.is_nan() && self.min.is_none_or(|min| *value >= min) && self.max.is_none_or(|max| *value <= max)
        })
    }

    fn asks_no_less_than(&self, other: &Self) -> bool {
        other.min.is_none_or(|old| self.min.is_some_and(|new| new >= old))
            && other.max.is_none_or(|old| self.max.is_some_and(|new| new <= old))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> Terms {
        Terms {
            stages: [Stage::Production].into(),
            aliases: ["champion".parse().unwrap()].into(),
            approvals: 2,
            roles: ["roles/manager".to_owned()].into(),
            thresholds: vec![Threshold { metric: "auc".into(), min: Some(0.9), max: None }],
            needs_signature: true,
            calm: Duration::from_secs(60),
            ..Terms::default()
        }
    }

    #[test]
    fn whatever_is_taken_from_a_policy_makes_it_ask_for_less() {
        assert!(strict().ask_no_less_than(&strict()));
        assert!(strict().ask_no_less_than(&Terms::default()));
        let weaker: Vec<fn(&mut Terms)> = vec![
            |terms| terms.stages.clear(),
            |terms| terms.aliases.clear(),
            |terms| terms.approvals = 1,
            |terms| terms.roles.extend(["roles/editor".to_owned()]),
            |terms| terms.thresholds[0].min = Some(0.8),
            |terms| terms.thresholds[0] = Threshold { metric: "auc".into(), min: None, max: Some(1.0) },
            |terms| terms.thresholds.clear(),
            |terms| terms.needs_signature = false,
            |terms| terms.calm = Duration::ZERO,
            |terms| terms.lifetime *= 2,
            |terms| terms.programs_approve = true,
        ];
        for (at, weaken) in weaker.into_iter().enumerate() {
            let mut terms = strict();
            weaken(&mut terms);
            assert!(!terms.ask_no_less_than(&strict()), "number {at} was not noticed");
        }
    }

    #[test]
    fn a_metric_passes_between_its_bounds_only() {
        let threshold = Threshold { metric: "auc".into(), min: Some(0.5), max: Some(0.9) };
        let met = |value: f64| threshold.is_met(&[("auc".to_owned(), value)].into());
        assert!(met(0.5) && met(0.9) && !met(0.4) && !met(0.91) && !met(f64::NAN));
        assert!(!threshold.is_met(&BTreeMap::new()));
    }
}
