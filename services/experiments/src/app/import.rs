//! Taking over what was made elsewhere, under the id it had there.

use std::sync::Arc;

use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::Expected;
use cairn_service::Refusal;

use super::{App, Call, Made, ModelDraft, NewExperiment, RunDraft};
use crate::model::logged_model::{self, NewLoggedModel};
use crate::model::run::{self, Action};
use crate::model::{ExperimentName, LoggedModel, LoggedModelName, Origin, Run, RunName};
use crate::query::{ExperimentRecord, LoggedModelRecord, RunRecord};

impl App {
    /// Takes over an experiment under a display name that is free.
    pub async fn import_experiment(
        &self,
        call: &Call,
        name: &ExperimentName,
        new: NewExperiment,
        origin: Origin,
    ) -> Result<Made<ExperimentRecord>, Refusal> {
        // The default experiment keeps its display name, whoever comes first.
        self.ensure_default(call, &name.parent()).await?;
        let position = self.create(&call.on(name.name()), name, new, Some(origin)).await?;
        self.made(call, name, position).await
    }

    /// Takes over a run as one that is at work.
    pub async fn import_run(
        &self,
        call: &Call,
        name: &RunName,
        draft: RunDraft,
        source: String,
    ) -> Result<Made<RunRecord>, Refusal> {
        let new = Arc::new(self.new_run(call, name, draft).await?);
        let _room = self.room_for_new(call, name, new.state).await?;
        let attempt = |mut work: Work| {
            let (name, create, source) = (name.clone(), Action::Create(Arc::clone(&new)), source.clone());
            async move {
                let stream = name.stream();
                for action in [create, Action::Import { source }] {
                    let command = run::Command { run: name.clone(), action };
                    work.decide::<Run>(&stream, Expected::Any, command).await?;
                }
                Ok::<_, CommandFault<run::Rejection>>(((), work))
            }
        };
        let done = self.inner.commands.transact(&call.on(name.name()), attempt).await;
        let ((), position) = done.map_err(Refusal::from)?;
        self.reached(position, call.deadline).await?;
        Ok(Made { value: self.listed_run(name, position).await?, position })
    }

    /// Takes over a logged model as one that is being written.
    pub async fn import_logged_model(
        &self,
        call: &Call,
        name: &LoggedModelName,
        draft: ModelDraft,
        origin: Origin,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        self.active_experiment(call, &name.parent()).await?;
        let new = Arc::new(NewLoggedModel {
            name: name.clone(),
            display_name: if draft.display_name.is_empty() { name.model().to_owned() } else { draft.display_name },
            source_run: draft.source_run,
            model_type: draft.model_type,
            artifact_location: draft.artifact_location,
            params: draft.params,
            tags: draft.tags,
        });
        let attempt = |mut work: Work| {
            let (stream, new, origin) = (name.stream(), Arc::clone(&new), origin.clone());
            async move {
                for command in [logged_model::Command::Create(new), logged_model::Command::Import(origin)] {
                    work.decide::<LoggedModel>(&stream, Expected::Any, command).await?;
                }
                Ok::<_, CommandFault<logged_model::Rejection>>(((), work))
            }
        };
        let done = self.inner.commands.transact(&call.on(name.name()), attempt).await;
        let ((), position) = done.map_err(Refusal::from)?;
        self.made_logged_model(call, name, position).await
    }
}
