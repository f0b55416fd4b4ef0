use cairn_service::timestamp;
use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::experiments::events::v1 as proto;
use cairn_contract::cairn::experiments::v1::{DatasetInput, DroppedEntry, ModelOutput};
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, malformed, name, read};
use crate::convert::from_timestamp;
use crate::model::run::{BatchId, Change, Event};
use crate::model::{Point, Points, Run, RunName, Subject};

kinds! {
    CREATED = RunCreated;
    IMPORTED = RunImported;
    RENAMED = RunRenamed;
    FINISHED = RunFinished;
    RESUMED = RunResumed;
    PARAMS_LOGGED = ParamsLogged;
    TAGS_SET = RunTagsSet;
    TAGS_DELETED = RunTagsDeleted;
    METRICS_LOGGED = MetricsLogged;
    INPUTS_LOGGED = InputsLogged;
    OUTPUTS_LOGGED = OutputsLogged;
    ENTRIES_DROPPED = EntriesDropped;
    BATCH_LOGGED = BatchLogged;
    DELETED = RunDeleted;
    RESTORED = RunRestored;
}

impl Stored for Run {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let run = event.run.to_string();
        match &event.change {
            Change::Created {
                display_name,
                state,
                user,
                start_time,
                parent,
                experiment_revision,
                artifact_location,
            } => {
                let message = proto::RunCreated {
                    run,
                    display_name: display_name.clone(),
                    state: (*state).into(),
                    user: user.clone(),
                    start_time: Some(timestamp(*start_time)),
                    parent_run: parent.clone().unwrap_or_default(),
                    experiment_revision: *experiment_revision,
                    artifact_location: artifact_location.clone(),
                };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Imported { source } => {
                (IMPORTED, proto::RunImported { run, source: source.clone() }.encode_to_vec().into())
            }
            Change::Renamed { from, to } => {
                let message = proto::RunRenamed { run, from_display_name: from.clone(), to_display_name: to.clone() };
                (RENAMED, message.encode_to_vec().into())
            }
            Change::Finished { state, end_time } => {
                let message = proto::RunFinished { run, state: (*state).into(), end_time: end_time.map(timestamp) };
                (FINISHED, message.encode_to_vec().into())
            }
            Change::Resumed { state, end_time } => {
                let message = proto::RunResumed { run, state: (*state).into(), end_time: end_time.map(timestamp) };
                (RESUMED, message.encode_to_vec().into())
            }
            Change::ParamsLogged(params) => {
                (PARAMS_LOGGED, proto::ParamsLogged { run, params: params.clone() }.encode_to_vec().into())
            }
            Change::TagsSet(tags) => (TAGS_SET, proto::RunTagsSet { run, tags: tags.clone() }.encode_to_vec().into()),
            Change::TagsDeleted(keys) => {
                (TAGS_DELETED, proto::RunTagsDeleted { run, keys: keys.clone() }.encode_to_vec().into())
            }
            Change::MetricsLogged(points) => (METRICS_LOGGED, pack(run, points).encode_to_vec().into()),
            Change::InputsLogged { datasets, models } => {
                let datasets = datasets.iter().cloned().map(DatasetInput::from).collect();
                (INPUTS_LOGGED, proto::InputsLogged { run, datasets, models: models.clone() }.encode_to_vec().into())
            }
            Change::OutputsLogged(models) => {
                let models = models.iter().map(|(model, step)| ModelOutput { model: model.clone(), step: *step });
                (OUTPUTS_LOGGED, proto::OutputsLogged { run, models: models.collect() }.encode_to_vec().into())
            }
            Change::EntriesDropped(dropped) => {
                let entries = dropped.iter().cloned().map(DroppedEntry::from).collect();
                (ENTRIES_DROPPED, proto::EntriesDropped { run, entries }.encode_to_vec().into())
            }
            Change::BatchLogged { id, metric_count, param_count, tag_count, dropped } => {
                let message = proto::BatchLogged {
                    run,
                    batch_id: id.id.clone(),
                    payload_sha256: id.sha256.clone(),
                    metric_count: *metric_count,
                    param_count: *param_count,
                    tag_count: *tag_count,
                    dropped_entries: dropped.iter().cloned().map(DroppedEntry::from).collect(),
                };
                (BATCH_LOGGED, message.encode_to_vec().into())
            }
            Change::Deleted => (DELETED, proto::RunDeleted { run }.encode_to_vec().into()),
            Change::Restored => (RESTORED, proto::RunRestored { run }.encode_to_vec().into()),
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (run, change) = match kind {
            CREATED => {
                let message: proto::RunCreated = read(payload)?;
                let change = Change::Created {
                    state: message.state().into(),
                    start_time: message.start_time.as_ref().map(from_timestamp).unwrap_or_default(),
                    display_name: message.display_name,
                    user: message.user,
                    parent: Some(message.parent_run).filter(|parent| !parent.is_empty()),
                    experiment_revision: message.experiment_revision,
                    artifact_location: message.artifact_location,
                };
                (message.run, change)
            }
            IMPORTED => {
                let proto::RunImported { run, source } = read(payload)?;
                (run, Change::Imported { source })
            }
            RENAMED => {
                let message: proto::RunRenamed = read(payload)?;
                (message.run, Change::Renamed { from: message.from_display_name, to: message.to_display_name })
            }
            FINISHED => {
                let message: proto::RunFinished = read(payload)?;
                let end_time = message.end_time.as_ref().map(from_timestamp);
                let change = Change::Finished { state: message.state().into(), end_time };
                (message.run, change)
            }
            RESUMED => {
                let message: proto::RunResumed = read(payload)?;
                let end_time = message.end_time.as_ref().map(from_timestamp);
                let change = Change::Resumed { state: message.state().into(), end_time };
                (message.run, change)
            }
            PARAMS_LOGGED => {
                let proto::ParamsLogged { run, params } = read(payload)?;
                (run, Change::ParamsLogged(params))
            }
            TAGS_SET => {
                let proto::RunTagsSet { run, tags } = read(payload)?;
                (run, Change::TagsSet(tags))
            }
            TAGS_DELETED => {
                let proto::RunTagsDeleted { run, keys } = read(payload)?;
                (run, Change::TagsDeleted(keys))
            }
            METRICS_LOGGED => {
                let (run, points) = unpack(kind, read(payload)?)?;
                (run, Change::MetricsLogged(Arc::new(points)))
            }
            INPUTS_LOGGED => {
                let proto::InputsLogged { run, datasets, models } = read(payload)?;
                (run, Change::InputsLogged { datasets: datasets.into_iter().map(Into::into).collect(), models })
            }
            OUTPUTS_LOGGED => {
                let proto::OutputsLogged { run, models } = read(payload)?;
                (run, Change::OutputsLogged(models.into_iter().map(|output| (output.model, output.step)).collect()))
            }
            ENTRIES_DROPPED => {
                let proto::EntriesDropped { run, entries } = read(payload)?;
                (run, Change::EntriesDropped(entries.into_iter().map(Into::into).collect()))
            }
            BATCH_LOGGED => {
                let message: proto::BatchLogged = read(payload)?;
                let change = Change::BatchLogged {
                    id: BatchId { id: message.batch_id, sha256: message.payload_sha256 },
                    metric_count: message.metric_count,
                    param_count: message.param_count,
                    tag_count: message.tag_count,
                    dropped: message.dropped_entries.into_iter().map(Into::into).collect(),
                };
                (message.run, change)
            }
            DELETED => (read::<proto::RunDeleted>(payload)?.run, Change::Deleted),
            RESTORED => (read::<proto::RunRestored>(payload)?.run, Change::Restored),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { run: name::<RunName>(kind, &run)?, change })
    }
}

/// Points as columns. Columns that are all the same are left out, and times are differences, so that the common batch
/// takes little more than its values.
fn pack(run: String, points: &Points) -> proto::MetricsLogged {
    let rows = &points.points;
    let mut last_ms = 0_i64;
    proto::MetricsLogged {
        run,
        keys: points.keys.clone(),
        key_indexes: match points.keys.len() {
            1 => vec![],
            _ => rows.iter().map(|point| point.key).collect(),
        },
        steps: rows.iter().map(|point| point.step).collect(),
        time_deltas_ms: rows
            .iter()
            .map(|point| point.time_ms.wrapping_sub(std::mem::replace(&mut last_ms, point.time_ms)))
            .collect(),
        values: rows.iter().map(|point| point.value).collect(),
        subjects: points
            .subjects
            .iter()
            .cloned()
            .map(|subject| proto::MetricSubject {
                model: subject.model,
                dataset_name: subject.dataset_name,
                dataset_digest: subject.dataset_digest,
            })
            .collect(),
        subject_indexes: match points.subjects.is_empty() {
            true => vec![],
            false => rows.iter().map(|point| point.subject).collect(),
        },
    }
}

fn unpack(kind: &str, message: proto::MetricsLogged) -> Result<(String, Points), DecodeFault> {
    let count = message.values.len();
    let has_all = |column: usize| column == count;
    let is_square = has_all(message.steps.len())
        && has_all(message.time_deltas_ms.len())
        && (message.key_indexes.is_empty() || has_all(message.key_indexes.len()))
        && (message.subject_indexes.is_empty() || has_all(message.subject_indexes.len()));
    let keys_exist = message.key_indexes.iter().all(|&key| (key as usize) < message.keys.len());
    let subjects_exist = message.subject_indexes.iter().all(|&subject| subject as usize <= message.subjects.len());
    if !is_square || !keys_exist || !subjects_exist || message.keys.is_empty() {
        return Err(malformed(kind, "its columns do not fit together"));
    }
    let mut time_ms = 0_i64;
    let points = (0..count)
        .map(|row| {
            time_ms = time_ms.wrapping_add(message.time_deltas_ms[row]);
            Point {
                key: message.key_indexes.get(row).copied().unwrap_or(0),
                subject: message.subject_indexes.get(row).copied().unwrap_or(0),
                step: message.steps[row],
                time_ms,
                value: message.values[row],
            }
        })
        .collect();
    let subjects = message.subjects.into_iter().map(|subject| Subject {
        model: subject.model,
        dataset_name: subject.dataset_name,
        dataset_digest: subject.dataset_digest,
    });
    Ok((message.run, Points { keys: message.keys, subjects: subjects.collect(), points }))
}
