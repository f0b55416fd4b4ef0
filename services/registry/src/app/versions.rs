use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::{Code, Expected, Position};
use cairn_service::Refusal;

use super::gate::Gate;
use super::signing::checked;
use super::{App, Call, Made, refused};
use crate::files::{ArtifactPage, place};
use crate::model::registered::{Command, Rejection};
use crate::model::version::{self, Facts};
use crate::model::{Model, ModelName, Number, Origin, Stage, Version, VersionName};
use crate::query::{Query, VersionRecord};

/// A version about to be registered.
#[derive(Clone, Debug, Default)]
pub struct NewVersion {
    pub description: String,
    pub tags: BTreeMap<String, String>,
    pub facts: Facts,
    /// The number it had elsewhere, and where.
    pub import: Option<(Number, Origin)>,
}

/// Which version of a model is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolve {
    Alias(String),
    Latest,
    Stage(Stage),
}

impl App {
    /// Registers the next version of a model. The number is decided by the model's stream, so it is neither left out nor
    /// given twice, however many ask at once.
    pub async fn create_version(
        &self,
        call: &Call,
        model: &ModelName,
        new: NewVersion,
    ) -> Result<Made<VersionRecord>, Refusal> {
        let NewVersion { description, tags, facts, import } = new;
        let place = place(&model.parent(), &facts);
        let found = Arc::new(self.inner.files.at(place.as_ref(), self.head(), call.deadline).await?);
        let (words, facts) = (Arc::new((description, tags)), Arc::new(facts));
        let versions_max = u32::try_from(self.inner.config.versions_per_model_max).unwrap_or(u32::MAX);
        let request = call.request_key();
        let attempt = |mut work: Work, gate: Gate| {
            let (model, words, facts) = (model.clone(), Arc::clone(&words), Arc::clone(&facts));
            let (import, request) = (import.clone(), request.clone());
            let found = Arc::clone(&found);
            let number = match &import {
                Some((version, _)) => Command::NumberAs { version: *version, versions_max, request },
                None => Command::Number { versions_max, request },
            };
            async move {
                let (description, tags) = (*words).clone();
                let facts = checked(&mut work, &model, &facts, &found).await?;
                if !gate.lets_version(&mut work, &model, &number, &description, &tags, &facts).await? {
                    return Ok((None, work));
                }
                let state = work.decide::<Model>(&model.stream(), Expected::Any, number).await?;
                let name = model.version(state.last());
                let artifacts = Arc::clone(&found.artifacts);
                let create = version::Command::Create { name: name.clone(), description, tags, facts, artifacts };
                work.decide::<Version>(&name.stream(), Expected::Any, create).await?;
                if let Some((_, origin)) = import {
                    work.decide::<Version>(&name.stream(), Expected::Any, version::Command::Import(origin)).await?;
                }
                Ok((Some(name), work))
            }
        };
        let done = self.gated(call, &call.on(model.name()), attempt).await;
        let (mut name, position) = done.map_err(|fault| refused(fault, model))?;
        self.reached(position, call.deadline).await?;
        // A repeat meets the model as it is now; its own number is on record.
        if !request.is_empty()
            && let Some(number) = self.inner.query.number_of(model, &request).await?
        {
            name = model.version(number);
        }
        self.made_version(call, &name, position).await
    }

    /// A version.
    pub async fn version(&self, call: &Call, name: &VersionName) -> Result<VersionRecord, Refusal> {
        version(&self.reading(call).await?.query, name).await
    }

    /// The files of a version as they were when it was registered, by path.
    pub async fn version_artifacts(
        &self,
        call: &Call,
        name: &VersionName,
        limit: usize,
        page_token: &str,
    ) -> Result<ArtifactPage, Refusal> {
        self.version(call, name).await?;
        // Whoever has just registered it, and was answered by another view, finds its files here.
        let seen = self.head().max(call.after.unwrap_or_default());
        self.inner.files.of_version(name, seen, call.deadline, limit, page_token).await
    }

