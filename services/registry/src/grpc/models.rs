use std::collections::BTreeSet;

use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::registered_model_service_server::RegisteredModelService;
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::{Request, Response, async_trait};

use super::parse::{changes, description, etag, invalid, mask, page_size, search, stage, tags, terms, visible};
use super::{Grpc, answer};
use crate::app::{Call, ModelChange, NewModel, Resolve, Way};
use crate::model::entry::LATEST;
use crate::model::{Alias, ModelName, Move, Number, ProjectName, Target};
use crate::query::ModelSearch;
use crate::search::{model_filter, model_order};

#[async_trait]
impl RegisteredModelService for Grpc {
    async fn create_registered_model(
        &self,
        request: Request<proto::CreateRegisteredModelRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let id = request.registered_model_id.as_str();
        let name = match id {
            "" => None,
            id if id.starts_with('~') => return Err(invalid("registered_model_id", "must not begin with `~`")),
            id => Some(project.model(id).map_err(|fault| invalid("registered_model_id", fault))?),
        };
        let display_name = if request.display_name.is_empty() { id } else { &request.display_name };
        let new = NewModel {
            name,
            display_name: field("display_name", display_name)?,
            description: request.description,
            tags: request.tags,
            origin: None,
        };
        description("description", &new.description)?;
        tags("tags", &new.tags)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.create_model(&call, &project, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn get_registered_model(
        &self,
        request: Request<proto::GetRegisteredModelRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ModelName = field("name", &request.name)?;
        let model = self.app.model(&Call::read(&ctx, &request.as_of)?, &name).await.map_err(refuse)?;
        Ok(Response::new(answer::model(model)))
    }

    async fn list_registered_models(
        &self,
        request: Request<proto::ListRegisteredModelsRequest>,
    ) -> Reply<proto::ListRegisteredModelsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let (filter, prompts) = search(model_filter(&request.filter))?;
        let wanted = ModelSearch {
            visible: visible(&ctx, &project, project.name()),
            filter,
            prompts,
            order: search(model_order(&terms(&request.order_by)))?,
            limit: page_size(request.page_size)?,
            page_token: request.page_token,
            project,
        };
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        let page = reading.query.search_models(wanted).await.map_err(refuse)?;
        Ok(Response::new(proto::ListRegisteredModelsResponse {
            registered_models: page.models.into_iter().map(answer::model).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn update_registered_model(
        &self,
        request: Request<proto::UpdateRegisteredModelRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let model = request.registered_model.unwrap_or_default();
        let name: ModelName = field("registered_model.name", &model.name)?;
        let expected = etag(&model.etag)?;
        let update_mask = request.update_mask.as_ref();
        mask(update_mask, &["display_name", "description"])?;
        let mut change = ModelChange::default();
        if changes(update_mask, "display_name", &model.display_name) {
            change.display_name = Some(field("registered_model.display_name", &model.display_name)?);
        }
        if changes(update_mask, "description", &model.description) {
            description("registered_model.description", &model.description)?;
            change.description = Some(model.description);
        }
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.change_model(&call, &name, expected, change).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn set_registered_model_tags(
        &self,
        request: Request<proto::SetRegisteredModelTagsRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ModelName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        tags("tags", &request.tags)?;
        let change =
            ModelChange { set_tags: request.tags, delete_tags: request.deleted_keys, ..ModelChange::default() };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.change_model(&call, &name, expected, change).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn delete_registered_model(
        &self,
        request: Request<proto::DeleteRegisteredModelRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ModelName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.delete_model(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn set_model_alias(&self, request: Request<proto::SetModelAliasRequest>) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ModelName = field("name", &request.name)?;
        let alias: Alias = field("alias", &request.alias)?;
        let expected = etag(&request.etag)?;
        let moves = [Move { version: Number(request.version), target: Target::Alias(alias.clone()) }];
        let asked = (ctx.method().permission.as_str(), name.name());
        self.app.guard_moves(&ctx, asked, &name, Way::ByHand, &moves).await?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.set_alias(&call, &name, expected, &alias, Number(request.version)).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn remove_model_alias(
        &self,
        request: Request<proto::RemoveModelAliasRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ModelName = field("name", &request.name)?;
        let alias: Alias = field("alias", &request.alias)?;
        let expected = etag(&request.etag)?;
        let asked = (ctx.method().permission.as_str(), name.name());
        let targets = [Target::Alias(alias.clone())];
        self.app.guard_targets(&ctx, asked, &name, Way::ByHand, (BTreeSet::new(), &targets)).await?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.remove_alias(&call, &name, expected, &alias).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn resolve_model_version(
        &self,
        request: Request<proto::ResolveModelVersionRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ModelName = field("name", &request.name)?;
        let wanted = match (request.alias.as_str(), request.stage()) {
            ("", proto::Stage::Unspecified) => return Err(invalid("alias", "an alias or a stage must be said")),
            ("", _) => Resolve::Stage(stage("stage", request.stage)?),
            (alias, proto::Stage::Unspecified) if alias.eq_ignore_ascii_case(LATEST) => Resolve::Latest,
            (alias, proto::Stage::Unspecified) => Resolve::Alias(alias.to_owned()),
            _ => return Err(invalid("stage", "cannot stand beside an alias")),
        };
        let version = self.app.resolve(&Call::read(&ctx, &request.as_of)?, &name, wanted).await.map_err(refuse)?;
        Ok(Response::new(answer::version(version)))
    }

    async fn summarize_registry(
        &self,
        request: Request<proto::SummarizeRegistryRequest>,
    ) -> Reply<proto::RegistrySummary> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("name", &request.name)?;
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        let summary = reading.query.summary(&project, reading.now.micros()).await.map_err(refuse)?;
        Ok(Response::new(answer::summary(summary)))
    }
}
