//! What a request may hold, checked once at the edge.

use std::collections::BTreeMap;

use cairn_kernel::{Expected, Name, Revision};
use cairn_service::{Ctx, Refusal, refuse};
use prost_types::FieldMask;
use tonic::Status;

use crate::model::entry::Key;
use crate::model::{ExperimentName, ProjectName};
use crate::query::{LifecycleFilter, Visible};
use crate::search::SearchFault;

/// Largest page of a list.
const PAGE_MAX: usize = 1000;
/// Page of a list whose caller does not say.
const PAGE_DEFAULT: usize = 100;
/// Most params or tags in one request.
pub(super) const PAIRS_MAX: usize = 1000;

pub(super) fn invalid(field: &'static str, problem: impl std::fmt::Display) -> Status {
    refuse(Refusal::invalid(field, problem))
}

/// An etag is the revision of the stream; an empty one does not matter.
pub(super) fn etag(text: &str) -> Result<Expected, Status> {
    match text {
        "" => Ok(Expected::Any),
        _ => match text.parse() {
            Ok(revision) => Ok(Expected::Exactly(Revision(revision))),
            Err(_) => Err(invalid("etag", format!("{text:?} is not an etag of ours"))),
        },
    }
}

pub(super) fn page_size(size: i32) -> Result<usize, Status> {
    page_size_within(size, PAGE_DEFAULT, PAGE_MAX)
}

/// A size beyond the maximum is the maximum.
pub(crate) fn page_size_within(size: i32, default: usize, max: usize) -> Result<usize, Status> {
    match usize::try_from(size) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(max)),
        Err(_) => Err(invalid("page_size", "must not be negative")),
    }
}

/// Values whose keys are keys, and that are not too long.
pub(super) fn pairs(field: &'static str, pairs: &BTreeMap<String, String>, chars_max: usize) -> Result<(), Status> {
    if pairs.len() > PAIRS_MAX {
        return Err(invalid(field, format!("{} entries, at most {PAIRS_MAX}", pairs.len())));
    }
    for (name, value) in pairs {
        key(field, name)?;
        // Bytes are never fewer than characters, and counting those takes a walk.
        if value.len() > chars_max && value.chars().count() > chars_max {
            return Err(invalid(field, format!("the value of {name:?} has more than {chars_max} characters")));
        }
    }
    Ok(())
}

pub(super) fn key(field: &'static str, text: &str) -> Result<(), Status> {
    text.parse::<Key>().map(drop).map_err(|fault| invalid(field, fault))
}

pub(super) fn text(field: &'static str, text: &str, chars: std::ops::RangeInclusive<usize>) -> Result<(), Status> {
    match chars.contains(&text.chars().count()) {
        true => Ok(()),
        false => Err(invalid(field, format!("must have {} to {} characters", chars.start(), chars.end()))),
    }
}

/// The terms of an order: texts separated by commas.
pub(super) fn terms(order_by: &str) -> Vec<String> {
    order_by.split(',').map(str::trim).filter(|term| !term.is_empty()).map(str::to_owned).collect()
}

pub(super) fn search<T>(parsed: Result<T, SearchFault>) -> Result<T, Status> {
    parsed.map_err(|fault| refuse(Refusal::of(&fault)))
}

/// The project a list is about, and the one experiment if it is about one.
pub(super) fn parent(text: &str) -> Result<(ProjectName, Option<ExperimentName>), Status> {
    if let Ok(experiment) = text.parse::<ExperimentName>() {
        return Ok((experiment.parent(), Some(experiment)));
    }
    let project = text.parse().map_err(|_| {
        invalid(
            "parent",
            format!("{text:?} is neither projects/{{project}} nor projects/{{project}}/experiments/{{experiment}}"),
        )
    })?;
    Ok((project, None))
}

/// What of a project the caller may see.
pub(super) fn visible(ctx: &Ctx, project: &ProjectName, under: &Name) -> Visible {
    let prefixes = ctx.visible(&ctx.method().permission, under);
    match prefixes.iter().any(|prefix| prefix.covers(under)) {
        true => Visible::all(),
        false => Visible::of(&prefixes, project),
    }
}

pub(super) fn lifecycle(
    lifecycle: cairn_contract::cairn::experiments::v1::Lifecycle,
    show_deleted: bool,
) -> Result<LifecycleFilter, Status> {
    use cairn_contract::cairn::experiments::v1::Lifecycle;
    match (lifecycle, show_deleted) {
        (Lifecycle::Unspecified, true) => Ok(LifecycleFilter::All),
        (_, true) => Err(invalid("show_deleted", "cannot stand beside a lifecycle")),
        (Lifecycle::Deleted, false) => Ok(LifecycleFilter::Deleted),
        (Lifecycle::Unspecified | Lifecycle::Active, false) => Ok(LifecycleFilter::Active),
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
