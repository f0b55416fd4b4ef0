use std::collections::BTreeMap;

use cairn_kernel::Expected;
use cairn_service::{Refusal, Reply};
use proto::mlflow_model_version_service_server::MlflowModelVersionService;
use tonic::{Request, Response, Status};

use super::caller::{Caller, no_version};
use super::convert::{bare, version};
use super::fault::{ErrorCode, invalid, translated};
use super::models::{said, stage};
use super::required::{page_size, required, tag, tag_key, tags};
use super::{Mlflow, proto};
use crate::app::{Call, NewVersion, Source, Way};
use crate::grpc::versions::readable;
use crate::model::entry::tag as tag_names;
use crate::model::version::Facts;
use crate::model::{Move, Stage, Target, VersionName};
use crate::query::{VersionRecord, VersionSearch};
use crate::search::{version_filter, version_order};

/// Most versions on one page, and as many unless the caller says otherwise.
const PAGE_MAX: i64 = 200_000;
/// The right to ask for a promotion.
const ASK: &str = "registry.promotions.create";

#[tonic::async_trait]
impl MlflowModelVersionService for Mlflow {
    async fn create_model_version(
        &self,
        request: Request<proto::CreateModelVersionRequest>,
    ) -> Reply<proto::CreateModelVersionResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (model, call) = caller.model(&self.app, &request.name).await?;
        let uri = required("source", &request.source)?.to_owned();
        let tags = tags(request.tags.into_iter().map(|tag| (tag.key, tag.value)).collect())?;
        let run = request.run_id.unwrap_or_default();
        // What is an address is judged as one, whatever its tags say.
        let is_prompt = tags.get(tag_names::IS_PROMPT).is_some_and(|value| value.eq_ignore_ascii_case("true"))
            && !uri.contains([':', '/']);
        let facts = match is_prompt {
            // A prompt is its tags; nobody reads anything at its source.
            true => Facts { source_uri: uri.clone(), artifact_uri: uri, source_run: run, ..Facts::default() },
            false => {
                let source = Source { uri, run, model: request.model_id.unwrap_or_default() };
                self.located(&caller, &call, source).await?
            }
        };
        let facts = Facts { run_link: request.run_link.unwrap_or_default(), ..facts };
        let new = NewVersion { description: request.description.unwrap_or_default(), tags, facts, import: None };
        let made = self.app.create_version(&call, &model, new).await.map_err(translated)?;
        let answer = proto::CreateModelVersionResponse { model_version: Some(version(made.value)) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn update_model_version(
        &self,
        request: Request<proto::UpdateModelVersionRequest>,
    ) -> Reply<proto::UpdateModelVersionResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.version(&self.app, &request.name, &request.version).await?;
        let description = Some(request.description.unwrap_or_default());
        let made = self.app.change_version(&call, &name, Expected::Any, description, BTreeMap::new(), vec![]).await;
        let made = made.map_err(|refusal| lost(refusal, &request.name, &name))?;
        let answer = proto::UpdateModelVersionResponse { model_version: Some(version(made.value)) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn transition_model_version_stage(
        &self,
        request: Request<proto::TransitionModelVersionStageRequest>,
    ) -> Reply<proto::TransitionModelVersionStageResponse> {
        let (caller, request) = Caller::accept(request)?;
        let to = stage(required("stage", &request.stage)?)?;
        let archive_existing = request.archive_existing_versions.unwrap_or_default();
        if archive_existing && !to.is_active() {
            return Err(invalid(format!(
                "Model version transition cannot archive existing model versions because '{to}' is not an Active stage. \
                 Valid stages are Staging, Production"
            )));
        }
        let (name, _) = caller.version(&self.app, &request.name, &request.version).await?;
        let (ctx, moves) = (caller.ctx(), [Move { version: name.number(), target: Target::Stage(to) }]);
        let asked = (ctx.method().permission.as_str(), name.name());
        self.app.guard_moves(ctx, asked, &name.parent(), Way::ByHand, &moves).await?;
        let call = caller.allow(name.name())?;
        let made = match self.app.transition(&call, &name, Expected::Any, to, archive_existing).await {
            Err(refusal) if refusal.reason == "TARGET_PROTECTED" => {
                return Err(self.asked(&caller, &name, to, refusal).await?);
            }
            outcome => outcome.map_err(|refusal| lost(refusal, &request.name, &name))?,
        };
        let answer = proto::TransitionModelVersionStageResponse { model_version: Some(version(made.value)) };
        Ok(caller.ctx().reply(answer, made.position))
    }

    async fn delete_model_version(
        &self,
        request: Request<proto::DeleteModelVersionRequest>,
    ) -> Reply<proto::DeleteModelVersionResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.version(&self.app, &request.name, &request.version).await?;
        let made = self.app.delete_version(&call, &name, Expected::Any).await;
        let made = made.map_err(|refusal| lost(refusal, &request.name, &name))?;
        Ok(caller.ctx().reply(proto::DeleteModelVersionResponse {}, made.position))
    }

    async fn get_model_version(
        &self,
        request: Request<proto::GetModelVersionRequest>,
    ) -> Reply<proto::GetModelVersionResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.version(&self.app, &request.name, &request.version).await?;
        let record = self.version_record(&call, &request.name, &name).await?;
        Ok(Response::new(proto::GetModelVersionResponse { model_version: Some(version(record)) }))
    }

