use cairn_kernel::Name;
use cairn_service::{Ctx, Refusal, refuse};
use tonic::{Request, Status};

use super::fault::{ErrorCode, translated};
use super::required::{model_name, version_number};
use crate::app::{App, Call};
use crate::model::{ModelName, Number, ProjectName, VersionName};
use crate::query::Visible;

/// Who calls, and the project that bare names are looked up in.
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
        let mut call = self.list();
        call.order.metadata.resource = resource.to_string();
        Ok(call)
    }

    /// The model of this name, and the call on it.
    pub async fn model(&self, app: &App, name: &Option<String>) -> Result<(ModelName, Call), Status> {
        let name = model_name("name", name)?;
        match self.find(app, name.as_str()).await? {
            Some(found) => {
                let call = self.allow(found.name())?;
                Ok((found, call))
            }
            None => Err(self.hidden(no_model(name.as_str()))),
        }
    }

    /// The version of this name and number, which need not exist, and the call on it.
    pub async fn version(
        &self,
        app: &App,
        name: &Option<String>,
        version: &Option<String>,
    ) -> Result<(VersionName, Call), Status> {
        let name = model_name("name", name)?;
        let number = version_number(version)?;
        let found = match (self.find(app, name.as_str()).await?, number) {
            (Some(model), Some(number)) => model.version(Number(number)),
            _ => {
                let number = version.as_deref().unwrap_or_default();
                return Err(self.hidden(no_version(name.as_str(), number)));
            }
        };
        let call = self.allow(found.name())?;
        Ok((found, call))
    }

    async fn find(&self, app: &App, display_name: &str) -> Result<Option<ModelName>, Status> {
        app.find_model(&self.project, display_name).await.map_err(translated)
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

pub(super) fn no_model(name: &str) -> Status {
    ErrorCode::ResourceDoesNotExist.says(format!("Registered Model with name={name} not found"))
}

pub(super) fn no_version(name: &str, number: &str) -> Status {
    ErrorCode::ResourceDoesNotExist.says(format!("Model Version (name={name}, version={number}) not found"))
}
