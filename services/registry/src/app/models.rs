use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::{Aggregate, Expected, Position};
use cairn_service::Refusal;
use uuid::Uuid;

use super::gate::Gate;
use super::{App, Call, Made, Reading, default_terms, refused};
use crate::model::registered::{Command, Rejection};
use crate::model::{Alias, DisplayName, Model, ModelName, NameClaim, Number, Origin, ProjectName, Terms, model_name};
use crate::query::ModelRecord;

/// Namespace of model ids that no name gives.
const MODELS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7265_676d_6f64);

/// A model about to be registered.
#[derive(Clone, Debug)]
pub struct NewModel {
    /// Absent: made from the display name.
    pub name: Option<ModelName>,
    pub display_name: DisplayName,
    pub description: String,
    pub tags: BTreeMap<String, String>,
    /// Where it was registered before.
    pub origin: Option<Origin>,
}

/// What to change of a model, all at once.
#[derive(Clone, Debug, Default)]
pub struct ModelChange {
    pub display_name: Option<DisplayName>,
    pub description: Option<String>,
    pub set_tags: BTreeMap<String, String>,
    pub delete_tags: Vec<String>,
}

impl ModelChange {
    /// What it asks of the model, as far as hooks are about it.
    fn commands(&self, default: Option<Arc<Terms>>) -> Vec<Command> {
        let rename = |to: &DisplayName| Command::Rename { display_name: to.to_string(), default: default.clone() };
        let mut commands: Vec<Command> = self.display_name.as_ref().map(rename).into_iter().collect();
        commands.extend(self.description.clone().map(Command::Describe));
        commands.push(Command::Tag { set: self.set_tags.clone(), delete: self.delete_tags.clone() });
        commands
    }
}

impl App {
    /// Registers a model under a display name that is free.
    pub async fn create_model(
        &self,
        call: &Call,
        project: &ProjectName,
        new: NewModel,
    ) -> Result<Made<ModelRecord>, Refusal> {
        let new = Arc::new(new);
        let spare = project.model(&format!("~~{}", call.id(MODELS).simple()))?;
        let attempt = |mut work: Work, gate: Gate| {
            let (project, spare, new) = (project.clone(), spare.clone(), Arc::clone(&new));
            async move {
                let NewModel { name, display_name, description, tags, origin } = NewModel::clone(&new);
                let claim_stream = project.claim_stream(display_name.as_str());
                let display_name = display_name.to_string();
                let name = match name {
                    Some(name) => name,
                    None => {
                        let named = project.model_called(&new.display_name);
                        let holder = work.witness::<NameClaim>(&claim_stream).await?.state.holder().cloned();
                        let state = work.witness::<Model>(&named.stream()).await?.state;
                        // The id may be that of a model which is called otherwise now.
                        let is_other = state.name().is_ok() && *state.display_name != *display_name;
                        // A repeat is answered with the model that the name got then.
                        holder.unwrap_or(if is_other { spare } else { named })
                    }
                };
                let claim = model_name::Command::Claim { model: name.clone(), display_name: display_name.clone() };
                let create = Command::Create { name: name.clone(), display_name, description, tags };
                let taken = work.witness::<NameClaim>(&claim_stream).await?.state.decide(claim.clone()).err();
                if let Some(taken) = taken.filter(|_| !work.is_repeat()) {
                    return Err(CommandFault::Rejected(taken));
                }
                if !gate.lets_command(&mut work, &name, &create).await? {
                    return Ok((None, work));
                }
                work.decide::<NameClaim>(&claim_stream, Expected::Any, claim).await?;
                work.decide::<Model>(&name.stream(), Expected::Any, create).await?;
                if let Some(origin) = origin {
                    work.decide::<Model>(&name.stream(), Expected::Any, Command::Import(origin)).await?;
                }
                Ok((Some(name), work))
            }
        };
        let done = self.gated(call, &call.order, attempt).await;
        let (name, position) = done.map_err(Refusal::from)?;
        self.made_model(call, &name, position).await
    }

    /// The model that has a display name.
    pub async fn find_model(&self, project: &ProjectName, display_name: &str) -> Result<Option<ModelName>, Refusal> {
        let claim = self.inner.commands.load::<NameClaim>(&project.claim_stream(display_name)).await?;
        Ok(claim.state.holder().cloned())
    }

    /// A model.
    pub async fn model(&self, call: &Call, name: &ModelName) -> Result<ModelRecord, Refusal> {
        self.model_in(&self.reading(call).await?, name).await
    }

    /// A model as a read sees it.
    pub async fn model_in(&self, reading: &Reading, name: &ModelName) -> Result<ModelRecord, Refusal> {
        let found = reading.query.model(name).await?;
        found.ok_or_else(|| Refusal::of(&Rejection::NotFound).with("model", name))
    }