    async fn search_model_versions(
        &self,
        request: Request<proto::SearchModelVersionsRequest>,
    ) -> Reply<proto::SearchModelVersionsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (filter, prompts) = version_filter(request.filter.as_deref().unwrap_or_default()).map_err(said)?;
        let search = VersionSearch {
            project: caller.project().clone(),
            model: None,
            visible: caller.visible(),
            filter,
            prompts,
            order: version_order(&request.order_by).map_err(said)?,
            limit: page_size(request.max_results.unwrap_or(PAGE_MAX), PAGE_MAX)?,
            page_token: request.page_token.unwrap_or_default(),
        };
        self.app.settle(&caller.list()).await.map_err(translated)?;
        let page = self.app.query().search_versions(search).await.map_err(|fault| translated(fault.into()))?;
        Ok(Response::new(proto::SearchModelVersionsResponse {
            model_versions: page.versions.into_iter().map(bare).collect(),
            next_page_token: Some(page.next_page_token).filter(|token| !token.is_empty()),
        }))
    }

    async fn get_model_version_download_uri(
        &self,
        request: Request<proto::GetModelVersionDownloadUriRequest>,
    ) -> Reply<proto::GetModelVersionDownloadUriResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.version(&self.app, &request.name, &request.version).await?;
        let record = self.version_record(&call, &request.name, &name).await?;
        let artifact_uri = Some(record.facts.artifact_uri.clone());
        Ok(Response::new(proto::GetModelVersionDownloadUriResponse { artifact_uri }))
    }

    async fn set_model_version_tag(
        &self,
        request: Request<proto::SetModelVersionTagRequest>,
    ) -> Reply<proto::SetModelVersionTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.version(&self.app, &request.name, &request.version).await?;
        let set = [tag(&request.key, request.value)?].into();
        let made = self.app.change_version(&call, &name, Expected::Any, None, set, vec![]).await;
        let made = made.map_err(|refusal| lost(refusal, &request.name, &name))?;
        Ok(caller.ctx().reply(proto::SetModelVersionTagResponse {}, made.position))
    }

    async fn delete_model_version_tag(
        &self,
        request: Request<proto::DeleteModelVersionTagRequest>,
    ) -> Reply<proto::DeleteModelVersionTagResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, call) = caller.version(&self.app, &request.name, &request.version).await?;
        let delete = vec![tag_key(&request.key)?.to_owned()];
        let made = self.app.change_version(&call, &name, Expected::Any, None, BTreeMap::new(), delete).await;
        let made = made.map_err(|refusal| lost(refusal, &request.name, &name))?;
        Ok(caller.ctx().reply(proto::DeleteModelVersionTagResponse {}, made.position))
    }
}

impl Mlflow {
    async fn version_record(
        &self,
        call: &Call,
        display_name: &Option<String>,
        name: &VersionName,
    ) -> Result<VersionRecord, Status> {
        self.app.version(call, name).await.map_err(|refusal| lost(refusal, display_name, name))
    }

    async fn located(&self, caller: &Caller, call: &Call, source: Source) -> Result<Facts, Status> {
        let located = self.app.locate(call, caller.project(), source).await.map_err(translated)?;
        let facts = Facts {
            source_run: located.run,
            source_model: located.model,
            source_uri: located.uri,
            artifact_uri: located.artifact_uri,
            ..Facts::default()
        };
        readable(caller.ctx(), caller.project(), &facts)?;
        Ok(facts)
    }

    /// What a client is told whose move only a promotion makes: that one waits now, and who must act.
    async fn asked(&self, caller: &Caller, name: &VersionName, to: Stage, refusal: Refusal) -> Result<Status, Status> {
        let model = name.parent();
        if caller.ctx().require(ASK, model.name()).is_err() {
            return Ok(translated(refusal));
        }
        let moves = vec![Move { version: name.number(), target: Target::Stage(to) }];
        self.app.guard_moves(caller.ctx(), (ASK, model.name()), &model, Way::Promotion, &moves).await?;
        let comment = "asked for by an MLflow client";
        let call = caller.allow(name.name())?;
        let made = self.app.request_promotion(&call, &model, moves, comment).await.map_err(translated)?;
        let target = refusal.metadata.iter().find(|(key, _)| *key == "target").map_or("it", |(_, target)| target);
        Ok(ErrorCode::PermissionDenied.says(format!(
            "{target} of {model} is protected, so only a promotion moves it. {} was opened: somebody else must approve it.",
            made.value.record.name
        )))
    }
}

/// That a version is not there, in MLflow's words; any other refusal translated.
fn lost(refusal: Refusal, display_name: &Option<String>, name: &VersionName) -> Status {
    match refusal.reason {
        "MODEL_NOT_FOUND" | "MODEL_VERSION_NOT_FOUND" => gone(display_name, name),
        _ => translated(refusal),
    }
}

/// That a version is not there.
pub(super) fn gone(display_name: &Option<String>, name: &VersionName) -> Status {
    no_version(display_name.as_deref().unwrap_or_default(), &name.number().to_string())
}
