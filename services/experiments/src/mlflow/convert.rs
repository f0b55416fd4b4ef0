//! Records in MLflow's messages.

use super::proto;
use crate::metrics::Row;
use crate::model::logged_model::LoggedModelState;
use crate::model::run::{Dataset, Rejection};
use crate::model::{ExperimentName, LoggedModelName, Run, RunName, RunState};
use crate::query::{ExperimentRecord, LoggedModelRecord, MeasuredRecord, MetricRecord, RunRecord};

/// Where an experiment's artifacts are, unless it says otherwise.
fn experiment_address(name: &ExperimentName) -> String {
    format!("mlflow-artifacts:/{}", name.experiment())
}

/// Where a run's artifacts are. Clients resolve it against the address they track to, path prefix included.
pub(super) fn run_address(name: &RunName) -> String {
    format!("mlflow-artifacts:/{}/{}/artifacts", name.experiment(), name.run())
}

/// Where a logged model's artifacts are.
pub(super) fn model_address(name: &LoggedModelName) -> String {
    format!("mlflow-artifacts:/{}/models/{}/artifacts", name.experiment(), name.model())
}

pub(super) fn experiment(record: ExperimentRecord) -> proto::Experiment {
    let location = match record.artifact_location.as_str() {
        "" => experiment_address(&record.name),
        location => location.to_owned(),
    };
    proto::Experiment {
        experiment_id: Some(record.name.experiment().to_owned()),
        workspace: Some(record.name.project().to_owned()),
        name: Some(record.display_name),
        artifact_location: Some(location),
        lifecycle_stage: Some(lifecycle(record.is_deleted)),
        last_update_time: Some(record.update_time.millis()),
        creation_time: Some(record.create_time.millis()),
        tags: record
            .tags
            .into_iter()
            .map(|(key, value)| proto::ExperimentTag { key: Some(key), value: Some(value) })
            .collect(),
        effective_trace_archival_retention: None,
    }
}

/// A run just created, from its state. It has no outputs yet, and MLflow's server does not say so.
pub(super) fn new_run(run: &Run) -> Result<proto::Run, Rejection> {
    let name = run.name()?;
    let info = proto::RunInfo {
        run_id: Some(name.run().to_owned()),
        run_uuid: Some(name.run().to_owned()),
        run_name: Some(run.display_name.clone()),
        experiment_id: Some(name.experiment().to_owned()),
        user_id: Some(run.user.clone()),
        status: Some(status(run.state).into()),
        start_time: Some(run.start_time.millis()),
        end_time: None,
        artifact_uri: Some(artifact_address(name, &run.artifact_location)),
        lifecycle_stage: Some(lifecycle(run.is_deleted)),
    };
    let tag = |(key, value): (&String, &String)| proto::RunTag { key: Some(key.clone()), value: Some(value.clone()) };
    let data = proto::RunData { tags: run.tags.iter().map(tag).collect(), ..proto::RunData::default() };
    Ok(proto::Run { info: Some(info), data: Some(data), inputs: Some(proto::RunInputs::default()), outputs: None })
}

/// A run with what was logged to it.
pub(super) fn run(record: RunRecord) -> proto::Run {
    let info = run_info(&record);
    let outputs = proto::RunOutputs {
        model_outputs: record
            .output_models
            .into_iter()
            .map(|(model, step)| proto::ModelOutput { model_id: Some(model), step: Some(step) })
            .collect(),
    };
    proto::Run {
        info: Some(info),
        data: Some(proto::RunData {
            metrics: record.metrics.into_iter().map(latest).collect(),
            params: record
                .params
                .into_iter()
                .map(|(key, value)| proto::Param { key: Some(key), value: Some(value) })
                .collect(),
            tags: record
                .tags
                .into_iter()
                .map(|(key, value)| proto::RunTag { key: Some(key), value: Some(value) })
                .collect(),
        }),
        inputs: Some(proto::RunInputs {
            dataset_inputs: record.datasets.into_iter().map(dataset_input).collect(),
            model_inputs: record
                .input_models
                .into_iter()
                .map(|model| proto::ModelInput { model_id: Some(model) })
                .collect(),
        }),
        outputs: Some(outputs),
    }
}

pub(super) fn run_info(record: &RunRecord) -> proto::RunInfo {
    let id = record.name.run();
    proto::RunInfo {
        run_id: Some(id.to_owned()),
        run_uuid: Some(id.to_owned()),
        run_name: Some(record.display_name.clone()),
        experiment_id: Some(record.name.experiment().to_owned()),
        user_id: Some(record.user.clone()),
        status: Some(status(record.state).into()),
        start_time: Some(record.start_time.millis()),
        end_time: record.end_time.map(|time| time.millis()),
        artifact_uri: Some(artifact_address(&record.name, &record.artifact_location)),
        lifecycle_stage: Some(lifecycle(record.is_deleted)),
    }
}

