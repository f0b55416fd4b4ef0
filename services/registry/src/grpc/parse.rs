//! What a request may hold, checked once at the edge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cairn_access::Roles;
use cairn_contract::cairn::registry::v1 as proto;
use cairn_kernel::{Expected, Name, Revision};
use cairn_search::SearchFault;
use cairn_service::{Ctx, Refusal, refuse};
use prost_types::FieldMask;
use tonic::Status;

use crate::convert::{reference_statistics, signature};
use crate::model::entry::{
    DESCRIPTION_CHARS_MAX, ENTRIES_MAX, HYPERPARAMETER_CHARS_MAX, Key, MOVES_MAX, SOURCE_CHARS_MAX, TAG_CHARS_MAX,
    TENSORS_MAX,
};
use crate::model::terms::{APPROVERS, LIFETIME};
use crate::model::version::Facts;
use crate::model::{Move, Number, ProjectName, Stage, Target, Terms, Threshold};
use crate::query::Visible;
use crate::stored::terms::from_duration;

/// Largest page of a list.
const PAGE_MAX: usize = 1000;
/// Page of a list whose caller does not say.
const PAGE_DEFAULT: usize = 100;
/// What an approver must be able to call.
const APPROVE: &str = "registry.promotions.approve";
/// Most approvals that a policy can ask for.
const APPROVALS_MAX: u32 = 20;
/// Longest calm and longest life of a promotion.
const WAIT_MAX: Duration = Duration::from_hours(365 * 24);

pub(crate) fn invalid(field: &'static str, problem: impl std::fmt::Display) -> Status {
    refuse(Refusal::invalid(field, problem))
}

/// An etag is the revision of the stream; an empty one does not matter.
pub(crate) fn etag(text: &str) -> Result<Expected, Status> {
    match text {
        "" => Ok(Expected::Any),
        _ => match text.parse() {
            Ok(revision) => Ok(Expected::Exactly(Revision(revision))),
            Err(_) => Err(invalid("etag", format!("{text:?} is not an etag of ours"))),
        },
    }
}

/// A size beyond the maximum is the maximum.
pub(crate) fn page_size(size: i32) -> Result<usize, Status> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_) => Err(invalid("page_size", "must not be negative")),
    }
}

/// The terms of an order: texts separated by commas.
pub(super) fn terms(order_by: &str) -> Vec<String> {
    order_by.split(',').map(str::trim).filter(|term| !term.is_empty()).map(str::to_owned).collect()
}

pub(super) fn search<T>(parsed: Result<T, SearchFault>) -> Result<T, Status> {
    parsed.map_err(|fault| refuse(Refusal::of(&fault)))
}

/// Tags whose keys are keys, and that are not too long.
pub(super) fn tags(field: &'static str, tags: &BTreeMap<String, String>) -> Result<(), Status> {
    pairs(field, tags, TAG_CHARS_MAX)
}

fn pairs(field: &'static str, pairs: &BTreeMap<String, String>, chars_max: usize) -> Result<(), Status> {
    count(field, pairs.len(), ENTRIES_MAX)?;
    for (name, value) in pairs {
        key(field, name)?;
        if value.len() > chars_max && value.chars().count() > chars_max {
            return Err(invalid(field, format!("the value of {name:?} has more than {chars_max} characters")));
        }
    }
    Ok(())
}

fn key(field: &'static str, text: &str) -> Result<(), Status> {
    text.parse::<Key>().map(drop).map_err(|fault| invalid(field, fault))
}

fn count(field: &'static str, count: usize, max: usize) -> Result<(), Status> {
    match count <= max {
        true => Ok(()),
        false => Err(invalid(field, format!("{count} entries, at most {max}"))),
    }
}

pub(super) fn description(field: &'static str, text: &str) -> Result<(), Status> {
    chars(field, text, DESCRIPTION_CHARS_MAX)
}

pub(crate) fn chars(field: &'static str, text: &str, max: usize) -> Result<(), Status> {
    match text.len() <= max || text.chars().count() <= max {
        true => Ok(()),
        false => Err(invalid(field, format!("must have at most {max} characters"))),
    }
}

/// What of a project the caller may see.
pub(super) fn visible(ctx: &Ctx, project: &ProjectName, under: &Name) -> Visible {
    let prefixes = ctx.visible(&ctx.method().permission, under);
    match prefixes.iter().any(|prefix| prefix.covers(under)) {
        true => Visible::all(),
        false => Visible::of(&prefixes, project),
    }
}

/// Whether an update changes a field: the mask names it, or there is no mask and the field is set.
pub(super) fn changes(mask: Option<&FieldMask>, field: &str, value: &str) -> bool {
    match mask {
        Some(mask) if !mask.paths.is_empty() => mask.paths.iter().any(|path| path == field || path == "*"),
        _ => !value.is_empty(),
    }
}

/// Refuses a mask that names what cannot be changed.
pub(super) fn mask(mask: Option<&FieldMask>, fields: &[&str]) -> Result<(), Status> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    match paths.iter().find(|path| *path != "*" && !fields.contains(&path.as_str())) {
        Some(path) => Err(invalid("update_mask", format!("{path:?} cannot be changed, only {}", fields.join(", ")))),
        None => Ok(()),
    }
}

/// A stage that must be said.
pub(super) fn stage(field: &'static str, number: i32) -> Result<Stage, Status> {
    match proto::Stage::try_from(number) {
        Ok(proto::Stage::Unspecified) | Err(_) => Err(invalid(field, "must be a stage")),
        Ok(stage) => Ok(stage.into()),
    }
}

