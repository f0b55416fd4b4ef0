//! Giving and taking roles: a binding, the principal it is about, and the count of administrators, in one append.

use cairn_access::World;
use cairn_access::guardrail::Known;
use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::{Expected, Name, Position, Time};
use cairn_service::{Ctx, Refusal, refuse};
use tonic::Status;

use crate::desk::{Desk, expected, made_id, rejected, require_active, stream};
use crate::duties::{self, Holding};
use crate::giving::{require_held, role_on};
use crate::model::administrators::{self, Administrators};
use crate::model::binding::{Act, Command, Object, Terms};
use crate::model::name::organization_in;
use crate::model::{
    Binding, BindingName, OrganizationName, ProjectName, REASON_CHARS_MAX, Rejection, Role, RoleName, Text,
};

/// Denying something.
const DENY: &str = "auth.bindings.deny";

/// Gives a role, if the caller holds all of it there; or denies something, if the caller may.
pub async fn grant(
    desk: &Desk,
    ctx: &Ctx,
    request_id: &str,
    terms: Terms,
    reason: Text<REASON_CHARS_MAX>,
) -> Result<(BindingName, Position), Status> {
    let _turn = desk.turn(ctx).await?;
    let world = desk.access.world();
    // The contract may name less than what it is given on.
    ctx.guard(&ctx.method().permission, &terms.resource, &Known::default())?;
    require_there(&world, &terms.resource)?;
    match &terms.object {
        Object::Role(role) => {
            let found = role_on(&world, role, &terms.resource)?;
            require_held(ctx, role.as_str(), found.permissions(), &terms.resource)?;
        }
        Object::DeniedRole(_) | Object::Denied(_) => require_deniable(ctx, &world, &terms)?,
    }
    let limit = desk.limits.bindings_max;
    if world.grants(terms.principal.as_str()).count() >= limit {
        let principal = terms.principal;
        return Err(rejected(Rejection::TooMany { principal, what: "roles", limit }));
    }
    let order = ctx.order(request_id);
    let name = BindingName::on(&terms.resource, &made_id(&order));
    let now = desk.now();
    if let Object::Role(role) = &terms.object {
        let new = Holding { role: role.to_string(), resource: terms.resource.clone(), binding: name.to_string() };
        if let Some(conflict) = duties::conflict(&world, &terms.principal, &[new], now) {
            return Err(rejected(conflict));
        }
    }
    let attempt = |work: Work| stage_grant(work, name.clone(), terms.clone(), reason.clone(), now);
    let ((), at) = desk.commands.transact(&order, attempt).await.map_err(refuse)?;
    desk.settle(ctx, at).await?;
    Ok((name, at))
}

/// Refuses what lies in a project or organization that is not open.
fn require_there(world: &World, resource: &Name) -> Result<(), Status> {
    if let Some(project) = resource.project().filter(|project| !world.is_open(project)) {
        let name = ProjectName::stored(project.as_str());
        let is_known = world.knows(&project);
        return Err(rejected(if is_known {
            Rejection::ProjectDeleted(name)
        } else {
            Rejection::ProjectNotFound(name)
        }));
    }
    if let Some(organization) = organization_in(resource).filter(|name| !world.is_open_organization(name)) {
        let name = OrganizationName::stored(organization.as_str());
        return Err(rejected(if world.knows_organization(&organization) {
            Rejection::OrganizationDeleted(name)
        } else {
            Rejection::OrganizationNotFound(name)
        }));
    }
    Ok(())
}

/// Refuses a denial that the caller may not impose, or that lists could not honour.
fn require_deniable(ctx: &Ctx, world: &World, terms: &Terms) -> Result<(), Status> {
    let resource = &terms.resource;
    let is_whole =
        resource.is_root() || resource.matches("projects/*").is_some() || resource.matches("organizations/*").is_some();
    if !is_whole {
        let problem = "must be `*`, an organization or a project: what is denied is denied there as a whole";
        return Err(refuse(Refusal::invalid("resource", problem)));
    }
    if let Some(role) = terms.object.role() {
        role_on(world, role, resource)?;
    }
    ctx.require(DENY, resource)
}

/// Stages a binding, its principal's being let in, its role's being there, and its counting.
pub async fn stage_grant(
    mut work: Work,
    binding: BindingName,
    terms: Terms,
    reason: Text<REASON_CHARS_MAX>,
    now: Time,
) -> Result<((), Work), CommandFault<Rejection>> {
    require_active(&mut work, &terms.principal).await?;
    if let Some(role) = terms.object.role().filter(|role| role.organization().is_some()) {
        require_role(&mut work, role).await?;
    }
    let (makes_administrator, principal) = (terms.makes_administrator(), terms.principal.principal());
    let act = Act::Grant { terms: Box::new(terms), reason, now };
    let command = Command { binding: binding.clone(), act };
    let after = work.decide::<Binding>(&stream::<Binding>(&binding), Expected::Any, command).await?;
    if let Some(principal) = principal.filter(|_| makes_administrator && after.is_held()) {
        let command = administrators::Command::Add { principal, binding };
        let all = stream::<Administrators>(&Administrators::STREAM_ID);
        work.decide::<Administrators>(&all, Expected::Any, command).await?;
    }
    Ok(((), work))
}

async fn require_role(work: &mut Work, role: &RoleName) -> Result<(), CommandFault<Rejection>> {
    let found = work.witness::<Role>(&stream::<Role>(role)).await?.state;
    let is_there = found.permissions().is_some();
    if is_there { Ok(()) } else { Err(CommandFault::Rejected(Rejection::RoleUnknown(role.clone()))) }
}

/// Takes a role away, or ends a denial.
pub async fn withdraw(
    desk: &Desk,
    ctx: &Ctx,
    request_id: &str,
    etag: &str,
    name: &BindingName,
    reason: Text<REASON_CHARS_MAX>,
) -> Result<Position, Status> {
    let expected = expected(etag)?;
    let attempt = |mut work: Work| {
        let (binding, reason) = (name.clone(), reason.clone());
        async move {
            let command = Command { binding: binding.clone(), act: Act::Withdraw { reason } };
            let after = work.decide::<Binding>(&stream::<Binding>(&binding), expected, command).await?;
            if after.terms().is_some_and(Terms::makes_administrator) {
                let all = stream::<Administrators>(&Administrators::STREAM_ID);
                let command = administrators::Command::Remove { binding };
                work.decide::<Administrators>(&all, Expected::Any, command).await?;
            }
            Ok(((), work))
        }
    };
    let ((), at) = desk.commands.transact(&ctx.order(request_id), attempt).await.map_err(refuse)?;
    Ok(at)
}
