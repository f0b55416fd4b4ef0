use cairn_contract::cairn::config::v1 as proto;
use cairn_kernel::Name;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::configs::Configs;
use super::rejected;
use crate::desk::{etag_number, text};
use crate::model::scope::Act;
use crate::model::{EnvironmentId, EnvironmentName, ProjectName, Rejection};
use crate::query::Query;

impl Configs {
    /// An environment, deleted or not.
    async fn show(&self, query: &Query, name: &EnvironmentName) -> Result<proto::Environment, Status> {
        let found = query.environment(name).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::EnvironmentNotFound(name.clone())))
    }

    pub(super) async fn create(&self, request: Request<proto::CreateEnvironmentRequest>) -> Reply<proto::Environment> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let scope: Name = field("parent", project.as_str())?;
        let id: EnvironmentId = field("environment_id", &request.environment_id)?;
        let given = request.environment.unwrap_or_default();
        let inherits = match given.inherits.as_str() {
            "" => None,
            name => {
                let parent: EnvironmentName = field("environment.inherits", name)?;
                if parent.scope() != scope {
                    let problem = "must lie in the same project";
                    return Err(refuse(Refusal::invalid("environment.inherits", problem)));
                }
                Some(parent.id())
            }
        };
        let description = text("environment.description", &given.description)?;
        let name = EnvironmentName::of(&scope, &id);
        let create = Act::CreateEnvironment { id, inherits, description };
        let at = self.act(&ctx, &request.request_id, &scope, create).await?;
        Ok(ctx.reply(self.show(&self.0.query, &name).await?, at))
    }

    pub(super) async fn environment(
        &self,
        request: Request<proto::GetEnvironmentRequest>,
    ) -> Reply<proto::Environment> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&query, &name).await?))
    }

    pub(super) async fn environments(
        &self,
        request: Request<proto::ListEnvironmentsRequest>,
    ) -> Reply<proto::ListEnvironmentsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent: ProjectName = field("parent", &request.parent)?;
        let page = Page::read("environments", &[parent.as_str()], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        let under: Name = field("parent", parent.as_str())?;
        let visible = ctx.visible("config.environments.list", &under);
        let found = query.environments(&under, &visible, &page).await.map_err(refuse)?;
        let (environments, next_page_token) = page.cut(found, |environment| &environment.name);
        Ok(Response::new(proto::ListEnvironmentsResponse { environments, next_page_token }))
    }

    pub(super) async fn environments_of_all(
        &self,
        request: Request<proto::SearchEnvironmentsRequest>,
    ) -> Reply<proto::SearchEnvironmentsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let page = Page::read("environments of all", &[], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, "").await?;
        let visible = ctx.visible("config.environments.list", &Name::ROOT);
        let found = query.environments(&Name::ROOT, &visible, &page).await.map_err(refuse)?;
        let (environments, next_page_token) = page.cut(found, |environment| &environment.name);
        Ok(Response::new(proto::SearchEnvironmentsResponse { environments, next_page_token }))
    }

    pub(super) async fn delete(&self, request: Request<proto::DeleteEnvironmentRequest>) -> Reply<proto::Environment> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: EnvironmentName = field("name", &request.name)?;
        let delete = Act::DeleteEnvironment { id: name.id(), expected: seen(&request.etag)? };
        let at = self.act(&ctx, &request.request_id, &name.scope(), delete).await?;
        Ok(ctx.reply(self.show(&self.0.query, &name).await?, at))
    }
}

/// The revision that an etag of an environment stands for.
pub(super) fn seen(etag: &str) -> Result<Option<u32>, Status> {
    if etag.is_empty() { Ok(None) } else { etag_number(etag).map(Some) }
}
