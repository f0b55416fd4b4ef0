use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::logged_model_service_server::LoggedModelService;
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::{Request, Response, async_trait};

use super::parse::{etag, invalid, page_size, pairs, parent, search, terms, text, visible};
use super::{Grpc, answer};
use crate::app::{Call, ModelDraft};
use crate::model::entry::{PARAM_CHARS_MAX, TAG_CHARS_MAX};
use crate::model::{ExperimentName, LoggedModelName, RunName};
use crate::query::LoggedModelSearch;
use crate::search::{logged_model_filter, logged_model_order};

/// Longest display name and type of a model, in characters.
const NAME_CHARS_MAX: usize = 500;

#[async_trait]
impl LoggedModelService for Grpc {
    async fn create_logged_model(
        &self,
        request: Request<proto::CreateLoggedModelRequest>,
    ) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let experiment: ExperimentName = field("parent", &request.parent)?;
        text("display_name", &request.display_name, 0..=NAME_CHARS_MAX)?;
        text("model_type", &request.model_type, 0..=NAME_CHARS_MAX)?;
        pairs("params", &request.params, PARAM_CHARS_MAX)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        let mut source_run = String::new();
        if !request.source_run.is_empty() {
            let run: RunName = field("source_run", &request.source_run)?;
            if run.project() != experiment.project() {
                return Err(invalid("source_run", "is a run of another project"));
            }
            run.run().clone_into(&mut source_run);
        }
        let draft = ModelDraft {
            display_name: request.display_name,
            source_run,
            model_type: request.model_type,
            artifact_location: String::new(),
            params: request.params,
            tags: request.tags,
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.create_logged_model(&call, &experiment, draft).await.map_err(refuse)?;
        Ok(ctx.reply(answer::logged_model(made.value), made.position))
    }

    async fn get_logged_model(&self, request: Request<proto::GetLoggedModelRequest>) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: LoggedModelName = field("name", &request.name)?;
        let model = self.app.logged_model(&Call::read(&ctx, &request.as_of)?, &name).await.map_err(refuse)?;
        Ok(Response::new(answer::logged_model(model)))
    }

    async fn list_logged_models(
        &self,
        request: Request<proto::ListLoggedModelsRequest>,
    ) -> Reply<proto::ListLoggedModelsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let (project, experiment) = parent(&request.parent)?;
        let under = experiment.as_ref().map_or(project.name(), ExperimentName::name);
        let wanted = LoggedModelSearch {
            visible: visible(&ctx, &project, under),
            experiments: experiment.as_ref().map(|experiment| vec![experiment.experiment().to_owned()]),
            filter: search(logged_model_filter(&request.filter))?,
            datasets: vec![],
            order: search(logged_model_order(&terms(&request.order_by)))?,
            limit: page_size(request.page_size)?,
            page_token: request.page_token,
            project,
        };
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        let page = reading.query.search_logged_models(wanted).await.map_err(refuse)?;
        Ok(Response::new(proto::ListLoggedModelsResponse {
            logged_models: page.models.into_iter().map(answer::logged_model).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn finalize_logged_model(
        &self,
        request: Request<proto::FinalizeLoggedModelRequest>,
    ) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: LoggedModelName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let is_ready = match request.state() {
            proto::LoggedModelState::Ready => true,
            proto::LoggedModelState::Failed => false,
            _ => return Err(invalid("state", "must be READY or FAILED")),
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.finalize_logged_model(&call, &name, expected, is_ready).await.map_err(refuse)?;
        Ok(ctx.reply(answer::logged_model(made.value), made.position))
    }

    async fn set_logged_model_tags(
        &self,
        request: Request<proto::SetLoggedModelTagsRequest>,
    ) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: LoggedModelName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.tag_logged_model(&call, &name, expected, request.tags, request.deleted_keys).await;
        let made = made.map_err(refuse)?;
        Ok(ctx.reply(answer::logged_model(made.value), made.position))
    }

    async fn log_logged_model_params(
        &self,
        request: Request<proto::LogLoggedModelParamsRequest>,
    ) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: LoggedModelName = field("name", &request.name)?;
        pairs("params", &request.params, PARAM_CHARS_MAX)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.log_logged_model_params(&call, &name, request.params).await.map_err(refuse)?;
        Ok(ctx.reply(answer::logged_model(made.value), made.position))
    }

    async fn delete_logged_model(
        &self,
        request: Request<proto::DeleteLoggedModelRequest>,
    ) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: LoggedModelName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.delete_logged_model(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::logged_model(made.value), made.position))
    }
}
