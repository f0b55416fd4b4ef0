use std::collections::BTreeSet;

use cairn_kernel::{Expected, Position};
use cairn_service::{Refusal, Reply};
use proto::mlflow_registered_model_service_server::MlflowRegisteredModelService;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::convert::{model, version};
use super::fault::{ErrorCode, invalid, translated};
use super::required::{alias, model_name, new_alias, page_size, tag, tag_key, tags};
use super::versions::gone;
use super::{Mlflow, proto};
use crate::app::{Call, Made, ModelChange, NewModel, Resolve, Way};
use crate::model::entry::{LATEST, tag as tag_names};
use crate::model::{ModelName, Move, Stage, Target};
use crate::query::{ModelRecord, ModelSearch, VersionRecord};
use crate::search::{SearchFault, model_filter, model_order};

/// Models on one page, unless the caller says otherwise, and at most.
const PAGE_DEFAULT: i64 = 100;
const PAGE_MAX: i64 = 1000;

#[tonic::async_trait]
impl MlflowRegisteredModelService for Mlflow {
    async fn create_registered_model(
        &self,
        request: Request<proto::CreateRegisteredModelRequest>,
    ) -> Reply<proto::CreateRegisteredModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let call = caller.allow(caller.project().name())?;
        let display_name = model_name("name", &request.name)?;
        let tags = tags(request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect())?;
        let is_prompt = is_prompt(tags.get(tag_names::IS_PROMPT));
        let new = NewModel {
            name: None,
            display_name: display_name.clone(),
            description: request.description.unwrap_or_default(),
            tags,
            origin: None,
        };
        let made = match self.app.create_model(&call, caller.project(), new).await {
            Err(refusal) if refusal.reason == "MODEL_EXISTS" => {
                return Err(self.taken(&caller, display_name.as_str(), is_prompt).await?);
            }
            outcome => outcome.map_err(translated)?,
        };
        let answer = proto::CreateRegisteredModelResponse { registered_model: Some(model(made.value, vec![])) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn rename_registered_model(
        &self,
        request: Request<proto::RenameRegisteredModelRequest>,
    ) -> Reply<proto::RenameRegisteredModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let to = model_name("new_name", &request.new_name)?;
        let change = ModelChange { display_name: Some(to.clone()), ..ModelChange::default() };
        let made = match self.app.change_model(&call, &name, Expected::Any, change).await {
            Err(refusal) if refusal.reason == "MODEL_EXISTS" => {
                return Err(
                    ErrorCode::ResourceAlreadyExists.says(format!("Registered Model (name={to}) already exists."))
                );
            }
            outcome => outcome.map_err(translated)?,
        };
        let (registered_model, position) = self.whole(made).await?;
        Ok(caller.ctx().reply(proto::RenameRegisteredModelResponse { registered_model }, position))
    }

