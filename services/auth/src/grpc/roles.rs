use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::role_service_server::RoleService;
use cairn_eventstore::Work;
use cairn_kernel::Expected;
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::terms::permissions;
use crate::desk::{Desk, Reading, given, masked, rejected, require_open, stream, text};
use crate::giving::require_held;
use crate::model::role::{Act, Command};
use crate::model::{OrganizationName, Rejection, Role, RoleName, Slug};

pub struct OwnRoles(pub Arc<Desk>);

impl OwnRoles {
    async fn show(&self, reading: &Reading, name: &RoleName) -> Result<proto::Role, Status> {
        let found = reading.query.role(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::RoleNotFound(name.clone())))
    }

    async fn act(&self, ctx: &Ctx, request_id: &str, etag: &str, role: RoleName, act: Act) -> Reply<proto::Role> {
        let command = Command { role: role.clone(), act };
        let at = self.0.execute::<Role>(ctx, request_id, &stream::<Role>(&role), etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &role).await?, at))
    }
}

/// The organization that made a role.
fn organization_of(role: &RoleName) -> Result<OrganizationName, Status> {
    role.organization().ok_or_else(|| rejected(Rejection::RoleNotFound(role.clone())))
}

#[tonic::async_trait]
impl RoleService for OwnRoles {
    async fn create_role(&self, request: Request<proto::CreateRoleRequest>) -> Reply<proto::Role> {
        let (ctx, request) = Ctx::accept(request)?;
        let organization: OrganizationName = field("parent", &request.parent)?;
        let given = given("role", request.role)?;
        let id: Slug = field("role_id", &request.role_id)?;
        let role = RoleName::stored(format!("{organization}/roles/{id}"));
        let permissions = permissions(&given.permissions)?;
        let description = text("role.description", &given.description)?;
        require_held(&ctx, role.as_str(), permissions.iter().map(String::as_str), &organization.name())?;
        let _turn = self.0.turn(&ctx).await?;
        let (world, limit) = (self.0.access.world(), self.0.limits.roles_max);
        if world.role(role.as_str()).is_none() && world.role_count(&organization.name()) >= limit {
            let holder = organization.to_string();
            return Err(rejected(Rejection::Full { holder, what: "roles", limit }));
        }
        let act = Act::Create { description, permissions: permissions.into_iter().collect() };
        let command = Command { role: role.clone(), act };
        let attempt = |mut work: Work| {
            let (organization, command) = (organization.clone(), command.clone());
            async move {
                require_open(&mut work, &organization).await?;
                work.decide::<Role>(&stream::<Role>(&command.role), Expected::Any, command.clone()).await?;
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(&request.request_id), attempt).await.map_err(refuse)?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &role).await?, at))
    }

    async fn get_role(&self, request: Request<proto::GetRoleRequest>) -> Reply<proto::Role> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn update_role(&self, request: Request<proto::UpdateRoleRequest>) -> Reply<proto::Role> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("role", request.role)?;
        let role: RoleName = field("role.name", &wanted.name)?;
        let organization = organization_of(&role)?;
        let are_words_set = if wanted.permissions.is_empty() { "" } else { "set" };
        let fields = [("description", wanted.description.as_str()), ("permissions", are_words_set)];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let description = masked.contains(&"description");
        let description = description.then(|| text("role.description", &wanted.description)).transpose()?;
        let _turn = self.0.turn(&ctx).await?;
        let world = self.0.access.world();
        let before: BTreeSet<String> =
            world.role(role.as_str()).iter().flat_map(|role| role.permissions()).map(str::to_owned).collect();
        let words = if masked.contains(&"permissions") {
            // What the contract no longer knows may stay as it is, and cannot come back.
            let (kept, new): (Vec<String>, Vec<String>) =
                wanted.permissions.into_iter().partition(|word| before.contains(word));
            let new = permissions(&new)?;
            require_held(&ctx, role.as_str(), new.iter().map(String::as_str), &organization.name())?;
            Some(kept.into_iter().chain(new).collect())
        } else {
            None
        };
        let act = Act::Redefine { description, permissions: words };
        self.act(&ctx, &request.request_id, &wanted.etag, role, act).await
    }

    async fn delete_role(&self, request: Request<proto::DeleteRoleRequest>) -> Reply<proto::Role> {
        let (ctx, request) = Ctx::accept(request)?;
        let role: RoleName = field("name", &request.name)?;
        organization_of(&role)?;
        let _turn = self.0.turn(&ctx).await?;
        let (world, now) = (self.0.access.world(), self.0.now());
        let using = world.bindings_of(role.as_str()).filter(|(_, grant)| grant.is_current(now));
        let using: Vec<&str> = using.map(|(_, grant)| grant.binding.as_str()).collect();
        if let Some(first) = using.first() {
            let (binding, count) = ((*first).to_owned(), using.len());
            return Err(rejected(Rejection::RoleInUse { role, binding, count }));
        }
        self.act(&ctx, &request.request_id, &request.etag, role, Act::Delete).await
    }
}
