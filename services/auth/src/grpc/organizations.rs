use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::organization_service_server::OrganizationService;
use cairn_kernel::Name;
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::terms;
use crate::desk::{Desk, Reading, given, made_id, masked, rejected, stream, text};
use crate::duties;
use crate::model::organization::{Act, Command, Pair};
use crate::model::{Organization, OrganizationName, Rejection, Slug};

/// Most pairs of roles that are to be apart in one organization.
const PAIRS_MAX: usize = 50;

pub struct Organizations(pub Arc<Desk>);

impl Organizations {
    async fn show(&self, reading: &Reading, name: &OrganizationName) -> Result<proto::Organization, Status> {
        let found = reading.query.organization(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::OrganizationNotFound(name.clone())))
    }

    async fn act(
        &self,
        ctx: &Ctx,
        request_id: &str,
        etag: &str,
        organization: OrganizationName,
        act: Act,
    ) -> Reply<proto::Organization> {
        let command = Command { organization: organization.clone(), act };
        let stream = stream::<Organization>(&organization);
        let at = self.0.execute::<Organization>(ctx, request_id, &stream, etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &organization).await?, at))
    }

    /// Pairs of roles that are to be apart from now on, which nobody may hold together already.
    fn pairs(&self, organization: &OrganizationName, asked: Vec<proto::SeparatedDuties>) -> Result<Vec<Pair>, Status> {
        let invalid = |problem: String| refuse(Refusal::invalid("separated_duties", problem));
        if asked.len() > PAIRS_MAX {
            return Err(invalid(format!("must be at most {PAIRS_MAX}")));
        }
        let mut pairs = vec![];
        for asked in asked {
            let (role, other_role) = (terms::role(&asked.role)?, terms::role(&asked.other_role)?);
            if role == other_role {
                return Err(invalid(format!("{role} cannot be apart from itself")));
            }
            let is_elsewhere =
                |role: &crate::model::RoleName| role.organization().is_some_and(|of| of != *organization);
            if let Some(what) = [&role, &other_role].into_iter().find(|role| is_elsewhere(role)) {
                let (what, organization) = (what.to_string(), organization.to_string());
                return Err(rejected(Rejection::OrganizationMismatch { what, organization }));
            }
            pairs.push(Pair { role, other_role, reason: text("separated_duties.reason", &asked.reason)? });
        }
        let world = self.0.access.world();
        let names: Vec<_> = pairs.iter().map(|pair| (pair.role.to_string(), pair.other_role.to_string())).collect();
        match duties::standing_conflict(&world, &organization.name(), &names, self.0.now()) {
            Some(conflict) => Err(rejected(conflict)),
            None => Ok(pairs),
        }
    }
}

#[tonic::async_trait]
impl OrganizationService for Organizations {
    async fn create_organization(
        &self,
        request: Request<proto::CreateOrganizationRequest>,
    ) -> Reply<proto::Organization> {
        let (ctx, request) = Ctx::accept(request)?;
        let given = request.organization.unwrap_or_default();
        let id = match request.organization_id.as_str() {
            "" => format!("o-{}", made_id(&ctx.order(&request.request_id))),
            chosen => field::<Slug>("organization_id", chosen)?.to_string(),
        };
        let organization = OrganizationName::stored(format!("organizations/{id}"));
        let (title, description) = (text("title", &given.title)?, text("description", &given.description)?);
        self.act(&ctx, &request.request_id, "", organization, Act::Create { title, description }).await
    }

    async fn get_organization(&self, request: Request<proto::GetOrganizationRequest>) -> Reply<proto::Organization> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_organizations(
        &self,
        request: Request<proto::ListOrganizationsRequest>,
    ) -> Reply<proto::ListOrganizationsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let deleted = if request.show_deleted { "deleted too" } else { "" };
        let page = Page::read("organizations", &[deleted], request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.organizations.list", &Name::ROOT);
        let found = reading.query.organizations(&visible, &page, request.show_deleted).await.map_err(refuse)?;
        let (organizations, next_page_token) = page.cut(found, |organization| &organization.name);
        Ok(Response::new(proto::ListOrganizationsResponse { organizations, next_page_token }))
    }

    async fn update_organization(
        &self,
        request: Request<proto::UpdateOrganizationRequest>,
    ) -> Reply<proto::Organization> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("organization", request.organization)?;
        let organization: OrganizationName = field("organization.name", &wanted.name)?;
        let are_pairs_set = if wanted.separated_duties.is_empty() { "" } else { "set" };
        let fields = [
            ("title", wanted.title.as_str()),
            ("description", wanted.description.as_str()),
            ("separated_duties", are_pairs_set),
        ];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let title = masked.contains(&"title").then(|| text("organization.title", &wanted.title)).transpose()?;
        let description = masked.contains(&"description");
        let description = description.then(|| text("organization.description", &wanted.description)).transpose()?;
        let _turn = self.0.turn(&ctx).await?;
        let separated = masked.contains(&"separated_duties");
        let separated = separated.then(|| self.pairs(&organization, wanted.separated_duties)).transpose()?;
        let act = Act::Describe { title, description, separated };
        self.act(&ctx, &request.request_id, &wanted.etag, organization, act).await
    }

    async fn delete_organization(
        &self,
        request: Request<proto::DeleteOrganizationRequest>,
    ) -> Reply<proto::Organization> {
        let (ctx, request) = Ctx::accept(request)?;
        let organization: OrganizationName = field("name", &request.name)?;
        let _turn = self.0.turn(&ctx).await?;
        let world = self.0.access.world();
        let name = organization.name();
        let live = world.belongings(&name).find(|thing| world.is_open(thing)).cloned();
        if let Some(project) = live.filter(|_| !organization.is_default()) {
            return Err(rejected(Rejection::OrganizationNotEmpty { organization, project }));
        }
        self.act(&ctx, &request.request_id, &request.etag, organization, Act::Delete).await
    }

    async fn restore_organization(
        &self,
        request: Request<proto::RestoreOrganizationRequest>,
    ) -> Reply<proto::Organization> {
        let (ctx, request) = Ctx::accept(request)?;
        let organization = field("name", &request.name)?;
        self.act(&ctx, &request.request_id, &request.etag, organization, Act::Restore).await
    }
}
