use std::sync::Arc;

use cairn_access::DEFAULT_ORGANIZATION;
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::project_service_server::ProjectService;
use cairn_eventstore::Work;
use cairn_kernel::{Expected, Name, Position};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::terms::tags;
use crate::desk::{Desk, Reading, given, made_id, masked, rejected, require_open, stream, text};
use crate::model::project::{Act, Command};
use crate::model::{OrganizationName, Project, ProjectName, Quota, Rejection, Slug};

/// Most tags of one project.
const TAGS_MAX: usize = 32;

pub struct Projects(pub Arc<Desk>);

impl Projects {
    async fn show(&self, reading: &Reading, name: &ProjectName) -> Result<proto::Project, Status> {
        let found = reading.query.project(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::ProjectNotFound(name.clone())))
    }

    async fn show_quota(&self, reading: &Reading, name: &ProjectName) -> Result<proto::ProjectQuota, Status> {
        let found = reading.query.quota(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::ProjectNotFound(name.clone())))
    }

    async fn act(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        project: ProjectName,
        act: Act,
    ) -> Reply<proto::Project> {
        let command = Command { project: project.clone(), act };
        let at: Position =
            self.0.execute::<Project>(ctx, request_id, &stream::<Project>(&project), etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &project).await?, at))
    }
}

#[tonic::async_trait]
impl ProjectService for Projects {
    async fn create_project(&self, request: Request<proto::CreateProjectRequest>) -> Reply<proto::Project> {
        let (ctx, request) = Ctx::accept(request)?;
        let given = request.project.unwrap_or_default();
        let id = match request.project_id.as_str() {
            "" => format!("p-{}", made_id(&ctx.order(&request.request_id))),
            chosen => field::<Slug>("project_id", chosen)?.to_string(),
        };
        let project = ProjectName::stored(format!("projects/{id}"));
        let (title, description) = (text("title", &given.title)?, text("description", &given.description)?);
        let organization = match request.parent.as_str() {
            "" => OrganizationName::stored(DEFAULT_ORGANIZATION),
            text => field("parent", text)?,
        };
        let act = Act::Create { title, description, organization: organization.clone() };
        let command = Command { project: project.clone(), act };
        let attempt = |mut work: Work| {
            let (organization, command) = (organization.clone(), command.clone());
            async move {
                require_open(&mut work, &organization).await?;
                work.decide::<Project>(&stream::<Project>(&command.project), Expected::Any, command.clone()).await?;
                Ok(((), work))
            }
        };
        let order = ctx.order(&request.request_id);
        let ((), at) = self.0.commands.transact(&order, attempt).await.map_err(refuse)?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &project).await?, at))
    }

    async fn classify_project(&self, request: Request<proto::ClassifyProjectRequest>) -> Reply<proto::Project> {
        let (ctx, request) = Ctx::accept(request)?;
        let (project, tags) = (field("name", &request.name)?, tags("tags", request.tags, TAGS_MAX)?);
        self.act(&ctx, &request.request_id, &request.etag, project, Act::Classify { tags }).await
    }

    async fn get_project(&self, request: Request<proto::GetProjectRequest>) -> Reply<proto::Project> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ProjectName = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_projects(&self, request: Request<proto::ListProjectsRequest>) -> Reply<proto::ListProjectsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let deleted = if request.show_deleted { "deleted too" } else { "" };
        if !request.parent.is_empty() {
            field::<OrganizationName>("parent", &request.parent)?;
        }
        let page = Page::read("projects", &[deleted, &request.parent], request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.projects.list", &Name::ROOT);
        let found =
            reading.query.projects(&visible, &page, (&request.parent, request.show_deleted)).await.map_err(refuse)?;
        let (projects, next_page_token) = page.cut(found, |project| &project.name);
        Ok(Response::new(proto::ListProjectsResponse { projects, next_page_token }))
    }

    async fn update_project(&self, request: Request<proto::UpdateProjectRequest>) -> Reply<proto::Project> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("project", request.project)?;
        let project: ProjectName = field("project.name", &wanted.name)?;
        let fields = [("title", wanted.title.as_str()), ("description", wanted.description.as_str())];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let title = masked.contains(&"title").then(|| text("project.title", &wanted.title)).transpose()?;
        let description = masked.contains(&"description");
        let description = description.then(|| text("project.description", &wanted.description)).transpose()?;
        self.act(&ctx, &request.request_id, &wanted.etag, project, Act::Describe { title, description }).await
    }

    async fn delete_project(&self, request: Request<proto::DeleteProjectRequest>) -> Reply<proto::Project> {
        let (ctx, request) = Ctx::accept(request)?;
        let project = field("name", &request.name)?;
        self.act(&ctx, &request.request_id, &request.etag, project, Act::Delete).await
    }

    async fn restore_project(&self, request: Request<proto::RestoreProjectRequest>) -> Reply<proto::Project> {
        let (ctx, request) = Ctx::accept(request)?;
        let project = field("name", &request.name)?;
        // Of a deleted organization it stays out of reach, whatever is said of it here.
        self.act(&ctx, &request.request_id, &request.etag, project, Act::Restore).await
    }

    async fn get_project_quota(&self, request: Request<proto::GetProjectQuotaRequest>) -> Reply<proto::ProjectQuota> {
        let (ctx, request) = Ctx::accept(request)?;
        let project = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show_quota(&reading, &project).await?))
    }

    async fn set_project_quota(&self, request: Request<proto::SetProjectQuotaRequest>) -> Reply<proto::ProjectQuota> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("name", &request.name)?;
        let asked = request.quota.unwrap_or_default();
        // What was read may be sent back as it came.
        let etag = if request.etag.is_empty() { asked.etag.clone() } else { request.etag };
        let quota = quota(&project, asked)?;
        let (stream, act) = (stream::<Project>(&project), Act::SetQuota { quota });
        let command = Command { project: project.clone(), act };
        let at = self.0.execute::<Project>(&ctx, &request.request_id, &stream, &etag, command).await?;
        Ok(ctx.reply(self.show_quota(&self.0.present(), &project).await?, at))
    }
}

/// Limits as they are asked for.
fn quota(project: &ProjectName, asked: proto::ProjectQuota) -> Result<Quota, Status> {
    let invalid = |field, problem: &str| Err(refuse(Refusal::invalid(field, problem)));
    if !asked.name.is_empty() && asked.name != project.as_str() {
        return invalid("quota.name", "is another project than the one that is asked about");
    }
    if asked.requests_per_second == Some(0) {
        return invalid(
            "quota.requests_per_second",
            "must be at least 1: a project that nobody may use is deleted instead",
        );
    }
    if asked.storage_bytes_max.is_some_and(|bytes| i64::try_from(bytes).is_err()) {
        return invalid("quota.storage_bytes_max", "must be at most 2^63 - 1");
    }
    Ok(Quota {
        runs_max: asked.runs_max,
        concurrent_runs_max: asked.concurrent_runs_max,
        storage_bytes_max: asked.storage_bytes_max,
        requests_per_second: asked.requests_per_second,
    })
}
