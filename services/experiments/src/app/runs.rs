use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_eventstore::Done;
use cairn_kernel::{Expected, Position, Time};
use cairn_service::Refusal;
use uuid::Uuid;

use super::{App, Call, Made, Reading};
use crate::model::run::{Action, Command, Dataset, NewRun, Rejection};
use crate::model::{ExperimentName, ProjectName, Run, RunName, RunState};
use crate::query::RunRecord;

/// Namespace of run ids.
const RUNS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7275_6e73_0000);

/// How often an entry is added anew because somebody else changed the run meanwhile.
const APPENDS_MAX: usize = 100;
/// Longest list in a tag, in bytes.
const LIST_BYTES_MAX: usize = 1 << 20;

/// A run about to begin.
#[derive(Clone, Debug, Default)]
pub struct RunDraft {
    /// Empty: the tag `mlflow.runName`, else a name is made up.
    pub display_name: String,
    pub user: String,
    /// Absent: now.
    pub start_time: Option<Time>,
    pub state: RunState,
    /// Id of the run it is nested in.
    pub parent: Option<String>,
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

impl App {
    /// Starts a run, and answers with it as lists show it.
    pub async fn create_run(
        &self,
        call: &Call,
        experiment: &ExperimentName,
        draft: RunDraft,
    ) -> Result<Made<RunRecord>, Refusal> {
        let Made { value, position } = self.begin_run(call, experiment, draft).await?;
        let name = value.name().map_err(|rejection| Refusal::of(&rejection))?;
        Ok(Made { value: self.listed_run(name, position).await?, position })
    }

    /// Starts a run, and answers with its state, which costs no query. Lists show it by then.
    pub async fn begin_run(
        &self,
        call: &Call,
        experiment: &ExperimentName,
        draft: RunDraft,
    ) -> Result<Made<Arc<Run>>, Refusal> {
        let name = experiment.run(&call.id(RUNS).simple().to_string())?;
        let new = self.new_run(call, &name, draft).await?;
        let _room = self.room_for_new(call, &name, new.state).await?;
        let done = self.act_on_run(call, &name, Expected::Any, Action::Create(Arc::new(new))).await?;
        self.reached(done.position, call.deadline).await?;
        Ok(Made { value: done.state, position: done.position })
    }

    /// What a run of this name begins with.
    pub(super) async fn new_run(&self, call: &Call, name: &RunName, draft: RunDraft) -> Result<NewRun, Refusal> {
        let parent = self.active_experiment(call, &name.parent()).await?;
        let mut display_name = draft.display_name;
        if display_name.is_empty() && !draft.tags.contains_key(crate::model::entry::tag::RUN_NAME) {
            display_name = format!("run-{}", name.run().get(..8).unwrap_or(name.run()));
        }
        Ok(NewRun {
            display_name,
            state: draft.state,
            user: draft.user,
            start_time: draft.start_time.unwrap_or_else(|| self.inner.clock.now()),
            parent: draft.parent,
            experiment_revision: parent.revision,
            artifact_location: artifact_location(&parent.artifact_location, name.run()),
            params: draft.params,
            tags: self.tag_change(name, draft.tags, vec![]).await?,
            limits: self.inner.config.limits(),
        })
    }

    /// A run, deleted or not.
    pub async fn run(&self, call: &Call, name: &RunName) -> Result<RunRecord, Refusal> {
        self.settle_run(call, name).await;
        let reading = self.reading(call).await?;
        self.run_in(&reading, name).await
    }

    /// A run as a read sees it.
    pub async fn run_in(&self, reading: &Reading, name: &RunName) -> Result<RunRecord, Refusal> {
        let found = reading.query.run(&name.parent().parent(), name.run()).await?;
        let found = found.filter(|run| run.name == *name);
        found.ok_or_else(|| Refusal::of(&Rejection::NotFound).with("run", name))
    }

    /// Makes sure that a run exists under this very name.
    pub async fn require_run(&self, call: &Call, name: &RunName) -> Result<(), Refusal> {
        self.settle(call).await?;
        match self.run_name(&name.parent().parent(), name.run()).await? == *name {
            true => Ok(()),
            false => Err(Refusal::of(&Rejection::NotFound).with("run", name)),
        }
    }

