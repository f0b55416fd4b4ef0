//! Records in the contract's words.

use cairn_contract::cairn::experiments::v1 as proto;
use cairn_kernel::{Revision, Time};
use cairn_service::timestamp;

use crate::metrics::Row;
use crate::model::ExperimentName;
use crate::model::entry::tag;
use crate::query::{ExperimentRecord, LoggedModelRecord, MetricRecord, RevisionRecord, RunRecord};

fn etag(revision: Revision) -> String {
    revision.to_string()
}

fn lifecycle(is_deleted: bool) -> i32 {
    if is_deleted { proto::Lifecycle::Deleted.into() } else { proto::Lifecycle::Active.into() }
}

pub(super) fn experiment(record: ExperimentRecord) -> proto::Experiment {
    proto::Experiment {
        name: record.name.to_string(),
        display_name: record.display_name,
        artifact_location: record.artifact_location,
        description: record.tags.get(tag::NOTE).cloned().unwrap_or_default(),
        tags: record.tags,
        lifecycle: lifecycle(record.is_deleted),
        revision: record.edits,
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        creator: record.creator,
        etag: etag(record.revision),
    }
}

pub(super) fn revision(experiment: &ExperimentName, record: RevisionRecord) -> proto::ExperimentRevision {
    proto::ExperimentRevision {
        name: format!("{experiment}/revisions/{}", record.number),
        revision: record.number,
        display_name: record.display_name,
        tags: record.tags,
        create_time: Some(timestamp(record.create_time)),
        author: record.author,
        etag: record.number.to_string(),
    }
}

pub(super) fn run(record: RunRecord) -> proto::Run {
    let project = record.name.project();
    let note = record.tags.iter().find(|(key, _)| key == tag::NOTE).map(|(_, note)| note.clone());
    let model = |id: &str| match &record.name.parent().logged_model(id) {
        Ok(name) => name.to_string(),
        Err(_) => format!("projects/{project}/loggedModels/{id}"),
    };
    proto::Run {
        name: record.name.to_string(),
        display_name: record.display_name,
        state: record.state.into(),
        lifecycle: lifecycle(record.is_deleted),
        user: record.user,
        start_time: Some(timestamp(record.start_time)),
        end_time: record.end_time.map(timestamp),
        parent_run: record.parent.map(|(id, name)| name.map_or(id, |name| name.to_string())).unwrap_or_default(),
        experiment_revision: record.experiment_revision,
        artifact_location: record.artifact_location,
        description: note.unwrap_or_default(),
        metrics: record.metrics.into_iter().map(summary).collect(),
        dataset_inputs: record.datasets.into_iter().map(Into::into).collect(),
        model_inputs: record.input_models.iter().map(|id| proto::ModelInput { model: model(id) }).collect(),
        model_outputs: record
            .output_models
            .iter()
            .map(|(id, step)| proto::ModelOutput { model: model(id), step: *step })
            .collect(),
        params: record.params.into_iter().collect(),
        tags: record.tags.into_iter().collect(),
        dropped_entries: record.dropped.into_iter().map(Into::into).collect(),
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        delete_time: record.delete_time.map(timestamp),
        creator: record.creator,
        etag: etag(record.revision),
    }
}

fn summary(metric: MetricRecord) -> proto::MetricSummary {
    proto::MetricSummary {
        key: metric.key,
        value: metric.value,
        step: metric.step,
        log_time: Some(timestamp(Time::from_millis(metric.time_ms))),
        min: metric.min,
        max: metric.max,
        count: metric.count,
    }
}

pub(super) fn point(key: &str, row: Row) -> proto::MetricPoint {
    let log_time = Some(timestamp(Time::from_millis(row.time_ms)));
    proto::MetricPoint {
        key: key.to_owned(),
        value: row.value,
        step: row.step,
        log_time,
        ..proto::MetricPoint::default()
    }
}

pub(super) fn logged_model(record: LoggedModelRecord) -> proto::LoggedModel {
    proto::LoggedModel {
        name: record.name.to_string(),
        display_name: record.display_name,
        source_run: record.source_run_name.unwrap_or(record.source_run),
        model_type: record.model_type,
        state: proto::LoggedModelState::from(record.state).into(),
        state_message: String::new(),
        artifact_location: record.artifact_location,
        params: record.params,
        tags: record.tags,
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        delete_time: record.delete_time.map(timestamp),
        creator: record.creator,
        etag: etag(record.revision),
    }
}
