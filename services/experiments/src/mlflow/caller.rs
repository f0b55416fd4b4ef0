use cairn_kernel::Name;
use cairn_service::{Ctx, Refusal, refuse};
use tonic::{Request, Status};

use super::fault::{ErrorCode, translated};
use super::required::is_id;
use crate::app::{App, Call};
use crate::model::{ExperimentName, LoggedModelName, ProjectName, RunName};
use crate::query::Visible;

/// Who calls, and the project that bare ids are looked up in.
pub(super) struct Caller {
    ctx: Ctx,
    project: ProjectName,
}

impl Caller {
    /// Takes the caller off a request.
    pub fn accept<T>(request: Request<T>) -> Result<(Self, T), Status> {
        let (ctx, request) = Ctx::accept(request)?;
        let project = ctx.project().ok_or_else(|| refuse(Refusal::internal("the dialect names no project")))?;
        let project = project.as_str().parse().map_err(refuse)?;
        Ok((Self { ctx, project }, request))
    }

    pub fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Asks for the method's own permission on the exact resource, and gives the call that is made on it.
    pub fn allow(&self, resource: &Name) -> Result<Call, Status> {
        self.ctx.require(&self.ctx.method().permission, resource)?;
        let mut call = Call::of(&self.ctx, "");
        call.order.metadata.resource = resource.to_string();
        Ok(call)
    }

    /// The run of this id, and the call on it.
    pub async fn run(&self, app: &App, id: &str) -> Result<(RunName, Call), Status> {
        if !is_id(id) {
            return Err(self.hidden(ErrorCode::ResourceDoesNotExist.says(format!("Run with id={id} not found"))));
        }
        match app.run_name(&self.project, id).await {
            Ok(run) => {
                let call = self.allow(run.name())?;
                Ok((run, call))
            }
            Err(refusal) => Err(self.hidden(translated(refusal))),
        }
    }

    /// The logged model of this id, and the call on it.
    pub async fn logged_model(&self, app: &App, id: &str) -> Result<(LoggedModelName, Call), Status> {
        let unknown = || ErrorCode::ResourceDoesNotExist.says(format!("Logged model with ID '{id}' not found."));
        if !is_id(id) {
            return Err(self.hidden(unknown()));
        }
        match app.logged_model_name(&self.project, id).await {
            Ok(model) => {
                let call = self.allow(model.name())?;
                Ok((model, call))
            }
            Err(refusal) => Err(self.hidden(translated(refusal))),
        }
    }

    /// The experiment of this id, which need not exist, and the call on it.
    pub fn experiment(&self, id: &str) -> Result<(ExperimentName, Call), Status> {
        let name = self.project.experiment(id).map_err(|_| {
            self.hidden(ErrorCode::ResourceDoesNotExist.says(format!("No Experiment with id={id} exists")))
        })?;
        let call = self.allow(name.name())?;
        Ok((name, call))
    }

    /// What a list shows of the project.
    pub fn visible(&self) -> Visible {
        let prefixes = self.ctx.visible(&self.ctx.method().permission, self.project.name());
        Visible::of(&prefixes, &self.project)
    }

    /// A call on the project as a whole, for lists.
    pub fn list(&self) -> Call {
        Call::of(&self.ctx, "")
    }

    /// That something is not there is told only to those who might have seen it.
    pub fn hidden(&self, status: Status) -> Status {
        self.allow(self.project.name()).err().unwrap_or(status)
    }
}