    /// What a read of something in a run sees, once the run exists there under this very name.
    pub async fn reading_in_run(&self, call: &Call, name: &RunName) -> Result<Reading, Refusal> {
        let reading = self.reading(call).await?;
        match reading.is_past {
            true => drop(self.run_in(&reading, name).await?),
            // The state of a run is at hand, and its row is not.
            false => self.require_run(call, name).await?,
        }
        Ok(reading)
    }

    /// The same for a read of its points.
    pub async fn reading_of_points(&self, call: &Call, name: &RunName) -> Result<Reading, Refusal> {
        self.settle_run(call, name).await;
        let reading = self.reading_in_run(call, name).await?;
        if !reading.is_past {
            self.settle_points(call).await?;
        }
        Ok(reading)
    }

    /// The full name of a run that a caller knows by its id.
    pub async fn run_name(&self, project: &ProjectName, run: &str) -> Result<RunName, Refusal> {
        let stream = project.run_stream(run);
        if let Some(name) = self.inner.runs.get(&stream).await {
            return Ok(name);
        }
        let state = self.inner.commands.load::<Run>(&stream).await?.state;
        let name = state.name().map_err(|rejection| Refusal::of(&rejection).with("run", run))?.clone();
        self.inner.runs.insert(stream, name.clone()).await;
        Ok(name)
    }

    /// A run's state as decisions see it: without points, and without a query.
    pub async fn run_state(&self, name: &RunName) -> Result<Arc<Run>, Refusal> {
        let state = self.inner.commands.load::<Run>(&name.stream()).await?.state;
        match state.name() {
            Ok(found) if found == name => Ok(state),
            _ => Err(Refusal::of(&Rejection::NotFound).with("run", name)),
        }
    }

    /// Ends a run, once.
    pub async fn finish_run(
        &self,
        call: &Call,
        name: &RunName,
        expected: Expected,
        state: RunState,
        end_time: Option<Time>,
    ) -> Result<Made<RunRecord>, Refusal> {
        let end_time = end_time.unwrap_or_else(|| self.inner.clock.now());
        // Whoever hears that it has ended should find everything it logged.
        self.settle_run(call, name).await;
        self.change_run(call, name, expected, Action::Finish { state, end_time }).await
    }

    /// Changes what is given, by MLflow's rule: whatever was before.
    pub async fn amend_run(
        &self,
        call: &Call,
        name: &RunName,
        state: Option<RunState>,
        end_time: Option<Time>,
        display_name: Option<String>,
    ) -> Result<Made<RunRecord>, Refusal> {
        let _room = self.room_for_state(call, name, state).await?;
        if state.is_some_and(RunState::is_terminal) {
            self.settle_run(call, name).await;
        }
        self.change_run(call, name, Expected::Any, Action::Amend { state, end_time, display_name }).await
    }

    /// Sets and deletes tags. Setting `mlflow.runName` renames the run.
    pub async fn tag_run(
        &self,
        call: &Call,
        name: &RunName,
        expected: Expected,
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    ) -> Result<Made<RunRecord>, Refusal> {
        let change = self.tag_change(name, set, delete).await?;
        self.change_run(call, name, expected, Action::Tag(Arc::new(change))).await
    }

    /// Adds an entry to a tag that holds a JSON list, as MLflow's clients keep the history of a run's models. Who
    /// changes the run at the same moment is waited for and not overwritten.
    pub async fn append_to_tag(
        &self,
        call: &Call,
        name: &RunName,
        key: &str,
        entry: serde_json::Value,
    ) -> Result<Position, Refusal> {
        for _ in 0..APPENDS_MAX {
            let loaded = self.inner.commands.load::<Run>(&name.stream()).await?;
            let known = loaded.state.tags.get(key).and_then(|text| serde_json::from_str(text).ok());
            let mut list: Vec<serde_json::Value> = known.unwrap_or_default();
            list.push(entry.clone());
            let text = serde_json::Value::Array(list).to_string();
            if text.len() > LIST_BYTES_MAX {
                return Err(Refusal::invalid("tag", format!("{key} would have more than {LIST_BYTES_MAX} bytes")));
            }
            let expected = loaded.revision.map_or(Expected::Any, Expected::Exactly);
            let change = self.tag_change(name, [(key.to_owned(), text)].into(), vec![]).await?;
            match self.act_on_run(call, name, expected, Action::Tag(Arc::new(change))).await {
                Err(refusal) if refusal.reason == "ETAG_MISMATCH" => {}
                done => {
                    let position = done?.position;
                    self.reached(position, call.deadline).await?;
                    return Ok(position);
                }
            }
        }
        Err(Refusal::new(cairn_kernel::Code::Aborted, "ETAG_MISMATCH", format!("{name} is being changed too often")))
    }