    /// The version that an alias or a stage stands for.
    pub async fn resolve(&self, call: &Call, model: &ModelName, wanted: Resolve) -> Result<VersionRecord, Refusal> {
        let reading = self.reading(call).await?;
        self.model_in(&reading, model).await?;
        let query = &reading.query;
        let (found, what) = match wanted {
            Resolve::Alias(alias) => (query.version_by_alias(model, &alias).await?, format!("alias {alias}")),
            Resolve::Latest => (query.newest_version(model, None).await?, "version".to_owned()),
            Resolve::Stage(stage) => {
                (query.newest_version(model, Some(stage)).await?, format!("version in stage {stage}"))
            }
        };
        found.ok_or_else(|| {
            let message = format!("{model} has no {what}");
            let refusal = Refusal::new(Code::NotFound, "ALIAS_NOT_FOUND", message);
            refusal.with("model", model).with("what", what)
        })
    }

    /// Changes notes and tags of a version, all or nothing.
    pub async fn change_version(
        &self,
        call: &Call,
        name: &VersionName,
        expected: Expected,
        description: Option<String>,
        set_tags: BTreeMap<String, String>,
        delete_tags: Vec<String>,
    ) -> Result<Made<VersionRecord>, Refusal> {
        let model = name.parent();
        // A change that races the deletion of its version may land after it, and is then part of what is gone.
        let (state, _) = self.load(&self.present(), &model).await?;
        state.version(name.number()).map_err(|rejection| refused(CommandFault::Rejected(rejection), &model))?;
        let change = Arc::new((description, set_tags, delete_tags));
        let attempt = |mut work: Work, gate: Gate| {
            let (name, stream, change) = (name.clone(), name.stream(), Arc::clone(&change));
            async move {
                let (description, set, delete) = (*change).clone();
                let commands = description.clone().map(version::Command::Describe).into_iter();
                let tag = version::Command::Tag { set: set.clone(), delete: delete.clone() };
                for command in commands.chain([tag]) {
                    if !gate.lets_version_command(&mut work, &name, command).await? {
                        return Ok((None, work));
                    }
                }
                let mut expected = expected;
                if let Some(description) = description {
                    work.decide::<Version>(&stream, expected, version::Command::Describe(description)).await?;
                    expected = Expected::Any;
                }
                work.decide::<Version>(&stream, expected, version::Command::Tag { set, delete }).await?;
                Ok((Some(()), work))
            }
        };
        let done = self.gated(call, &call.on(name.name()), attempt).await;
        let ((), position) = done.map_err(|fault| refused(fault, &model))?;
        self.made_version(call, name, position).await
    }

    /// Moves a version to another stage.
    pub async fn transition(
        &self,
        call: &Call,
        name: &VersionName,
        expected: Expected,
        stage: Stage,
        archive_existing: bool,
    ) -> Result<Made<VersionRecord>, Refusal> {
        let version = name.number();
        let command = |default| Command::Transition { version, stage, archive_existing, default };
        let (_, position) = self.command(call, &name.parent(), expected, command).await?;
        self.made_version(call, name, position).await
    }

    /// Deletes a version. Gives it as it was.
    pub async fn delete_version(
        &self,
        call: &Call,
        name: &VersionName,
        expected: Expected,
    ) -> Result<Made<VersionRecord>, Refusal> {
        let before = self.version(call, name).await;
        let version = name.number();
        let command = |default| Command::DeleteVersion { version, default };
        let (_, position) = self.command(call, &name.parent(), expected, command).await?;
        self.reached(position, call.deadline).await?;
        Ok(Made { value: before?, position })
    }

    async fn made_version(
        &self,
        call: &Call,
        name: &VersionName,
        position: Position,
    ) -> Result<Made<VersionRecord>, Refusal> {
        self.reached(position, call.deadline).await?;
        Ok(Made { value: version(&self.inner.query, name).await?, position })
    }
}

/// A version, or whether it is the version or the whole model that is not there.
async fn version(query: &Query, name: &VersionName) -> Result<VersionRecord, Refusal> {
    if let Some(version) = query.version(name).await? {
        return Ok(version);
    }
    let model = name.parent();
    let rejection = match query.model(&model).await? {
        Some(_) => Rejection::VersionNotFound { model: model.clone(), version: name.number() },
        None => Rejection::NotFound,
    };
    Err(refused(CommandFault::Rejected(rejection), &model))
}
