use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::{Expected, Position};
use cairn_service::Refusal;
use uuid::Uuid;

use super::{App, Call, Made};
use crate::model::logged_model::{Command, NewLoggedModel, Rejection};
use crate::model::{ExperimentName, LoggedModel, LoggedModelName, ProjectName};
use crate::query::LoggedModelRecord;

/// Namespace of logged model ids.
const MODELS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_6d6f_6465_6c73);

/// A model about to be written.
#[derive(Clone, Debug, Default)]
pub struct ModelDraft {
    /// Empty: a name is made up.
    pub display_name: String,
    /// Id of the run that makes it.
    pub source_run: String,
    pub model_type: String,
    /// Empty: where the server keeps artifacts.
    pub artifact_location: String,
    pub params: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

impl App {
    /// Announces a model. Its id is `m-` and 32 hexadecimal digits, as MLflow's clients expect.
    pub async fn create_logged_model(
        &self,
        call: &Call,
        experiment: &ExperimentName,
        draft: ModelDraft,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        self.active_experiment(call, experiment).await?;
        let id = call.id(MODELS).simple().to_string();
        let name = experiment.logged_model(&format!("m-{id}"))?;
        let display_name =
            if draft.display_name.is_empty() { format!("model-{}", &id[..8]) } else { draft.display_name };
        let new = NewLoggedModel {
            name: name.clone(),
            display_name,
            source_run: draft.source_run,
            model_type: draft.model_type,
            artifact_location: draft.artifact_location,
            params: draft.params,
            tags: draft.tags,
        };
        self.change_logged_model(call, &name, Expected::Any, Command::Create(Arc::new(new))).await
    }

    /// A model that is not deleted.
    pub async fn logged_model(&self, call: &Call, name: &LoggedModelName) -> Result<LoggedModelRecord, Refusal> {
        let found = self.reading(call).await?.query.logged_model(&name.parent().parent(), name.model()).await?;
        let found = found.filter(|model| model.name == *name && !model.is_deleted);
        found.ok_or_else(|| Refusal::of(&Rejection::NotFound).with("model", name))
    }

    /// The full name of a model that a caller knows by its id.
    pub async fn logged_model_name(&self, project: &ProjectName, model: &str) -> Result<LoggedModelName, Refusal> {
        let state = self.inner.commands.load::<LoggedModel>(&project.logged_model_stream(model)).await?.state;
        state.name().cloned().map_err(|rejection| Refusal::of(&rejection).with("model", model))
    }

    /// Says that a model is written, or that writing it failed.
    pub async fn finalize_logged_model(
        &self,
        call: &Call,
        name: &LoggedModelName,
        expected: Expected,
        is_ready: bool,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        let command = if is_ready { Command::Ready } else { Command::Fail };
        self.change_logged_model(call, name, expected, command).await
    }

    /// Sets and deletes tags.
    pub async fn tag_logged_model(
        &self,
        call: &Call,
        name: &LoggedModelName,
        expected: Expected,
        set: BTreeMap<String, String>,
        delete: Vec<String>,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        self.change_logged_model(call, name, expected, Command::Tag { set, delete }).await
    }

    /// Adds params.
    pub async fn log_logged_model_params(
        &self,
        call: &Call,
        name: &LoggedModelName,
        params: BTreeMap<String, String>,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        self.change_logged_model(call, name, Expected::Any, Command::LogParams(params)).await
    }

    /// Deletes a model. Its artifacts stay.
    pub async fn delete_logged_model(
        &self,
        call: &Call,
        name: &LoggedModelName,
        expected: Expected,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        self.change_logged_model(call, name, expected, Command::Delete).await
    }

    async fn change_logged_model(
        &self,
        call: &Call,
        name: &LoggedModelName,
        expected: Expected,
        command: Command,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        // The id alone finds the stream, so a model of another experiment must not pass for one of this.
        if !matches!(command, Command::Create(_))
            && self.logged_model_name(&name.parent().parent(), name.model()).await? != *name
        {
            return Err(Refusal::of(&Rejection::NotFound).with("model", name));
        }
        let order = call.on(name.name());
        let done = self.inner.commands.execute::<LoggedModel>(&order, &name.stream(), expected, command).await?;
        self.made_logged_model(call, name, done.position).await
    }

    pub(super) async fn made_logged_model(
        &self,
        call: &Call,
        name: &LoggedModelName,
        position: Position,
    ) -> Result<Made<LoggedModelRecord>, Refusal> {
        self.reached(position, call.deadline).await?;
        let found = self.inner.query.logged_model(&name.parent().parent(), name.model()).await?;
        let value = found.ok_or_else(|| Refusal::internal(format!("{name} is not in its view at {position}")))?;
        Ok(Made { value, position })
    }
}
