//! A wish that versions take aliases or stages, and what still stands in its way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cairn_kernel::{Position, Time};

use super::{Alias, Number, Stage, Terms};

/// What a version can take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Alias(Alias),
    Stage(Stage),
}

/// A version, and what it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub version: Number,
    pub target: Target,
}

/// A promotion that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    pub moves: Vec<Move>,
    pub requester: String,
    /// The policy in force when it was asked for.
    pub terms: Arc<Terms>,
    /// Roles given after this position of the log do not count.
    pub roles_position: Position,
    pub request_time: Time,
    pub expire_time: Time,
    /// Who approved it. Never who asked.
    pub approvers: Vec<String>,
}

/// Somebody who would approve, and the roles they hold on the model now, each since where in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approver {
    pub principal: String,
    pub is_person: bool,
    pub held: Vec<(String, Position)>,
}

/// The metrics of versions, which never change once a version is registered.
pub type Evidence = Arc<BTreeMap<Number, Arc<BTreeMap<String, f64>>>>;

/// Something that a promotion needs and has not.
#[derive(Clone, Debug, PartialEq)]
pub enum Unmet {
    Approvals { have: usize, need: u32 },
    Metric { version: Number, metric: String },
    CalmUntil(Time),
    VersionGone(Number),
    StageMove { version: Number, from: Stage, to: Stage },
    PolicyChanged,
}

impl Promotion {
    /// Whether its time has run out.
    pub fn is_expired(&self, now: Time) -> bool {
        now >= self.expire_time
    }

    /// What of approvals, metrics and calm is missing.
    pub(crate) fn missing(&self, evidence: &Evidence, now: Time) -> Vec<Unmet> {
        let mut unmet = vec![];
        if self.approvers.len() < self.terms.approvals as usize {
            unmet.push(Unmet::Approvals { have: self.approvers.len(), need: self.terms.approvals });
        }
        let none = Arc::default();
        let mut versions: Vec<Number> = self.moves.iter().map(|step| step.version).collect();
        versions.sort_unstable();
        versions.dedup();
        for version in versions {
            let metrics = evidence.get(&version).unwrap_or(&none);
            let failed = self.terms.thresholds.iter().filter(|threshold| !threshold.is_met(metrics));
            unmet.extend(failed.map(|threshold| Unmet::Metric { version, metric: threshold.metric.clone() }));
        }
        let calm = self.request_time.after(self.terms.calm);
        if now < calm {
            unmet.push(Unmet::CalmUntil(calm));
        }
        unmet
    }
}

impl Unmet {
    /// What sort of condition it is, as callers are told.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Approvals { .. } => "APPROVALS",
            Self::Metric { .. } => "METRIC",
            Self::CalmUntil(_) => "CALM_PERIOD",
            Self::VersionGone(_) => "VERSION",
            Self::StageMove { .. } => "STAGE",
            Self::PolicyChanged => "POLICY",
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approvals { have, need } => write!(f, "{have} of {need} approvals"),
            Self::Metric { version, metric } => write!(f, "metric {metric:?} of version {version} is not as demanded"),
            Self::CalmUntil(time) => write!(f, "nothing moves before {time}"),
            Self::VersionGone(version) => write!(f, "version {version} is deleted"),
            Self::StageMove { version, from, to } => write!(f, "version {version} does not go from {from} to {to}"),
            Self::PolicyChanged => f.write_str("the policy is another than when it was asked for"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alias(alias) => write!(f, "alias {alias}"),
            Self::Stage(stage) => write!(f, "stage {stage}"),
        }
    }
}
