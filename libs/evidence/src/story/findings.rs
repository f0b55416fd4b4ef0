use std::collections::BTreeSet;
use std::time::Duration;

use cairn_contract::cairn::registry::events::v1::{
    AliasMoved, DefaultPolicySet, ModelVersionCreated, PromotionPolicySet, StageMoved,
};
use cairn_contract::cairn::registry::v1::{PromotionTerms, promotion_move::Target};
use cairn_kernel::Time;
use serde::{Deserialize, Serialize};

use super::held::Claim;
use super::promotion::{Approval, Asked, Promotion};
use super::signature;
use super::version::Version;
use crate::event::Event;

/// A rule, and whether it was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    pub rule: String,
    pub holds: bool,
    /// What it was judged by.
    pub why: String,
}

/// Judges a promotion by the rules, whatever the registry may have thought. What has not been carried out has nothing to
/// be judged but its request.
pub(super) fn judge(promotion: &Promotion, asked: &Asked, versions: &[Version], events: &[Event]) -> Vec<Finding> {
    let terms = asked.request.terms.clone().unwrap_or_default();
    let mut findings = vec![policy(promotion, &terms, asked.position, events), four_eyes(promotion)];
    if promotion.state == "COMPLETED" {
        findings.push(enough(promotion));
        findings.extend(promotion.approvals.iter().map(|approval| role(promotion, approval, asked, events)));
        findings.extend(thresholds(&terms, versions, events));
        findings.extend(signatures(promotion, &terms, versions, events));
        findings.push(calm(promotion, &terms));
        findings.push(moved(promotion, asked, events));
    }
    findings
}

fn finding(rule: &str, holds: bool, why: impl Into<String>) -> Finding {
    Finding { rule: rule.to_owned(), holds, why: why.into() }
}

/// The terms are those that were in force when it was asked for.
fn policy(promotion: &Promotion, terms: &PromotionTerms, asked_at: u64, events: &[Event]) -> Finding {
    let rule = "the request names the policy in force";
    let before = || events.iter().filter(|event| event.position < asked_at).rev();
    let own = before().find_map(|event| {
        event.message::<PromotionPolicySet>().filter(|set| set.model == promotion.model).map(|set| (event, set.terms))
    });
    let project = promotion.model.split("/models/").next().unwrap_or_default();
    let default = || {
        before().find_map(|event| {
            event.message::<DefaultPolicySet>().filter(|set| set.project == project).map(|set| (event, set.terms))
        })
    };
    match own.or_else(default) {
        Some((event, in_force)) => {
            let holds = in_force.unwrap_or_default() == *terms;
            finding(rule, holds, format!("set at position {} by {}", event.position, event.principal))
        }
        // Whether one was left out of the pack, only the whole log can tell.
        None => {
            let holds = terms.approvals_required >= 1;
            finding(rule, holds, "none is in the pack: one more person, at least, has to agree")
        }
    }
}

fn four_eyes(promotion: &Promotion) -> Finding {
    let own = promotion.approvals.iter().any(|approval| approval.approver == promotion.requester);
    finding("nobody agrees to what they asked for", !own, format!("{} asked", promotion.requester))
}

fn enough(promotion: &Promotion) -> Finding {
    let people: BTreeSet<&str> = promotion.approvals.iter().map(|approval| approval.approver.as_str()).collect();
    let holds = people.len() >= promotion.approvals_required as usize;
    finding("enough have agreed", holds, format!("{} of {}", people.len(), promotion.approvals_required))
}

/// Who agreed held the role when it was asked for, and still when they agreed.
fn role(promotion: &Promotion, approval: &Approval, asked: &Asked, events: &[Event]) -> Finding {
    let Approval { approver, role, role_position, .. } = approval;
    let rule = format!("{approver} held {role} when it was asked for");
    let told = Claim { approval, model: &promotion.model, events }.told();
    let in_time = *role_position <= asked.request.roles_position;
    let holds = told.is_some() && in_time;
    let why =
        told.unwrap_or_else(|| format!("the events do not tell that they held it since position {role_position}"));
    finding(&rule, holds, why)
}

fn thresholds(terms: &PromotionTerms, versions: &[Version], events: &[Event]) -> Vec<Finding> {
    let metrics = |version: &Version| {
        let created = events.iter().filter_map(|event| event.message::<ModelVersionCreated>());
        created.into_iter().find(|told| told.version == version.name).map(|told| told.metrics).unwrap_or_default()
    };
    let mut findings = vec![];
    for version in versions {
        let metrics = metrics(version);
        for threshold in &terms.metric_thresholds {
            let value = metrics.get(&threshold.metric).copied();
            let holds = value.is_some_and(|value| {
                threshold.min.is_none_or(|min| value >= min) && threshold.max.is_none_or(|max| value <= max)
            });
            let why = value.map_or("the version has none".to_owned(), |value| format!("it is {value}"));
            findings.push(finding(
                &format!("{}: {} is as the policy wants it", version.name, threshold.metric),
                holds,
                why,
            ));
        }
    }
    findings
}

/// Every version was signed by a key that was trusted when it moved, where the terms demand it.
fn signatures(promotion: &Promotion, terms: &PromotionTerms, versions: &[Version], events: &[Event]) -> Vec<Finding> {
    let demanded = versions.iter().filter(|_| terms.trusted_signature_required);
    let judged = demanded.map(|version| {
        let rule = format!("{} is signed by a key that was trusted when it moved", version.name);
        let counted = signature::counted(promotion, &version.name, events);
        finding(&rule, counted.is_ok(), counted.unwrap_or_else(|why| why))
    });
    judged.collect()
}

fn calm(promotion: &Promotion, terms: &PromotionTerms) -> Finding {
    let calm = terms
        .calm_period
        .as_ref()
        .map_or(Duration::ZERO, |calm| Duration::new(calm.seconds.unsigned_abs(), calm.nanos.unsigned_abs()));
    let times = Time::parse(&promotion.request_time).zip(Time::parse(&promotion.end_time));
    let waited = times.map_or(Duration::ZERO, |(from, to)| to.since(from));
    let why = format!("{} s of {} s", waited.as_secs(), calm.as_secs());
    finding("the calm period was kept", waited >= calm, why)
}

/// Everything that was asked for is where it was to go, once the promotion has ended.
fn moved(promotion: &Promotion, asked: &Asked, events: &[Event]) -> Finding {
    let stream = format!("registry.model-{}", promotion.model);
    let end = Time::parse(&promotion.end_time);
    let until = || events.iter().filter(|event| event.stream == stream && Time::parse(&event.time) <= end).rev();
    let mut missing = vec![];
    for (step, told) in asked.request.moves.iter().zip(&promotion.moves) {
        let is_there = match &step.target {
            Some(Target::Alias(alias)) => {
                let last =
                    until().find_map(|event| event.message::<AliasMoved>().filter(|moved| moved.alias == *alias));
                last.is_some_and(|moved| moved.to_version == step.version)
            }
            Some(Target::Stage(stage)) => {
                let of_it = |moved: &StageMoved| moved.version == step.version;
                let last = until().find_map(|event| event.message::<StageMoved>().filter(of_it));
                last.is_some_and(|moved| moved.to_stage == *stage)
            }
            None => false,
        };
        if !is_there {
            missing.push(format!("version {} to {}", told.version, told.target));
        }
    }
    let why = match missing.is_empty() {
        true => format!("{} of {} at {}", promotion.moves.len(), promotion.moves.len(), promotion.end_time),
        false => format!("the log does not tell of {}", missing.join(", ")),
    };
    finding("what was asked for has moved", missing.is_empty(), why)
}