/// Where a run's artifacts are: in a place of its own, or where the server keeps them.
fn artifact_address(name: &RunName, location: &str) -> String {
    if location.is_empty() { run_address(name) } else { location.to_owned() }
}

pub(super) fn logged_model(record: LoggedModelRecord) -> proto::LoggedModel {
    let id = record.name.model().to_owned();
    let address = match record.artifact_location.as_str() {
        "" => model_address(&record.name),
        location => location.to_owned(),
    };
    let status = match record.state {
        LoggedModelState::Pending => proto::LoggedModelStatus::LoggedModelPending,
        LoggedModelState::Ready => proto::LoggedModelStatus::LoggedModelReady,
        LoggedModelState::Failed => proto::LoggedModelStatus::LoggedModelUploadFailed,
    };
    proto::LoggedModel {
        data: Some(proto::LoggedModelData {
            params: record
                .params
                .into_iter()
                .map(|(key, value)| proto::LoggedModelParameter { key: Some(key), value: Some(value) })
                .collect(),
            metrics: record.metrics.into_iter().map(|measured| self::measured(measured, &id)).collect(),
        }),
        info: Some(proto::LoggedModelInfo {
            experiment_id: Some(record.name.experiment().to_owned()),
            model_id: Some(id),
            name: Some(record.display_name),
            creation_timestamp_ms: Some(record.create_time.millis()),
            last_updated_timestamp_ms: Some(record.update_time.millis()),
            artifact_uri: Some(address),
            status: Some(status.into()),
            model_type: Some(record.model_type),
            source_run_id: Some(record.source_run),
            tags: record
                .tags
                .into_iter()
                .map(|(key, value)| proto::LoggedModelTag { key: Some(key), value: Some(value) })
                .collect(),
            ..proto::LoggedModelInfo::default()
        }),
    }
}

/// A point of a history.
pub(super) fn point(key: &str, row: &Row) -> proto::Metric {
    proto::Metric {
        key: Some(key.to_owned()),
        value: Some(finite(row.value)),
        timestamp: Some(row.time_ms),
        step: Some(row.step),
        ..proto::Metric::default()
    }
}

/// Infinities become the largest numbers there are, as MLflow's own store has it. NaN stays.
pub(super) fn finite(value: f64) -> f64 {
    if value.is_infinite() { f64::MAX.copysign(value) } else { value }
}

/// MLflow's word for a state.
pub(super) fn status(state: RunState) -> proto::RunStatus {
    match state {
        RunState::Running => proto::RunStatus::Running,
        RunState::Scheduled => proto::RunStatus::Scheduled,
        RunState::Finished => proto::RunStatus::Finished,
        RunState::Failed => proto::RunStatus::Failed,
        RunState::Killed => proto::RunStatus::Killed,
    }
}

/// Our word for a status. One that is none says nothing.
pub(super) fn state(status: Option<i32>) -> Option<RunState> {
    match proto::RunStatus::try_from(status?).ok()? {
        proto::RunStatus::Unspecified => None,
        proto::RunStatus::Running => Some(RunState::Running),
        proto::RunStatus::Scheduled => Some(RunState::Scheduled),
        proto::RunStatus::Finished => Some(RunState::Finished),
        proto::RunStatus::Failed => Some(RunState::Failed),
        proto::RunStatus::Killed => Some(RunState::Killed),
    }
}

fn lifecycle(is_deleted: bool) -> String {
    if is_deleted { "deleted" } else { "active" }.to_owned()
}

fn latest(record: MetricRecord) -> proto::Metric {
    proto::Metric {
        key: Some(record.key),
        value: Some(finite(record.value)),
        timestamp: Some(record.time_ms),
        step: Some(record.step),
        ..proto::Metric::default()
    }
}

fn measured(record: MeasuredRecord, model: &str) -> proto::Metric {
    let present = |text: String| Some(text).filter(|text| !text.is_empty());
    proto::Metric {
        key: Some(record.key),
        value: Some(finite(record.value)),
        timestamp: Some(record.time_ms),
        step: Some(record.step),
        dataset_name: present(record.dataset_name),
        dataset_digest: present(record.dataset_digest),
        model_id: Some(model.to_owned()),
        run_id: Some(record.run),
    }
}

fn dataset_input(dataset: Dataset) -> proto::DatasetInput {
    let present = |text: String| Some(text).filter(|text| !text.is_empty());
    proto::DatasetInput {
        tags: dataset
            .tags
            .into_iter()
            .map(|(key, value)| proto::InputTag { key: Some(key), value: Some(value) })
            .collect(),
        dataset: Some(proto::Dataset {
            name: Some(dataset.display_name),
            digest: Some(dataset.digest),
            source_type: Some(dataset.source_type),
            source: Some(dataset.source),
            schema: present(dataset.schema),
            profile: present(dataset.profile),
        }),
    }
}
