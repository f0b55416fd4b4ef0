//! What promotions need and move, in the contract's words: stored so and told so.

use std::time::Duration;

use cairn_contract::cairn::registry::v1 as proto;

use crate::model::{Alias, Move, Number, Stage, Target, Terms, Threshold};

impl From<Stage> for proto::Stage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::None => Self::None,
            Stage::Staging => Self::Staging,
            Stage::Production => Self::Production,
            Stage::Archived => Self::Archived,
        }
    }
}

/// Stored events: unspecified is none.
impl From<proto::Stage> for Stage {
    fn from(stage: proto::Stage) -> Self {
        match stage {
            proto::Stage::Unspecified | proto::Stage::None => Self::None,
            proto::Stage::Staging => Self::Staging,
            proto::Stage::Production => Self::Production,
            proto::Stage::Archived => Self::Archived,
        }
    }
}

/// A stage's number in the contract.
pub fn stage_number(stage: Stage) -> i32 {
    proto::Stage::from(stage).into()
}

/// A stored stage.
pub fn stage(number: i32) -> Stage {
    proto::Stage::try_from(number).unwrap_or_default().into()
}

pub fn encode(terms: &Terms) -> proto::PromotionTerms {
    let threshold = |threshold: &Threshold| proto::MetricThreshold {
        metric: threshold.metric.clone(),
        min: threshold.min,
        max: threshold.max,
    };
    proto::PromotionTerms {
        protected_stages: terms.stages.iter().copied().map(stage_number).collect(),
        protected_aliases: terms.aliases.iter().map(ToString::to_string).collect(),
        approvals_required: terms.approvals,
        approver_roles: terms.roles.iter().cloned().collect(),
        metric_thresholds: terms.thresholds.iter().map(threshold).collect(),
        calm_period: Some(duration(terms.calm)),
        request_lifetime: Some(duration(terms.lifetime)),
        service_accounts_may_approve: terms.programs_approve,
        trusted_signature_required: terms.needs_signature,
    }
}

/// Reads stored terms, without judging them.
pub fn decode(terms: proto::PromotionTerms) -> Terms {
    let threshold = |threshold: proto::MetricThreshold| Threshold {
        metric: threshold.metric,
        min: threshold.min,
        max: threshold.max,
    };
    Terms {
        stages: terms.protected_stages.iter().copied().map(stage).collect(),
        aliases: terms.protected_aliases.into_iter().map(Alias::stored).collect(),
        approvals: terms.approvals_required,
        roles: terms.approver_roles.into_iter().collect(),
        thresholds: terms.metric_thresholds.into_iter().map(threshold).collect(),
        needs_signature: terms.trusted_signature_required,
        calm: terms.calm_period.map(from_duration).unwrap_or_default(),
        lifetime: terms.request_lifetime.map(from_duration).unwrap_or_default(),
        programs_approve: terms.service_accounts_may_approve,
    }
}

pub fn encode_moves(moves: &[Move]) -> Vec<proto::PromotionMove> {
    use proto::promotion_move::Target as To;
    let step = |step: &Move| proto::PromotionMove {
        version: step.version.0,
        target: Some(match &step.target {
            Target::Alias(alias) => To::Alias(alias.to_string()),
            Target::Stage(stage) => To::Stage(stage_number(*stage)),
        }),
    };
    moves.iter().map(step).collect()
}

/// Reads stored moves. One without a target cannot have been stored.
pub fn decode_moves(moves: Vec<proto::PromotionMove>) -> Vec<Move> {
    use proto::promotion_move::Target as To;
    let step = |step: proto::PromotionMove| {
        let target = match step.target? {
            To::Alias(alias) => Target::Alias(Alias::stored(alias)),
            To::Stage(number) => Target::Stage(stage(number)),
        };
        Some(Move { version: Number(step.version), target })
    };
    moves.into_iter().filter_map(step).collect()
}

pub fn duration(duration: Duration) -> prost_types::Duration {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    prost_types::Duration { seconds: i64::try_from(seconds).unwrap_or(i64::MAX), nanos: nanos as i32 }
}

/// A length of time; less than none is none.
pub fn from_duration(duration: prost_types::Duration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
