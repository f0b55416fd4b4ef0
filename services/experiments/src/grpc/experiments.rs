use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::experiment_service_server::ExperimentService;
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::{Request, Response, async_trait};

use super::parse::{changes, etag, invalid, lifecycle, mask, page_size, pairs, search, terms, text, visible};
use super::{Grpc, answer};
use crate::app::{Call, ExperimentChange, NewExperiment};
use crate::model::entry::{EXPERIMENT_DISPLAY_NAME_CHARS_MAX, EXPERIMENT_TAG_CHARS_MAX, tag};
use crate::model::name::DEFAULT_EXPERIMENT;
use crate::model::{ExperimentName, ProjectName};
use crate::query::ExperimentSearch;
use crate::search::{experiment_filter, experiment_order};

const DISPLAY_NAME_CHARS: std::ops::RangeInclusive<usize> = 1..=EXPERIMENT_DISPLAY_NAME_CHARS_MAX;

#[async_trait]
impl ExperimentService for Grpc {
    async fn create_experiment(&self, request: Request<proto::CreateExperimentRequest>) -> Reply<proto::Experiment> {
        let (ctx, mut request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        text("display_name", &request.display_name, DISPLAY_NAME_CHARS)?;
        if !request.description.is_empty() {
            request.tags.insert(tag::NOTE.to_owned(), request.description);
        }
        pairs("tags", &request.tags, EXPERIMENT_TAG_CHARS_MAX)?;
        let new = NewExperiment {
            display_name: request.display_name,
            artifact_location: request.artifact_location,
            tags: request.tags,
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.create_experiment(&call, &project, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer::experiment(made.value), made.position))
    }

    async fn get_experiment(&self, request: Request<proto::GetExperimentRequest>) -> Reply<proto::Experiment> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ExperimentName = field("name", &request.name)?;
        let experiment = self.app.experiment(&Call::read(&ctx, &request.as_of)?, &name).await.map_err(refuse)?;
        Ok(Response::new(answer::experiment(experiment)))
    }

    async fn list_experiments(
        &self,
        request: Request<proto::ListExperimentsRequest>,
    ) -> Reply<proto::ListExperimentsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let wanted = ExperimentSearch {
            visible: visible(&ctx, &project, project.name()),
            lifecycle: lifecycle(request.lifecycle(), request.show_deleted)?,
            filter: search(experiment_filter(&request.filter))?,
            order: search(experiment_order(&terms(&request.order_by)))?,
            limit: page_size(request.page_size)?,
            page_token: request.page_token,
            project,
        };
        let call = Call::read(&ctx, &request.as_of)?;
        let default = wanted.project.experiment(DEFAULT_EXPERIMENT).map_err(refuse)?;
        let reading = self.app.experiment_reading(&call, &default).await.map_err(refuse)?;
        let page = reading.query.search_experiments(wanted).await.map_err(refuse)?;
        Ok(Response::new(proto::ListExperimentsResponse {
            experiments: page.experiments.into_iter().map(answer::experiment).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn update_experiment(&self, request: Request<proto::UpdateExperimentRequest>) -> Reply<proto::Experiment> {
        let (ctx, request) = Ctx::accept(request)?;
        let experiment = request.experiment.unwrap_or_default();
        let name: ExperimentName = field("experiment.name", &experiment.name)?;
        let expected = etag(&experiment.etag)?;
        let update_mask = request.update_mask.as_ref();
        mask(update_mask, &["display_name", "description"])?;
        let mut change = ExperimentChange::default();
        if changes(update_mask, "display_name", &experiment.display_name) {
            text("experiment.display_name", &experiment.display_name, DISPLAY_NAME_CHARS)?;
            change.display_name = Some(experiment.display_name);
        }
        if changes(update_mask, "description", &experiment.description) {
            text("experiment.description", &experiment.description, 0..=EXPERIMENT_TAG_CHARS_MAX)?;
            match experiment.description.is_empty() {
                true => change.delete_tags.push(tag::NOTE.to_owned()),
                false => drop(change.set_tags.insert(tag::NOTE.to_owned(), experiment.description)),
            }
        }
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.change_experiment(&call, &name, expected, change).await.map_err(refuse)?;
        Ok(ctx.reply(answer::experiment(made.value), made.position))
    }

    async fn set_experiment_tags(&self, request: Request<proto::SetExperimentTagsRequest>) -> Reply<proto::Experiment> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ExperimentName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        pairs("tags", &request.tags, EXPERIMENT_TAG_CHARS_MAX)?;
        let change = ExperimentChange { display_name: None, set_tags: request.tags, delete_tags: request.deleted_keys };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.change_experiment(&call, &name, expected, change).await.map_err(refuse)?;
        Ok(ctx.reply(answer::experiment(made.value), made.position))
    }

    async fn delete_experiment(&self, request: Request<proto::DeleteExperimentRequest>) -> Reply<proto::Experiment> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ExperimentName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.delete_experiment(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::experiment(made.value), made.position))
    }

    async fn restore_experiment(&self, request: Request<proto::RestoreExperimentRequest>) -> Reply<proto::Experiment> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ExperimentName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.restore_experiment(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::experiment(made.value), made.position))
    }

    async fn list_experiment_revisions(
        &self,
        request: Request<proto::ListExperimentRevisionsRequest>,
    ) -> Reply<proto::ListExperimentRevisionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ExperimentName = field("parent", &request.parent)?;
        let before = match request.page_token.as_str() {
            "" => u32::MAX,
            token => token.parse().map_err(|_| invalid("page_token", "is not one of this list"))?,
        };
        let limit = page_size(request.page_size)?;
        let call = Call::read(&ctx, &request.as_of)?;
        let reading = self.app.experiment_reading(&call, &name).await.map_err(refuse)?;
        self.app.experiment_in(&reading, &name).await.map_err(refuse)?;
        let mut revisions = reading.query.experiment_revisions(&name, before, limit + 1).await.map_err(refuse)?;
        let has_more = revisions.len() > limit;
        revisions.truncate(limit);
        let last = revisions.last().filter(|_| has_more);
        Ok(Response::new(proto::ListExperimentRevisionsResponse {
            next_page_token: last.map(|revision| revision.number.to_string()).unwrap_or_default(),
            revisions: revisions.into_iter().map(|revision| answer::revision(&name, revision)).collect(),
        }))
    }
}
