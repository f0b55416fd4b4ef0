use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{CommandFault, Direction, Order};
use cairn_kernel::{Expected, Position, Revision, StreamName};
use cairn_service::{Refusal, Writer};
use uuid::Uuid;

use super::{App, Call, Made, Reading};
use crate::model::experiment::{Command, Rejection};
use crate::model::experiment_name;
use crate::model::name::{DEFAULT_EXPERIMENT, DEFAULT_EXPERIMENT_DISPLAY_NAME};
use crate::model::{Experiment, ExperimentName, NameClaim, Origin, ProjectName};
use crate::query::ExperimentRecord;

/// Namespace of experiment ids.
const EXPERIMENTS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6578_7065_7269);

/// An experiment about to be created.
#[derive(Clone, Debug, Default)]
pub struct NewExperiment {
    pub display_name: String,
    pub artifact_location: String,
    pub tags: BTreeMap<String, String>,
}

/// What to change of an experiment, all at once.
#[derive(Clone, Debug, Default)]
pub struct ExperimentChange {
    pub display_name: Option<String>,
    pub set_tags: BTreeMap<String, String>,
    pub delete_tags: Vec<String>,
}

impl App {
    /// Creates an experiment under a display name that is free.
    pub async fn create_experiment(
        &self,
        call: &Call,
        project: &ProjectName,
        new: NewExperiment,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        self.ensure_default(call, project).await?;
        // Eighteen digits, as MLflow's clients expect of a number that they handle as text.
        let digits = 100_000_000_000_000_000 + call.id(EXPERIMENTS).as_u128() % 900_000_000_000_000_000;
        let name = project.experiment(&digits.to_string())?;
        let position = self.create(&call.order, &name, new, None).await?;
        self.made(call, &name, position).await
    }