    /// Notes what a run read.
    pub async fn log_inputs(
        &self,
        call: &Call,
        name: &RunName,
        datasets: Vec<Dataset>,
        models: Vec<String>,
    ) -> Result<Made<RunRecord>, Refusal> {
        let bytes: u64 = datasets.iter().map(|d| (d.schema.len() + d.profile.len() + d.source.len()) as u64).sum();
        let max = self.inner.config.inputs_bytes_max;
        if bytes > max {
            let problem = format!(
                "schemas, profiles and sources have {bytes} bytes together, more than the {max} of the setting \
                 experiments.inputs_bytes_max; log them in several requests, or a smaller profile"
            );
            return Err(Refusal::invalid("datasets", problem));
        }
        self.change_run(call, name, Expected::Any, Action::LogInputs { datasets, models }).await
    }

    /// Notes which models a run made: their ids and steps.
    pub async fn log_outputs(
        &self,
        call: &Call,
        name: &RunName,
        models: Vec<(String, i64)>,
    ) -> Result<Made<RunRecord>, Refusal> {
        self.change_run(call, name, Expected::Any, Action::LogOutputs { models }).await
    }

    /// Deletes a run.
    pub async fn delete_run(
        &self,
        call: &Call,
        name: &RunName,
        expected: Expected,
    ) -> Result<Made<RunRecord>, Refusal> {
        self.settle_run(call, name).await;
        let deleted = self.change_run(call, name, expected, Action::Delete).await?;
        if let Some(ingest) = &self.ingest {
            ingest.verified.forget(&name.stream());
        }
        Ok(deleted)
    }

    /// Brings a deleted run back.
    pub async fn restore_run(
        &self,
        call: &Call,
        name: &RunName,
        expected: Expected,
    ) -> Result<Made<RunRecord>, Refusal> {
        let _room = self.room_for_restored(call, name).await?;
        self.change_run(call, name, expected, Action::Restore).await
    }

    /// Carries out one command on a run and answers with the run after it.
    async fn change_run(
        &self,
        call: &Call,
        name: &RunName,
        expected: Expected,
        action: Action,
    ) -> Result<Made<RunRecord>, Refusal> {
        let position = self.act_on_run(call, name, expected, action).await?.position;
        self.reached(position, call.deadline).await?;
        Ok(Made { value: self.listed_run(name, position).await?, position })
    }

    /// A run that a change just made was about.
    pub(super) async fn listed_run(&self, name: &RunName, position: Position) -> Result<RunRecord, Refusal> {
        let found = self.inner.query.run(&name.parent().parent(), name.run()).await?;
        found.ok_or_else(|| Refusal::internal(format!("{name} is not in its view at {position}")))
    }

    async fn act_on_run(
        &self,
        call: &Call,
        name: &RunName,
        expected: Expected,
        action: Action,
    ) -> Result<Done<Run>, Refusal> {
        self.active_experiment(call, &name.parent()).await?;
        let command = Command { run: name.clone(), action };
        Ok(self.inner.commands.execute::<Run>(&call.on(name.name()), &name.stream(), expected, command).await?)
    }
}

/// Below that of its experiment, if that has one of its own.
fn artifact_location(experiment: &str, run: &str) -> String {
    match experiment {
        "" => String::new(),
        location => format!("{}/{run}/artifacts", location.trim_end_matches('/')),
    }
}