    async fn update_registered_model(
        &self,
        request: Request<proto::UpdateRegisteredModelRequest>,
    ) -> Reply<proto::UpdateRegisteredModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let change =
            ModelChange { description: Some(request.description.unwrap_or_default()), ..ModelChange::default() };
        let made = self.app.change_model(&call, &name, Expected::Any, change).await.map_err(translated)?;
        let (registered_model, position) = self.whole(made).await?;
        Ok(caller.ctx().reply(proto::UpdateRegisteredModelResponse { registered_model }, position))
    }

    async fn delete_registered_model(
        &self,
        request: Request<proto::DeleteRegisteredModelRequest>,
    ) -> Reply<proto::DeleteRegisteredModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let made = self.app.delete_model(&call, &name, Expected::Any).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteRegisteredModelResponse {}, made.position))
    }

    async fn get_registered_model(
        &self,
        request: Request<proto::GetRegisteredModelRequest>,
    ) -> Reply<proto::GetRegisteredModelResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let record = self.read(&call, &name).await?;
        let latest = self.latest(std::slice::from_ref(&name)).await?.into_iter().flatten().collect();
        Ok(Response::new(proto::GetRegisteredModelResponse { registered_model: Some(model(record, latest)) }))
    }

    async fn search_registered_models(
        &self,
        request: Request<proto::SearchRegisteredModelsRequest>,
    ) -> Reply<proto::SearchRegisteredModelsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (filter, prompts) = model_filter(request.filter.as_deref().unwrap_or_default()).map_err(said)?;
        let search = ModelSearch {
            project: caller.project().clone(),
            visible: caller.visible(),
            filter,
            prompts,
            order: model_order(&request.order_by).map_err(said)?,
            limit: page_size(request.max_results.unwrap_or(PAGE_DEFAULT), PAGE_MAX)?,
            page_token: request.page_token.unwrap_or_default(),
        };
        self.app.settle(&caller.list()).await.map_err(translated)?;
        let page = self.app.query().search_models(search).await.map_err(|fault| translated(fault.into()))?;
        let names: Vec<ModelName> = page.models.iter().map(|record| record.name.clone()).collect();
        let latest = self.latest(&names).await?;
        Ok(Response::new(proto::SearchRegisteredModelsResponse {
            registered_models: page
                .models
                .into_iter()
                .zip(latest)
                .map(|(record, latest)| model(record, latest))
                .collect(),
            next_page_token: Some(page.next_page_token).filter(|token| !token.is_empty()),
        }))
    }

    async fn get_latest_versions(
        &self,
        request: Request<proto::GetLatestVersionsRequest>,
    ) -> Reply<proto::GetLatestVersionsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let stages: Vec<Stage> = request.stages.iter().map(|text| stage(text)).collect::<Result<_, _>>()?;
        self.read(&call, &name).await?;
        let latest = self.latest(&[name]).await?.into_iter().flatten();
        let wanted = latest.filter(|record| stages.is_empty() || stages.contains(&record.stage));
        Ok(Response::new(proto::GetLatestVersionsResponse { model_versions: wanted.map(version).collect() }))
    }

    async fn set_registered_model_tag(
        &self,
        request: Request<proto::SetRegisteredModelTagRequest>,
    ) -> Reply<proto::SetRegisteredModelTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let change = ModelChange { set_tags: [tag(&request.key, request.value)?].into(), ..ModelChange::default() };
        let made = self.app.change_model(&call, &name, Expected::Any, change).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::SetRegisteredModelTagResponse {}, made.position))
    }

    async fn delete_registered_model_tag(
        &self,
        request: Request<proto::DeleteRegisteredModelTagRequest>,
    ) -> Reply<proto::DeleteRegisteredModelTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let change = ModelChange { delete_tags: vec![tag_key(&request.key)?.to_owned()], ..ModelChange::default() };
        let made = self.app.change_model(&call, &name, Expected::Any, change).await.map_err(translated)?;
        Ok(caller.ctx().reply(proto::DeleteRegisteredModelTagResponse {}, made.position))
    }

    async fn set_registered_model_alias(
        &self,
        request: Request<proto::SetRegisteredModelAliasRequest>,
    ) -> Reply<proto::SetRegisteredModelAliasResponse> {
        let (caller, request) = Caller::accept(request)?;
        let alias = new_alias(&request.alias)?;
        let (of, _) = caller.version(&self.app, &request.name, &request.version).await?;
        // The alias is the model's, whatever version it is to point at.
        let name = of.parent();
        let (ctx, moves) = (caller.ctx(), [Move { version: of.number(), target: Target::Alias(alias.clone()) }]);
        let asked = (ctx.method().permission.as_str(), name.name());
        self.app.guard_moves(ctx, asked, &name, Way::ByHand, &moves).await?;
        let call = caller.allow(name.name())?;
        let made = match self.app.set_alias(&call, &name, Expected::Any, &alias, of.number()).await {
            Err(refusal) if refusal.reason == "MODEL_VERSION_NOT_FOUND" => return Err(gone(&request.name, &of)),
            outcome => outcome.map_err(translated)?,
        };
        Ok(caller.ctx().reply(proto::SetRegisteredModelAliasResponse {}, made.position))
    }

    async fn delete_registered_model_alias(
        &self,
        request: Request<proto::DeleteRegisteredModelAliasRequest>,
    ) -> Reply<proto::DeleteRegisteredModelAliasResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, _) = caller.model(&self.app, &request.name).await?;
        let text = alias(&request.alias)?;
        let (ctx, targets) = (caller.ctx(), text.parse().ok().map(Target::Alias));
        let asked = (ctx.method().permission.as_str(), name.name());
        let nothing = BTreeSet::new();
        self.app.guard_targets(ctx, asked, &name, Way::ByHand, (nothing, targets.as_slice())).await?;
        let call = caller.allow(name.name())?;
        // What cannot be set is not there either.
        let position = match text.parse() {
            Ok(alias) => {
                let made = self.app.remove_alias(&call, &name, Expected::Any, &alias).await;
                made.map_err(translated)?.position
            }
            Err(_) => Position::START,
        };
        Ok(caller.ctx().reply(proto::DeleteRegisteredModelAliasResponse {}, position))
    }

    async fn get_model_version_by_alias(
        &self,
        request: Request<proto::GetModelVersionByAliasRequest>,
    ) -> Reply<proto::GetModelVersionByAliasResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.model(&self.app, &request.name).await?;
        let text = alias(&request.alias)?;
        let is_latest = text.eq_ignore_ascii_case(LATEST);
        let wanted = if is_latest { Resolve::Latest } else { Resolve::Alias(text.to_owned()) };
        let found = self.app.resolve(&call, &name, wanted).await.map_err(|refusal| match refusal.reason {
            "ALIAS_NOT_FOUND" if is_latest => ErrorCode::ResourceDoesNotExist
                .says(format!("Latest version not found for model {}.", request.name.as_deref().unwrap_or_default())),
            "ALIAS_NOT_FOUND" => invalid(format!("Registered model alias {text} not found.")),
            _ => translated(refusal),
        })?;
        Ok(Response::new(proto::GetModelVersionByAliasResponse { model_version: Some(version(found)) }))
    }
}