    /// Changes the display name and tags of an experiment, all or nothing.
    pub async fn change_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
        expected: Expected,
        change: ExperimentChange,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        self.ensure(call, name).await?;
        let change = Arc::new(change);
        let attempt = |mut work: cairn_eventstore::Work| {
            let (name, change) = (name.clone(), Arc::clone(&change));
            async move {
                let stream = name.stream();
                let current = work.witness::<Experiment>(&stream).await?.state;
                // The etag is judged once, with the first decision; those after it rest on the same state.
                let mut expected = expected;
                if let Some(to) = change.display_name.clone().filter(|to| *to != current.display_name) {
                    let from = current.display_name.clone();
                    let claim = project(&name).claim_stream(&to);
                    let command =
                        experiment_name::Command::Claim { experiment: name.clone(), display_name: to.clone() };
                    work.decide::<NameClaim>(&claim, Expected::Any, command).await?;
                    work.decide::<Experiment>(&stream, expected, Command::Rename { display_name: to }).await?;
                    expected = Expected::Any;
                    let release =
                        experiment_name::Command::Release { experiment: name.clone(), display_name: from.clone() };
                    work.decide::<NameClaim>(&project(&name).claim_stream(&from), Expected::Any, release).await?;
                }
                let command = Command::Tag { set: change.set_tags.clone(), delete: change.delete_tags.clone() };
                work.decide::<Experiment>(&stream, expected, command).await?;
                Ok(((), work))
            }
        };
        let done = self.inner.commands.transact::<Rejection, _, _, _>(&call.order, attempt).await;
        let ((), position) = done.map_err(Refusal::from)?;
        self.made(call, name, position).await
    }

    /// Deletes an experiment, and with it its runs.
    pub async fn delete_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
        expected: Expected,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        self.execute_experiment(call, name, expected, Command::Delete).await
    }

    /// Brings a deleted experiment back.
    pub async fn restore_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
        expected: Expected,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        let _room = self.room_for_experiment(call, name).await?;
        self.execute_experiment(call, name, expected, Command::Restore).await
    }

    /// An experiment, deleted or not.
    pub async fn experiment(&self, call: &Call, name: &ExperimentName) -> Result<ExperimentRecord, Refusal> {
        let reading = self.experiment_reading(call, name).await?;
        self.experiment_in(&reading, name).await
    }

    /// An experiment as a read sees it.
    pub async fn experiment_in(&self, reading: &Reading, name: &ExperimentName) -> Result<ExperimentRecord, Refusal> {
        let found = reading.query.experiment(name).await?;
        found.ok_or_else(|| Refusal::of(&Rejection::NotFound).with("experiment", name))
    }

    /// What a read of something in an experiment sees. In the past nothing is made any more.
    pub async fn experiment_reading(&self, call: &Call, name: &ExperimentName) -> Result<Reading, Refusal> {
        if call.as_of.is_none() {
            self.ensure(call, name).await?;
        }
        self.reading(call).await
    }

    /// Makes sure that a project has its default experiment, which nobody creates.
    pub async fn ensure_default(&self, call: &Call, project: &ProjectName) -> Result<(), Refusal> {
        if self.inner.defaults.contains_key(project.project()) {
            return Ok(());
        }
        let name = project.experiment(DEFAULT_EXPERIMENT)?;
        let display_name = DEFAULT_EXPERIMENT_DISPLAY_NAME.to_owned();
        let exists = self.inner.commands.load::<Experiment>(&name.stream()).await?.state.name().is_ok();
        if !exists {
            let new = NewExperiment { display_name, ..NewExperiment::default() };
            let order = call.besides();
            let made = Writer::Process(Process::DefaultExperiment).run(self.create(&order, &name, new, None)).await;
            let position = match made {
                // Somebody else was faster, in another process perhaps, and this one need not have heard of it yet.
                Err(refusal) if refusal.reason == "EXPERIMENT_EXISTS" => self.end_of(&name.stream()).await?,
                outcome => outcome?,
            };
            self.reached(position, call.deadline).await?;
        }
        self.inner.defaults.insert(project.project().to_owned(), ()).await;
        Ok(())
    }

    /// Where the last event of a stream is.
    async fn end_of(&self, stream: &StreamName) -> Result<Position, Refusal> {
        let store = self.inner.commands.store();
        let last = store.read(stream, Revision(u64::MAX), Direction::Backwards, 1).await.map_err(Refusal::internal)?;
        Ok(last.first().map_or(Position::START, |event| event.position))
    }

    /// The experiment that a run's change belongs to, in use.
    pub(super) async fn active_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
    ) -> Result<Arc<Experiment>, Refusal> {
        let stream = name.stream();
        let experiment = match self.inner.experiments.get(&stream).await {
            Some(experiment) => experiment,
            None => {
                self.ensure(call, name).await?;
                let experiment = self.inner.commands.load::<Experiment>(&stream).await?.state;
                // One that is not there may be made by another process in this moment.
                if experiment.name().is_ok() {
                    self.inner.experiments.insert(stream, Arc::clone(&experiment)).await;
                }
                experiment
            }
        };
        experiment.active().map_err(|rejection| Refusal::of(&rejection).with("experiment", name))?;
        Ok(experiment)
    }

    pub(super) async fn ensure(&self, call: &Call, name: &ExperimentName) -> Result<(), Refusal> {
        match name.is_default() {
            true => self.ensure_default(call, &name.parent()).await,
            false => Ok(()),
        }
    }

    /// `origin`: where it was made before.
    pub(super) async fn create(
        &self,
        order: &Order,
        name: &ExperimentName,
        new: NewExperiment,
        origin: Option<Origin>,
    ) -> Result<Position, Refusal> {
        let new = Arc::new(new);
        let attempt = |mut work: cairn_eventstore::Work| {
            let (name, new, origin) = (name.clone(), Arc::clone(&new), origin.clone());
            async move {
                let NewExperiment { display_name, artifact_location, tags } = NewExperiment::clone(&new);
                let claim = project(&name).claim_stream(&display_name);
                let command =
                    experiment_name::Command::Claim { experiment: name.clone(), display_name: display_name.clone() };
                work.decide::<NameClaim>(&claim, Expected::Any, command).await?;
                let stream = name.stream();
                let command = Command::Create { name, display_name, artifact_location, tags };
                work.decide::<Experiment>(&stream, Expected::Any, command).await?;
                if let Some(origin) = origin {
                    work.decide::<Experiment>(&stream, Expected::Any, Command::Import(origin)).await?;
                }
                Ok::<_, CommandFault<Rejection>>(((), work))
            }
        };
        let ((), position) = self.inner.commands.transact(order, attempt).await.map_err(Refusal::from)?;
        Ok(position)
    }

    async fn execute_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
        expected: Expected,
        command: Command,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        self.ensure(call, name).await?;
        let done = self.inner.commands.execute::<Experiment>(&call.order, &name.stream(), expected, command).await?;
        self.made(call, name, done.position).await
    }

    pub(super) async fn made(
        &self,
        call: &Call,
        name: &ExperimentName,
        position: Position,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        self.inner.experiments.invalidate(&name.stream()).await;
        self.reached(position, call.deadline).await?;
        let found = self.inner.query.experiment(name).await?;
        let value = found.ok_or_else(|| Refusal::internal(format!("{name} is not in its view at {position}")))?;
        Ok(Made { value, position })
    }
}

fn project(name: &ExperimentName) -> ProjectName {
    name.parent()
}