    /// Changes names, notes and tags of a model, all or nothing.
    pub async fn change_model(
        &self,
        call: &Call,
        name: &ModelName,
        expected: Expected,
        change: ModelChange,
    ) -> Result<Made<ModelRecord>, Refusal> {
        let change = Arc::new(change);
        let attempt = |mut work: Work, gate: Gate| {
            let (name, change) = (name.clone(), Arc::clone(&change));
            async move {
                let stream = name.stream();
                let current = work.witness::<Model>(&stream).await?.state;
                current.name().map_err(CommandFault::Rejected)?;
                let default = default_terms(&mut work, &name.parent()).await?;
                for command in change.commands(default) {
                    if !gate.lets_command(&mut work, &name, &command).await? {
                        return Ok((None, work));
                    }
                }
                // The etag is judged once, with the first decision; those after it rest on the same state.
                let mut expected = expected;
                if let Some(to) = &change.display_name
                    && *to.as_str() != *current.display_name
                {
                    let default = default_terms(&mut work, &name.parent()).await?;
                    let (to, from) = (to.to_string(), current.display_name.to_string());
                    let claim = model_name::Command::Claim { model: name.clone(), display_name: to.clone() };
                    work.decide::<NameClaim>(&name.parent().claim_stream(&to), Expected::Any, claim).await?;
                    work.decide::<Model>(&stream, expected, Command::Rename { display_name: to, default }).await?;
                    expected = Expected::Any;
                    let release = model_name::Command::Release { model: name.clone(), display_name: from.clone() };
                    work.decide::<NameClaim>(&name.parent().claim_stream(&from), Expected::Any, release).await?;
                }
                if let Some(description) = &change.description {
                    work.decide::<Model>(&stream, expected, Command::Describe(description.clone())).await?;
                    expected = Expected::Any;
                }
                let tag = Command::Tag { set: change.set_tags.clone(), delete: change.delete_tags.clone() };
                work.decide::<Model>(&stream, expected, tag).await?;
                Ok((Some(()), work))
            }
        };
        let done = self.gated(call, &call.on(name.name()), attempt).await;
        let ((), position) = done.map_err(|fault| refused(fault, name))?;
        self.made_model(call, name, position).await
    }

    /// Deletes a model and all its versions. Gives the model as it was.
    pub async fn delete_model(
        &self,
        call: &Call,
        name: &ModelName,
        expected: Expected,
    ) -> Result<Made<ModelRecord>, Refusal> {
        let before = self.model(call, name).await;
        let principal = call.principal().to_owned();
        let attempt = |mut work: Work, gate: Gate| {
            let (name, principal) = (name.clone(), principal.clone());
            async move {
                let default = default_terms(&mut work, &name.parent()).await?;
                let delete = Command::Delete { principal, default };
                if !gate.lets_command(&mut work, &name, &delete).await? {
                    return Ok((None, work));
                }
                let state = work.decide::<Model>(&name.stream(), expected, delete).await?;
                let display_name = state.display_name.to_string();
                let release = model_name::Command::Release { model: name.clone(), display_name: display_name.clone() };
                work.decide::<NameClaim>(&name.parent().claim_stream(&display_name), Expected::Any, release).await?;
                Ok((Some(()), work))
            }
        };
        let done = self.gated(call, &call.on(name.name()), attempt).await;
        let ((), position) = done.map_err(|fault| refused(fault, name))?;
        self.reached(position, call.deadline).await?;
        Ok(Made { value: before?, position })
    }

    /// Points an alias at a version.
    pub async fn set_alias(
        &self,
        call: &Call,
        name: &ModelName,
        expected: Expected,
        alias: &Alias,
        version: Number,
    ) -> Result<Made<ModelRecord>, Refusal> {
        let command = |default| Command::SetAlias { alias: alias.clone(), version, default };
        let (_, position) = self.command(call, name, expected, command).await?;
        self.made_model(call, name, position).await
    }

    /// Takes an alias away.
    pub async fn remove_alias(
        &self,
        call: &Call,
        name: &ModelName,
        expected: Expected,
        alias: &Alias,
    ) -> Result<Made<ModelRecord>, Refusal> {
        let command = |default| Command::RemoveAlias { alias: alias.clone(), default };
        let (_, position) = self.command(call, name, expected, command).await?;
        self.made_model(call, name, position).await
    }

    pub(super) async fn made_model(
        &self,
        call: &Call,
        name: &ModelName,
        position: Position,
    ) -> Result<Made<ModelRecord>, Refusal> {
        self.reached(position, call.deadline).await?;
        let found = self.inner.query.model(name).await?;
        let value = found.ok_or_else(|| Refusal::of(&Rejection::NotFound).with("model", name))?;
        Ok(Made { value, position })
    }
}
