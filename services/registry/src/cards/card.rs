use crate::model::version::{Manifest, SignatureCheck, Tensor};
use crate::model::{Move, Number};
use crate::query::{ModelRecord, PromotionRecord, PromotionState, VersionRecord};

use super::page::Page;

/// The tag by which a team says whose a model is.
const OWNER: &str = "owner";

/// Puts all that is known of a version on one page.
pub fn page(model: &ModelRecord, version: &VersionRecord, promotions: &[PromotionRecord]) -> Page {
    let (facts, number) = (&version.facts, version.name.number());
    let mut page = Page { title: format!("{} version {number}", model.display_name), sections: vec![] };
    page.table("Version", &["What", "Value"], attributes(model, version));
    page.note("What the model is for", &model.description);
    page.note("Notes on this version", &version.description);
    let metrics = facts.metrics.iter().map(|(key, value)| vec![key.clone(), value.to_string()]).collect();
    page.table("Metrics", &["Metric", "Value"], metrics);
    let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
        pairs.iter().map(|(key, value)| vec![key.clone(), value.clone()]).collect()
    };
    page.table("Hyperparameters", &["Parameter", "Value"], pairs(&facts.hyperparameters));
    page.table("Tags", &["Tag", "Value"], pairs(&version.tags));
    page.table("Tags of the model", &["Tag", "Value"], pairs(&model.tags));
    if let Some(signature) = &facts.signature {
        let inputs = signature.inputs.iter().enumerate().map(|(at, tensor)| row("input", at, tensor));
        let outputs = signature.outputs.iter().enumerate().map(|(at, tensor)| row("output", at, tensor));
        let rows = inputs.chain(outputs).collect();
        page.table("Signature", &["Side", "Name", "Type", "Shape", "May be left out"], rows);
    }
    if let Some(statistics) = &facts.reference_statistics {
        let rows = vec![vec![statistics.sha256.clone(), statistics.uri.clone()]];
        page.table("Reference statistics", &["SHA-256", "Where"], rows);
    }
    let of_version = promotions.iter().filter(|promotion| promotion.moves.iter().any(|step| step.version == number));
    let (mut rows, mut approvals) = (vec![], vec![]);
    for promotion in of_version {
        let id = promotion.name.promotion().to_owned();
        rows.push(vec![
            id.clone(),
            targets(&promotion.moves, number),
            state(promotion.state).to_owned(),
            promotion.requester.clone(),
            promotion.create_time.to_string(),
            promotion.end_time.map(|time| time.to_string()).unwrap_or_default(),
            promotion.ender.clone(),
            promotion.comment.clone(),
        ]);
        approvals.extend(promotion.approvals.iter().map(|approval| {
            let (who, role) = (approval.approver.clone(), approval.role.clone());
            vec![id.clone(), who, role, approval.approve_time.to_string(), approval.comment.clone()]
        }));
    }
    let head = ["Promotion", "To", "State", "Asked by", "Asked", "Ended", "Ended by", "Comment"];
    page.table("Promotions", &head, rows);
    page.table("Approvals", &["Promotion", "By", "As", "When", "Comment"], approvals);
    page
}

/// One line for each thing that is said.
fn attributes(model: &ModelRecord, version: &VersionRecord) -> Vec<Vec<String>> {
    let facts = &version.facts;
    let owner = version.tags.get(OWNER).or_else(|| model.tags.get(OWNER)).unwrap_or(&model.creator);
    let rows = [
        ("Name", version.name.to_string()),
        ("Owner", owner.clone()),
        ("Stage", version.stage.to_string()),
        ("Aliases", version.aliases.join(", ")),
        ("Framework", facts.framework.clone()),
        ("Registered by", version.creator.clone()),
        ("Registered", version.create_time.to_string()),
        ("Changed", version.update_time.to_string()),
        ("Source run", facts.source_run.clone()),
        ("Logged model", facts.source_model.clone()),
        ("Source", facts.source_uri.clone()),
        ("Files", facts.artifact_uri.clone()),
        ("Page of the run", facts.run_link.clone()),
        ("Digest of the files", digest(&facts.manifest)),
        ("Signature", signature(&facts.signature_check)),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(what, value)| vec![what.to_owned(), value]).collect()
}

fn digest(manifest: &Manifest) -> String {
    match manifest {
        Manifest::Unnoted => String::new(),
        Manifest::Elsewhere => "not known: they are not kept here".to_owned(),
        Manifest::TooMany => "not known: there are too many".to_owned(),
        Manifest::Known { sha256, count, size } => format!("{sha256} ({count} files, {size} bytes)"),
    }
}

fn signature(check: &SignatureCheck) -> String {
    match check {
        SignatureCheck::Unnoted => String::new(),
        SignatureCheck::Absent => "none".to_owned(),
        SignatureCheck::Verified { key, fingerprint, .. } => format!("verified, by key {key} ({fingerprint})"),
        SignatureCheck::Untrusted { problem, .. } => format!("not trusted: {problem}"),
    }
}

fn row(side: &str, at: usize, tensor: &Tensor) -> Vec<String> {
    let label = if tensor.label.is_empty() { at.to_string() } else { tensor.label.clone() };
    let optional = if tensor.is_optional { "yes" } else { "no" };
    vec![side.to_owned(), label, tensor.dtype.clone(), shape(tensor), optional.to_owned()]
}

/// `[-1, 28, 28]`; nothing for a single value.
pub(super) fn shape(tensor: &Tensor) -> String {
    if tensor.shape.is_empty() { String::new() } else { format!("{:?}", tensor.shape) }
}

fn targets(moves: &[Move], version: Number) -> String {
    let of_version = moves.iter().filter(|step| step.version == version);
    of_version.map(|step| step.target.to_string()).collect::<Vec<_>>().join(", ")
}

fn state(state: PromotionState) -> &'static str {
    match state {
        PromotionState::Pending => "waiting",
        PromotionState::Completed => "completed",
        PromotionState::Rejected => "rejected",
        PromotionState::Withdrawn => "withdrawn",
        PromotionState::Expired => "expired",
    }
}