impl Mlflow {
    pub(super) async fn read(&self, call: &Call, name: &ModelName) -> Result<ModelRecord, Status> {
        self.app.model(call, name).await.map_err(translated)
    }

    /// The newest version of each stage, for each of these models.
    async fn latest(&self, models: &[ModelName]) -> Result<Vec<Vec<VersionRecord>>, Status> {
        let latest = self.app.query().newest_versions(models).await;
        latest.map_err(|fault| translated(Refusal::from(fault)))
    }

    /// A changed model with the newest versions of each stage.
    async fn whole(&self, made: Made<ModelRecord>) -> Result<(Option<proto::RegisteredModel>, Position), Status> {
        let latest = self.latest(std::slice::from_ref(&made.value.name)).await?.into_iter().flatten().collect();
        Ok((Some(model(made.value, latest)), made.position))
    }

    /// Why a name cannot be had: what has it may be a prompt, and then clients are told so.
    async fn taken(&self, caller: &Caller, name: &str, is_prompt: bool) -> Result<Status, Status> {
        let holder = self.app.find_model(caller.project(), name).await.map_err(translated)?;
        let held = match holder {
            Some(holder) => self.app.query().model(&holder).await.map_err(|fault| translated(fault.into()))?,
            None => None,
        };
        let holds_prompt = held.is_some_and(|held| self::is_prompt(held.tags.get(tag_names::IS_PROMPT)));
        let noun = |is_prompt: bool| if is_prompt { "Prompt" } else { "Registered Model" };
        let message = match holds_prompt == is_prompt {
            true => format!("{} (name={name}) already exists.", noun(is_prompt)),
            false => format!(
                "Tried to create a {} with name '{name}', but the name is already taken by a {}. A model and a prompt \
                 cannot have the same name.",
                noun(is_prompt).to_lowercase(),
                noun(holds_prompt).to_lowercase()
            ),
        };
        Ok(ErrorCode::ResourceAlreadyExists.says(message))
    }
}

/// A stage, in whatever case.
pub(super) fn stage(text: &str) -> Result<Stage, Status> {
    text.parse().map_err(|_| {
        let all = Stage::ALL.map(Stage::as_str).join(", ");
        invalid(format!("Invalid Model Version stage: {text}. Value must be one of {all}."))
    })
}

/// A search that was not understood, as clients are told.
pub(super) fn said(fault: SearchFault) -> Status {
    translated(Refusal::of(&fault))
}

fn is_prompt(tag: Option<&String>) -> bool {
    tag.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
