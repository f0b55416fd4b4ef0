use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::import_service_server::ImportService;
use cairn_kernel::Time;
use cairn_service::{Ctx, Reply, field, refuse};
use prost_types::Timestamp;
use tonic::{Request, Status, async_trait};

use super::parse::{invalid, pairs, text};
use super::{Grpc, answer};
use crate::app::{Call, ModelDraft, NewExperiment, RunDraft};
use crate::convert::from_timestamp;
use crate::model::entry::{
    EXPERIMENT_DISPLAY_NAME_CHARS_MAX, EXPERIMENT_TAG_CHARS_MAX, PARAM_CHARS_MAX, TAG_CHARS_MAX,
};
use crate::model::name::DEFAULT_EXPERIMENT;
use crate::model::{ExperimentName, Origin, ProjectName, RunState};

/// Longest display name, user, type and source, in characters.
const NAME_CHARS_MAX: usize = 500;
/// Longest id of an experiment, in digits.
const DIGITS_MAX: usize = 18;
/// Longest id of a run or logged model, in characters.
const ID_CHARS_MAX: usize = 256;

#[async_trait]
impl ImportService for Grpc {
    async fn import_experiment(&self, request: Request<proto::ImportExperimentRequest>) -> Reply<proto::Experiment> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let id = &request.experiment_id;
        let is_number = (1..=DIGITS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || id.starts_with('0') {
            let problem = format!("must be up to {DIGITS_MAX} digits that do not begin with `{DEFAULT_EXPERIMENT}`");
            return Err(invalid("experiment_id", problem));
        }
        let name = project.experiment(id).map_err(|fault| invalid("experiment_id", fault))?;
        text("display_name", &request.display_name, 1..=EXPERIMENT_DISPLAY_NAME_CHARS_MAX)?;
        pairs("tags", &request.tags, EXPERIMENT_TAG_CHARS_MAX)?;
        let origin = self.origin(request.source, request.create_time.as_ref())?;
        let new = NewExperiment { display_name: request.display_name, tags: request.tags, ..NewExperiment::default() };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.import_experiment(&call, &name, new, origin).await.map_err(refuse)?;
        Ok(ctx.reply(answer::experiment(made.value), made.position))
    }

    async fn import_run(&self, request: Request<proto::ImportRunRequest>) -> Reply<proto::Run> {
        let (ctx, request) = Ctx::accept(request)?;
        let experiment: ExperimentName = field("parent", &request.parent)?;
        let name = experiment.run(id("run_id", &request.run_id)?).map_err(|fault| invalid("run_id", fault))?;
        text("display_name", &request.display_name, 0..=NAME_CHARS_MAX)?;
        text("user", &request.user, 0..=NAME_CHARS_MAX)?;
        let state = RunState::from(request.state());
        if state.is_terminal() {
            return Err(invalid("state", "must be RUNNING or SCHEDULED: finish it once it has all that it logged"));
        }
        pairs("params", &request.params, PARAM_CHARS_MAX)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        let origin = self.origin(request.source, request.start_time.as_ref())?;
        let draft = RunDraft {
            display_name: request.display_name,
            user: request.user,
            start_time: Some(origin.create_time),
            state,
            parent: None,
            params: request.params,
            tags: request.tags,
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.import_run(&call, &name, draft, origin.source).await.map_err(refuse)?;
        Ok(ctx.reply(answer::run(made.value), made.position))
    }

    async fn import_logged_model(
        &self,
        request: Request<proto::ImportLoggedModelRequest>,
    ) -> Reply<proto::LoggedModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let experiment: ExperimentName = field("parent", &request.parent)?;
        let model = id("logged_model_id", &request.logged_model_id)?;
        let name = experiment.logged_model(model).map_err(|fault| invalid("logged_model_id", fault))?;
        text("display_name", &request.display_name, 0..=NAME_CHARS_MAX)?;
        text("model_type", &request.model_type, 0..=NAME_CHARS_MAX)?;
        if !request.source_run.is_empty() {
            id("source_run", &request.source_run)?;
        }
        pairs("params", &request.params, PARAM_CHARS_MAX)?;
        pairs("tags", &request.tags, TAG_CHARS_MAX)?;
        let origin = self.origin(request.source, request.create_time.as_ref())?;
        let draft = ModelDraft {
            display_name: request.display_name,
            source_run: request.source_run,
            model_type: request.model_type,
            artifact_location: String::new(),
            params: request.params,
            tags: request.tags,
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.import_logged_model(&call, &name, draft, origin).await.map_err(refuse)?;
        Ok(ctx.reply(answer::logged_model(made.value), made.position))
    }
}

impl Grpc {
    /// What is not from anywhere is not imported; what does not say when it was made is made now.
    fn origin(&self, source: String, time: Option<&Timestamp>) -> Result<Origin, Status> {
        text("source", &source, 1..=NAME_CHARS_MAX)?;
        let create_time: Time = time.map_or_else(|| self.app.clock().now(), from_timestamp);
        Ok(Origin { source, create_time })
    }
}

/// An id that MLflow could have given.
fn id<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Status> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let begins_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    match begins_well && text.len() <= ID_CHARS_MAX && text.bytes().all(is_word) {
        true => Ok(text),
        false => Err(invalid(
            field,
            format!("must be up to {ID_CHARS_MAX} letters, digits, `_` and `-`, the first a letter or digit"),
        )),
    }
}
