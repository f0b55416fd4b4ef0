use std::collections::BTreeMap;

use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::model_version_service_server::ModelVersionService;
use cairn_kernel::Name;
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::{Request, Response, Status, async_trait};

use super::parse::{changes, description, etag, facts, invalid, mask, page_size, search, stage, tags, terms, visible};
use super::{Grpc, answer};
use crate::app::{Call, NewVersion, Source, Way};
use crate::files::place;
use crate::model::version::Facts;
use crate::model::{ModelName, Move, ProjectName, Target, VersionName};
use crate::query::VersionSearch;
use crate::search::{version_filter, version_order};
use crate::stored::artifacts::encode_artifact;

#[async_trait]
impl ModelVersionService for Grpc {
    async fn create_model_version(
        &self,
        request: Request<proto::CreateModelVersionRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let model: ModelName = field("parent", &request.parent)?;
        let version = request.model_version.unwrap_or_default();
        let facts = facts(&version)?;
        description("model_version.description", &version.description)?;
        tags("model_version.tags", &version.tags)?;
        let call = Call::of(&ctx, &request.request_id);
        let facts = self.located(&ctx, &call, &model.parent(), &version, facts).await?;
        let new = NewVersion { description: version.description, tags: version.tags, facts, import: None };
        let made = self.app.create_version(&call, &model, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer::version(made.value), made.position))
    }

    async fn get_model_version(&self, request: Request<proto::GetModelVersionRequest>) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("name", &request.name)?;
        let version = self.app.version(&Call::read(&ctx, &request.as_of)?, &name).await.map_err(refuse)?;
        Ok(Response::new(answer::version(version)))
    }

    async fn list_model_versions(
        &self,
        request: Request<proto::ListModelVersionsRequest>,
    ) -> Reply<proto::ListModelVersionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let (project, model) = parent(&request.parent)?;
        let under = model.as_ref().map_or(project.name(), ModelName::name);
        let (filter, prompts) = search(version_filter(&request.filter))?;
        let wanted = VersionSearch {
            visible: visible(&ctx, &project, under),
            filter,
            prompts,
            order: search(version_order(&terms(&request.order_by)))?,
            limit: page_size(request.page_size)?,
            page_token: request.page_token,
            project,
            model: model.clone(),
        };
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        if let Some(model) = &model {
            self.app.model_in(&reading, model).await.map_err(refuse)?;
        }
        let page = reading.query.search_versions(wanted).await.map_err(refuse)?;
        Ok(Response::new(proto::ListModelVersionsResponse {
            model_versions: page.versions.into_iter().map(answer::version).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn list_model_version_artifacts(
        &self,
        request: Request<proto::ListModelVersionArtifactsRequest>,
    ) -> Reply<proto::ListModelVersionArtifactsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("parent", &request.parent)?;
        let limit = page_size(request.page_size)?;
        let page = self.app.version_artifacts(&Call::of(&ctx, ""), &name, limit, &request.page_token).await;
        let page = page.map_err(refuse)?;
        Ok(Response::new(proto::ListModelVersionArtifactsResponse {
            artifacts: page.artifacts.iter().map(encode_artifact).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn update_model_version(
        &self,
        request: Request<proto::UpdateModelVersionRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let version = request.model_version.unwrap_or_default();
        let name: VersionName = field("model_version.name", &version.name)?;
        let expected = etag(&version.etag)?;
        let update_mask = request.update_mask.as_ref();
        mask(update_mask, &["description"])?;
        description("model_version.description", &version.description)?;
        let changed = changes(update_mask, "description", &version.description).then_some(version.description);
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.change_version(&call, &name, expected, changed, BTreeMap::new(), vec![]).await;
        let made = made.map_err(refuse)?;
        Ok(ctx.reply(answer::version(made.value), made.position))
    }

    async fn set_model_version_tags(
        &self,
        request: Request<proto::SetModelVersionTagsRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        tags("tags", &request.tags)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.change_version(&call, &name, expected, None, request.tags, request.deleted_keys).await;
        let made = made.map_err(refuse)?;
        Ok(ctx.reply(answer::version(made.value), made.position))
    }

    async fn transition_model_version(
        &self,
        request: Request<proto::TransitionModelVersionRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("name", &request.name)?;
        let to = stage("stage", request.stage)?;
        let expected = etag(&request.etag)?;
        let archive_existing = request.archive_existing_versions;
        if archive_existing && !to.is_active() {
            return Err(invalid("archive_existing_versions", "goes with staging and production only"));
        }
        let (model, moves) = (name.parent(), [Move { version: name.number(), target: Target::Stage(to) }]);
        let asked = (ctx.method().permission.as_str(), name.name());
        self.app.guard_moves(&ctx, asked, &model, Way::ByHand, &moves).await?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.transition(&call, &name, expected, to, archive_existing).await.map_err(refuse)?;
        Ok(ctx.reply(answer::version(made.value), made.position))
    }

    async fn delete_model_version(
        &self,
        request: Request<proto::DeleteModelVersionRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.delete_version(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::version(made.value), made.position))
    }
}

impl Grpc {
    /// Adds where a version comes from. Who names only where its files are has said that too.
    pub(super) async fn located(
        &self,
        ctx: &Ctx,
        call: &Call,
        project: &ProjectName,
        version: &proto::ModelVersion,
        facts: Facts,
    ) -> Result<Facts, Status> {
        let run = version.source_run.rsplit('/').next().unwrap_or_default().to_owned();
        let source = Source { uri: version.source_uri.clone(), run, model: version.source_model.clone() };
        if source == Source::default() && version.artifact_uri.is_empty() {
            return Ok(facts);
        }
        let uri = if source.uri.is_empty() { version.artifact_uri.clone() } else { source.uri.clone() };
        if uri.is_empty() {
            return Err(invalid("model_version.source_uri", "must be given with a run or logged model"));
        }
        let source = Source { uri, ..source };
        let located = self.app.locate(call, project, source).await.map_err(refuse)?;
        let facts = Facts {
            source_run: located.run,
            source_model: located.model,
            source_uri: located.uri,
            artifact_uri: located.artifact_uri,
            ..facts
        };
        readable(ctx, project, &facts)?;
        Ok(facts)
    }
}

/// Refuses a run that the caller may not read, and files of a logged model that they may not read: a version tells of
/// both.
pub(crate) fn readable(ctx: &Ctx, project: &ProjectName, facts: &Facts) -> Result<(), Status> {
    // An id that is not known here leads to nothing.
    if let Ok(run) = facts.source_run.parse::<Name>() {
        ctx.require("experiments.runs.get", &run)?;
    }
    match place(project, facts) {
        Some(place) if place.owner.matches("projects/*/experiments/*/loggedModels/*").is_some() => {
            ctx.require("experiments.loggedModels.get", &place.owner)
        }
        _ => Ok(()),
    }
}

/// The project a list is about, and the one model if it is about one.
fn parent(text: &str) -> Result<(ProjectName, Option<ModelName>), Status> {
    if let Ok(model) = text.parse::<ModelName>() {
        return Ok((model.parent(), Some(model)));
    }
    let project = text.parse().map_err(|_| {
        invalid("parent", format!("{text:?} is neither projects/{{project}} nor projects/{{project}}/models/{{model}}"))
    })?;
    Ok((project, None))
}
