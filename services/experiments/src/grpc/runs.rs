use aws_lc_rs::digest;
use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::run_service_server::RunService;
use cairn_kernel::Time;
use cairn_service::{Ctx, Reply, field, refuse};
use prost::Message;
use tonic::{Request, Response, Status, async_trait};

use super::compare::compare;
use super::parse::{
    PAIRS_MAX, changes, etag, invalid, key, lifecycle, mask, page_size, pairs, parent, search, terms, text, visible,
};
use super::{Grpc, answer};
use crate::app::{Call, NewBatch, RunDraft};
use crate::convert::from_timestamp;
use crate::model::entry::{PARAM_CHARS_MAX, TAG_CHARS_MAX, tag};
use crate::model::{BatchId, ExperimentName, Points, ProjectName, RunName, RunState, Subject};
use crate::query::{LifecycleFilter, RunPage, RunSearch};
use crate::search::{RunCondition, Text, TextColumn, run_filter, run_order};

/// Most points in one batch.
const POINTS_MAX: usize = 10_000;
/// Most runs compared at once.
const COMPARED_MAX: usize = 100;
/// Most experiments looked in at once.
const EXPERIMENTS_MAX: usize = 1000;
/// Most data sets or models noted at once.
const LINKS_MAX: usize = 100;
/// Longest display name and user of a run, in characters.
const NAME_CHARS_MAX: usize = 500;

