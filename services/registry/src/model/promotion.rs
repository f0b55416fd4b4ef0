//! A wish that versions take aliases or stages, and what still stands in its way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cairn_kernel::{Position, Revision, Time};

use super::signing::{Trust, TrustedBy};
use super::version::{Facts, SignatureCheck};
use super::{Alias, Number, PolicyScope, Stage, Terms};

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

/// What of versions and keys a promotion is held against.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What the versions are, which never changes once they are registered.
    pub facts: Arc<BTreeMap<Number, Arc<Facts>>>,
    /// Whose signatures count at this moment, which may change at the next.
    pub trust: Trust,
}

/// A signature that a promotion rests on, and which event of whose policy made its key count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedSignature {
    pub version: Number,
    pub fingerprint: String,
    pub trusted_by: PolicyScope,
    pub policy_revision: Revision,
}

/// Why no signature of a version counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// It was registered before signatures were looked for.
    Unnoted,
    Absent,
    /// Nobody trusted its key when it was verified, and it is not verified again.
    Untrusted,
    /// The key is trusted no longer.
    Withdrawn {
        key: String,
        fingerprint: String,
    },
}

/// Something that a promotion needs and has not.
#[derive(Clone, Debug, PartialEq)]
pub enum Unmet {
    Approvals { have: usize, need: u32 },
    Metric { version: Number, metric: String },
    Signature { version: Number, why: Uncounted },
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

    /// What of approvals, metrics, signatures and calm is missing.
    pub(crate) fn missing(&self, evidence: &Evidence, now: Time) -> Vec<Unmet> {
        let mut unmet = vec![];
        if self.approvers.len() < self.terms.approvals as usize {
            unmet.push(Unmet::Approvals { have: self.approvers.len(), need: self.terms.approvals });
        }
        let none = Arc::default();
        for version in self.versions() {
            let metrics = &evidence.facts.get(&version).unwrap_or(&none).metrics;
            let failed = self.terms.thresholds.iter().filter(|threshold| !threshold.is_met(metrics));
            unmet.extend(failed.map(|threshold| Unmet::Metric { version, metric: threshold.metric.clone() }));
            if self.terms.needs_signature
                && let Err(why) = evidence.signature(version)
            {
                unmet.push(Unmet::Signature { version, why });
            }
        }
        let calm = self.request_time.after(self.terms.calm);
        if now < calm {
            unmet.push(Unmet::CalmUntil(calm));
        }
        unmet
    }

    /// The signatures that it rests on: none, where its terms demand none.
    pub(crate) fn signatures(&self, evidence: &Evidence) -> Vec<CountedSignature> {
        let demanded = self.versions().into_iter().filter(|_| self.terms.needs_signature);
        demanded.filter_map(|version| evidence.signature(version).ok()).collect()
    }

    /// What is to move, each once.
    fn versions(&self) -> BTreeSet<Number> {
        self.moves.iter().map(|step| step.version).collect()
    }
}

impl Evidence {
    /// The signature of a version, if its key is trusted at this moment. That it was trusted once is not enough: a key is
    /// taken from a policy because it is to vouch for nothing any more.
    fn signature(&self, version: Number) -> Result<CountedSignature, Uncounted> {
        let (key, fingerprint) = match self.facts.get(&version).map(|facts| &facts.signature_check) {
            Some(SignatureCheck::Verified { key, fingerprint, .. }) => (key, fingerprint),
            Some(SignatureCheck::Untrusted { .. }) => return Err(Uncounted::Untrusted),
            Some(SignatureCheck::Absent) => return Err(Uncounted::Absent),
            Some(SignatureCheck::Unnoted) | None => return Err(Uncounted::Unnoted),
        };
        match self.trust.of(fingerprint) {
            Some(TrustedBy { scope, revision }) => Ok(CountedSignature {
                version,
                fingerprint: fingerprint.clone(),
                trusted_by: scope.clone(),
                policy_revision: *revision,
            }),
            None => Err(Uncounted::Withdrawn { key: key.clone(), fingerprint: fingerprint.clone() }),
        }
    }
}

impl Unmet {
    /// What sort of condition it is, as callers are told.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Approvals { .. } => "APPROVALS",
            Self::Metric { .. } => "METRIC",
            Self::Signature { .. } => "SIGNATURE",
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
            Self::Signature { version, why } => write!(f, "version {version} has no signature that counts: {why}"),
            Self::CalmUntil(time) => write!(f, "nothing moves before {time}"),
            Self::VersionGone(version) => write!(f, "version {version} is deleted"),
            Self::StageMove { version, from, to } => write!(f, "version {version} does not go from {from} to {to}"),
            Self::PolicyChanged => f.write_str("the policy is another than when it was asked for"),
        }
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unnoted => f.write_str("nobody looked for one when it was registered"),
            Self::Absent => f.write_str("it is not signed"),
            Self::Untrusted => f.write_str("nobody trusted its key when it was registered"),
            Self::Withdrawn { key, fingerprint } => write!(f, "key {key} ({fingerprint}) is trusted no longer"),
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
