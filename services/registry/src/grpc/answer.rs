//! Records in the contract's words.

use cairn_contract::cairn::registry::v1 as proto;
use cairn_kernel::Revision;
use cairn_service::timestamp;

use crate::app::{Policy, PromotionStatus};
use crate::model::Unmet;
use crate::query::{ApprovalRecord, ModelRecord, PromotionState, Summary, VersionRecord};
use crate::stored::artifacts::{encode_check, encode_manifest};
use crate::stored::terms;

fn etag(revision: Revision) -> String {
    revision.to_string()
}

pub(super) fn model(record: ModelRecord) -> proto::RegisteredModel {
    proto::RegisteredModel {
        name: record.name.to_string(),
        display_name: record.display_name,
        description: record.description,
        tags: record.tags,
        aliases: record.aliases.into_iter().map(|(alias, version)| (alias, version.0)).collect(),
        latest_version: record.latest.map(|number| number.0).unwrap_or_default(),
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        creator: record.creator,
        etag: etag(record.revision),
    }
}

pub(super) fn version(record: VersionRecord) -> proto::ModelVersion {
    let facts = record.facts.as_ref().clone();
    proto::ModelVersion {
        name: record.name.to_string(),
        version: record.name.number().0,
        stage: terms::stage_number(record.stage),
        aliases: record.aliases,
        description: record.description,
        tags: record.tags,
        source_run: facts.source_run,
        source_model: facts.source_model,
        source_uri: facts.source_uri,
        artifact_uri: facts.artifact_uri,
        run_link: facts.run_link,
        framework: facts.framework,
        signature: facts.signature.map(Into::into),
        hyperparameters: facts.hyperparameters,
        metrics: facts.metrics.as_ref().clone(),
        reference_statistics: facts.reference_statistics.map(Into::into),
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        creator: record.creator,
        etag: etag(record.revision),
        artifact_manifest: encode_manifest(&facts.manifest),
        signature_check: encode_check(&facts.signature_check),
    }
}

pub(super) fn promotion(status: PromotionStatus) -> proto::Promotion {
    let PromotionStatus { record, unmet } = status;
    let condition = |unmet: Unmet| proto::Condition { kind: unmet.kind().to_owned(), message: unmet.to_string() };
    proto::Promotion {
        name: record.name.to_string(),
        moves: terms::encode_moves(&record.moves),
        state: state(record.state).into(),
        requester: record.requester,
        comment: record.comment,
        approvals: record.approvals.into_iter().map(approval).collect(),
        unmet_conditions: unmet.into_iter().map(condition).collect(),
        terms: Some(terms::encode(&record.terms)),
        create_time: Some(timestamp(record.create_time)),
        expire_time: Some(timestamp(record.expire_time)),
        end_time: record.end_time.map(timestamp),
        ender: record.ender,
        end_comment: record.end_comment,
        etag: etag(record.revision),
    }
}

fn approval(record: ApprovalRecord) -> proto::Approval {
    let ApprovalRecord { approver, role, comment, approve_time } = record;
    proto::Approval { approver, role, comment, approve_time: Some(timestamp(approve_time)) }
}

fn state(state: PromotionState) -> proto::PromotionState {
    match state {
        PromotionState::Pending => proto::PromotionState::Pending,
        PromotionState::Completed => proto::PromotionState::Completed,
        PromotionState::Rejected => proto::PromotionState::Rejected,
        PromotionState::Withdrawn => proto::PromotionState::Withdrawn,
        PromotionState::Expired => proto::PromotionState::Expired,
    }
}

pub(super) fn policy(policy: Policy) -> proto::PromotionPolicy {
    proto::PromotionPolicy {
        name: policy.scope.to_string(),
        terms: Some(terms::encode(&policy.terms)),
        inherited_from: policy.inherited_from.map(|project| project.to_string()).unwrap_or_default(),
        create_time: policy.record.as_ref().map(|record| timestamp(record.create_time)),
        update_time: policy.record.as_ref().map(|record| timestamp(record.update_time)),
        setter: policy.record.map(|record| record.setter).unwrap_or_default(),
        etag: policy.etag,
    }
}

pub(super) fn summary(summary: Summary) -> proto::RegistrySummary {
    proto::RegistrySummary {
        model_count: summary.models,
        version_count: summary.versions,
        version_count_by_stage: summary.by_stage,
        version_count_by_framework: summary.by_framework,
        alias_count: summary.aliases,
        pending_promotion_count: summary.pending_promotions,
    }
}