/// What a version is, but for where it comes from.
pub(super) fn facts(version: &proto::ModelVersion) -> Result<Facts, Status> {
    for (field, text) in [
        ("model_version.source_run", &version.source_run),
        ("model_version.source_model", &version.source_model),
        ("model_version.source_uri", &version.source_uri),
        ("model_version.artifact_uri", &version.artifact_uri),
        ("model_version.run_link", &version.run_link),
        ("model_version.framework", &version.framework),
    ] {
        chars(field, text, SOURCE_CHARS_MAX)?;
    }
    pairs("model_version.hyperparameters", &version.hyperparameters, HYPERPARAMETER_CHARS_MAX)?;
    count("model_version.metrics", version.metrics.len(), ENTRIES_MAX)?;
    version.metrics.keys().try_for_each(|metric| key("model_version.metrics", metric))?;
    if let Some(signature) = &version.signature {
        for tensors in [&signature.inputs, &signature.outputs] {
            count("model_version.signature", tensors.len(), TENSORS_MAX)?;
            for tensor in tensors {
                chars("model_version.signature", &tensor.label, SOURCE_CHARS_MAX)?;
                chars("model_version.signature", &tensor.dtype, SOURCE_CHARS_MAX)?;
                count("model_version.signature", tensor.shape.len(), TENSORS_MAX)?;
            }
        }
    }
    if let Some(statistics) = &version.reference_statistics {
        let is_digest = statistics.sha256.len() == 64 && statistics.sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_digest {
            return Err(invalid("model_version.reference_statistics.sha256", "must be 64 hexadecimal digits"));
        }
        chars("model_version.reference_statistics.uri", &statistics.uri, SOURCE_CHARS_MAX)?;
    }
    Ok(Facts {
        run_link: version.run_link.clone(),
        framework: version.framework.clone(),
        signature: version.signature.clone().map(signature),
        hyperparameters: version.hyperparameters.clone(),
        metrics: std::sync::Arc::new(version.metrics.clone()),
        reference_statistics: version.reference_statistics.clone().map(reference_statistics),
        ..Facts::default()
    })
}

/// What shall move. Whether it can, the model decides.
pub(super) fn moves(moves: Vec<proto::PromotionMove>) -> Result<Vec<Move>, Status> {
    use proto::promotion_move::Target as To;
    count("moves", moves.len(), MOVES_MAX)?;
    let step = |step: proto::PromotionMove| {
        let target = match step.target {
            Some(To::Alias(alias)) => Target::Alias(alias.parse().map_err(|fault| invalid("moves.alias", fault))?),
            Some(To::Stage(number)) => Target::Stage(stage("moves.stage", number)?),
            None => return Err(invalid("moves", "each must name an alias or a stage")),
        };
        Ok(Move { version: Number(step.version), target })
    };
    moves.into_iter().map(step).collect()
}

/// What promotions need.
pub(super) fn policy(terms: proto::PromotionTerms) -> Result<Terms, Status> {
    let stages = terms.protected_stages.iter().map(|number| stage("terms.protected_stages", *number));
    let aliases = terms
        .protected_aliases
        .iter()
        .map(|alias| alias.parse().map_err(|fault: cairn_kernel::NameFault| invalid("terms.protected_aliases", fault)));
    let roles: BTreeSet<String> = match terms.approver_roles.is_empty() {
        true => APPROVERS.map(str::to_owned).into(),
        false => terms.approver_roles.into_iter().collect(),
    };
    for role in &roles {
        if !Roles::built_in().find(role).is_some_and(|role| role.holds(APPROVE)) {
            return Err(invalid("terms.approver_roles", format!("{role:?} is no role that may approve promotions")));
        }
    }
    let approvals = terms.approvals_required.max(1);
    if approvals > APPROVALS_MAX {
        return Err(invalid("terms.approvals_required", format!("must be at most {APPROVALS_MAX}")));
    }
    count("terms.metric_thresholds", terms.metric_thresholds.len(), ENTRIES_MAX)?;
    Ok(Terms {
        stages: stages.collect::<Result<_, _>>()?,
        aliases: aliases.collect::<Result<_, _>>()?,
        approvals,
        roles,
        thresholds: terms.metric_thresholds.into_iter().map(threshold).collect::<Result<_, _>>()?,
        needs_signature: terms.trusted_signature_required,
        calm: wait("terms.calm_period", terms.calm_period, Duration::ZERO)?,
        lifetime: wait("terms.request_lifetime", terms.request_lifetime, LIFETIME)?,
        programs_approve: terms.service_accounts_may_approve,
    })
}

fn threshold(threshold: proto::MetricThreshold) -> Result<Threshold, Status> {
    let proto::MetricThreshold { metric, min, max } = threshold;
    key("terms.metric_thresholds", &metric)?;
    let bounds = [min, max];
    if bounds.iter().all(Option::is_none) || bounds.iter().flatten().any(|bound| bound.is_nan()) {
        return Err(invalid(
            "terms.metric_thresholds",
            format!("{metric:?} must have a min or a max that is a number"),
        ));
    }
    Ok(Threshold { metric, min, max })
}

fn wait(field: &'static str, given: Option<prost_types::Duration>, default: Duration) -> Result<Duration, Status> {
    let wait = given.map_or(default, from_duration);
    match wait <= WAIT_MAX {
        true => Ok(wait),
        false => Err(invalid(field, "must be at most 365 days")),
    }
}