#[async_trait]
impl RunService for Grpc {
    async fn create_run(&self, request: Request<proto::CreateRunRequest>) -> Reply<proto::Run> {
        let (ctx, mut request) = Ctx::accept(request)?;
        let experiment: ExperimentName = field("parent", &request.parent)?;
        text("display_name", &request.display_name, 0..=NAME_CHARS_MAX)?;
        text("user", &request.user, 0..=NAME_CHARS_MAX)?;
        let state = RunState::from(request.state());
        if state.is_terminal() {
            return Err(invalid("state", "must be RUNNING or SCHEDULED"));
        }
        if !request.description.is_empty() {
            request.tags.insert(tag::NOTE.to_owned(), request.description);
        }
        pairs("params", &request.params, PARAM_CHARS_MAX)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        let call = Call::of(&ctx, &request.request_id);
        let parent = match request.parent_run.as_str() {
            "" => None,
            name => Some(self.parent_run(&call, &experiment, field("parent_run", name)?).await?),
        };
        let user = if request.user.is_empty() { ctx.principal().name.clone() } else { request.user };
        let draft = RunDraft {
            display_name: request.display_name,
            user,
            start_time: request.start_time.as_ref().map(from_timestamp),
            state,
            parent,
            params: request.params,
            tags: request.tags,
        };
        let made = self.app.create_run(&call, &experiment, draft).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn get_run(&self, request: Request<proto::GetRunRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        let run = self.app.run(&Call::read(&ctx, &request.as_of)?, &name).await.map_err(refuse)?;
        Ok(Response::new(answer::run(run)))
    }

    async fn list_runs(&self, request: Request<proto::ListRunsRequest>) -> Reply<proto::ListRunsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let (project, experiment) = parent(&request.parent)?;
        let under = experiment.as_ref().map_or(project.name(), ExperimentName::name);
        let mut wanted = RunSearch {
            visible: visible(&ctx, &project, under),
            experiments: experiment.as_ref().map(|experiment| vec![experiment.experiment().to_owned()]),
            lifecycle: if request.show_deleted { LifecycleFilter::All } else { LifecycleFilter::Active },
            skips_hidden: !request.show_deleted,
            filter: search(run_filter(&request.filter))?,
            order: search(run_order(&terms(&request.order_by)))?,
            limit: page_size(request.page_size)?,
            ..RunSearch::new(project)
        };
        if request.state() != proto::RunState::Unspecified {
            let text = Text::Eq(RunState::from(request.state()).as_str().to_owned());
            wanted.filter.push(RunCondition::Text { column: TextColumn::Status, text });
        }
        if !request.parent_run.is_empty() {
            let parent: RunName = field("parent_run", &request.parent_run)?;
            wanted.parent = Some(parent.run().to_owned());
        }
        wanted.page_token = request.page_token;
        let page = self.page(&ctx, &request.as_of, wanted).await?;
        Ok(Response::new(proto::ListRunsResponse {
            runs: page.runs.into_iter().map(answer::run).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn search_runs(&self, request: Request<proto::SearchRunsRequest>) -> Reply<proto::SearchRunsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        if request.experiments.len() > EXPERIMENTS_MAX {
            return Err(invalid("experiments", format!("at most {EXPERIMENTS_MAX}")));
        }
        let id = |text: &String| match text.parse::<ExperimentName>() {
            Ok(name) if name.project() == project.project() => name.experiment().to_owned(),
            _ => text.clone(),
        };
        let wanted = RunSearch {
            visible: visible(&ctx, &project, project.name()),
            experiments: (!request.experiments.is_empty()).then(|| request.experiments.iter().map(id).collect()),
            lifecycle: lifecycle(request.lifecycle(), request.show_deleted)?,
            skips_hidden: !request.show_deleted && request.lifecycle() != proto::Lifecycle::Deleted,
            filter: search(run_filter(&request.filter))?,
            order: search(run_order(&request.order_by))?,
            limit: page_size(request.page_size)?,
            page_token: request.page_token,
            ..RunSearch::new(project)
        };
        let page = self.page(&ctx, &request.as_of, wanted).await?;
        Ok(Response::new(proto::SearchRunsResponse {
            runs: page.runs.into_iter().map(answer::run).collect(),
            next_page_token: page.next_page_token,
        }))
    }

    async fn compare_runs(&self, request: Request<proto::CompareRunsRequest>) -> Reply<proto::CompareRunsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        if request.runs.is_empty() || request.runs.len() > COMPARED_MAX {
            return Err(invalid("runs", format!("must be 1 to {COMPARED_MAX}")));
        }
        let call = Call::read(&ctx, &request.as_of)?;
        self.app.settle_runs(&call).await;
        let reading = self.app.reading(&call).await.map_err(refuse)?;
        let mut runs = vec![];
        for name in &request.runs {
            let name: RunName = field("runs", name)?;
            if name.project() != project.project() {
                return Err(invalid("runs", format!("{name} is a run of another project")));
            }
            // The edge only knows the project.
            ctx.require(&ctx.method().permission, name.name())?;
            runs.push(self.app.run_in(&reading, &name).await.map_err(refuse)?);
        }
        Ok(Response::new(compare(&runs, request.differing_only)))
    }

    async fn update_run(&self, request: Request<proto::UpdateRunRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let run = request.run.unwrap_or_default();
        let name: RunName = field("run.name", &run.name)?;
        let expected = etag(&run.etag)?;
        let update_mask = request.update_mask.as_ref();
        mask(update_mask, &["display_name", "description"])?;
        let (mut set, mut delete) = (std::collections::BTreeMap::new(), vec![]);
        if changes(update_mask, "display_name", &run.display_name) {
            text("run.display_name", &run.display_name, 1..=NAME_CHARS_MAX)?;
            set.insert(tag::RUN_NAME.to_owned(), run.display_name);
        }
        if changes(update_mask, "description", &run.description) {
            text("run.description", &run.description, 0..=TAG_CHARS_MAX)?;
            match run.description.is_empty() {
                true => delete.push(tag::NOTE.to_owned()),
                false => drop(set.insert(tag::NOTE.to_owned(), run.description)),
            }
        }
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.tag_run(&call, &name, expected, set, delete).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn finish_run(&self, request: Request<proto::FinishRunRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let state = match request.state() {
            proto::RunState::Unspecified => RunState::Finished,
            state => RunState::from(state),
        };
        if !state.is_terminal() {
            return Err(invalid("state", "must be FINISHED, FAILED or KILLED"));
        }
        let end_time = request.end_time.as_ref().map(from_timestamp);
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.finish_run(&call, &name, expected, state, end_time).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn log_batch(&self, request: Request<proto::LogBatchRequest>) -> Reply<proto::LogBatchResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.log_batch(&call, &name, self.batch(request)?).await.map_err(refuse)?;
        let batch = made.value.batch;
        let response = proto::LogBatchResponse {
            batch_id: batch.batch_id,
            payload_sha256: batch.sha256,
            metric_count: batch.metric_count,
            param_count: batch.param_count,
            tag_count: batch.tag_count,
            dropped_entries: batch.dropped.into_iter().map(Into::into).collect(),
            replayed: made.value.is_replayed,
            queued: made.value.is_queued,
        };
        Ok(ctx.reply(response, made.position))
    }

    async fn set_run_tags(&self, request: Request<proto::SetRunTagsRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        if request.deleted_keys.len() > PAIRS_MAX {
            return Err(invalid("deleted_keys", format!("at most {PAIRS_MAX}")));
        }
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.tag_run(&call, &name, expected, request.tags, request.deleted_keys).await;
        let made = made.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn log_inputs(&self, request: Request<proto::LogInputsRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        links("datasets", request.datasets.len())?;
        links("models", request.models.len())?;
        for dataset in &request.datasets {
            text("datasets.display_name", &dataset.display_name, 1..=NAME_CHARS_MAX)?;
            text("datasets.digest", &dataset.digest, 1..=NAME_CHARS_MAX)?;
            pairs("datasets.tags", &dataset.tags, TAG_CHARS_MAX)?;
        }
        let datasets = request.datasets.into_iter().map(Into::into).collect();
        let models = request.models.iter().map(|input| model(&input.model)).collect();
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.log_inputs(&call, &name, datasets, models).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn log_outputs(&self, request: Request<proto::LogOutputsRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        links("models", request.models.len())?;
        let models = request.models.iter().map(|output| (model(&output.model), output.step)).collect();
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.log_outputs(&call, &name, models).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn delete_run(&self, request: Request<proto::DeleteRunRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.delete_run(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn restore_run(&self, request: Request<proto::RestoreRunRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: RunName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.restore_run(&call, &name, expected).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }
}

impl Grpc {
    async fn page(&self, ctx: &Ctx, as_of: &str, wanted: RunSearch) -> Result<RunPage, Status> {
        let call = Call::read(ctx, as_of)?;
        self.app.settle_runs(&call).await;
        let reading = self.app.reading(&call).await.map_err(refuse)?;
        reading.query.search_runs(wanted).await.map_err(refuse)
    }

    /// The id of a run that another is to be nested in: one that exists, in the same project.
    async fn parent_run(&self, call: &Call, experiment: &ExperimentName, parent: RunName) -> Result<String, Status> {
        if parent.project() != experiment.project() {
            return Err(invalid("parent_run", "is a run of another project"));
        }
        self.app.require_run(call, &parent).await.map_err(refuse)?;
        Ok(parent.run().to_owned())
    }

    fn batch(&self, mut request: proto::LogBatchRequest) -> Result<NewBatch, Status> {
        if request.metrics.len() > POINTS_MAX {
            return Err(invalid("metrics", format!("{} points, at most {POINTS_MAX}", request.metrics.len())));
        }
        text("batch_id", &request.batch_id, 0..=200)?;
        pairs("params", &request.params, PARAM_CHARS_MAX)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        let id = (!request.batch_id.is_empty()).then(|| {
            // The content alone: what the batch is called, and by which name the run, is not part of it.
            let (batch_id, _) = (std::mem::take(&mut request.batch_id), std::mem::take(&mut request.name));
            request.request_id.clear();
            let sha256 = hex::encode(digest::digest(&digest::SHA256, &request.encode_to_vec()));
            BatchId { id: batch_id, sha256 }
        });
        let now = self.app.clock().now();
        let mut points = Points::builder();
        for point in &request.metrics {
            let time = point.log_time.as_ref().map_or(now, from_timestamp);
            text("metrics.model", &point.model, 0..=NAME_CHARS_MAX)?;
            text("metrics.dataset_name", &point.dataset_name, 0..=NAME_CHARS_MAX)?;
            text("metrics.dataset_digest", &point.dataset_digest, 0..=NAME_CHARS_MAX)?;
            let subject = Subject {
                model: point.model.clone(),
                dataset_name: point.dataset_name.clone(),
                dataset_digest: point.dataset_digest.clone(),
            };
            let subject = Some(subject).filter(|subject| *subject != Subject::default());
            points.push(&point.key, subject, point.step, Time::millis(time), point.value);
        }
        let metrics = points.finish();
        metrics.keys.iter().try_for_each(|name| key("metrics.key", name))?;
        Ok(NewBatch { id, metrics, params: request.params, tags: request.tags })
    }
}

fn links(field: &'static str, count: usize) -> Result<(), Status> {
    if count > LINKS_MAX { Err(invalid(field, format!("at most {LINKS_MAX}"))) } else { Ok(()) }
}

/// The id of a model given by name or id.
fn model(text: &str) -> String {
    text.rsplit('/').next().unwrap_or(text).to_owned()
}
