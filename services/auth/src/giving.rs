//! What may be passed on: nobody gives what they do not hold where it is given, unless they may escalate there.

use cairn_access::{Grant, Role, Roles, World};
use cairn_kernel::Name;
use cairn_service::Ctx;
use tonic::Status;

use crate::desk::rejected;
use crate::model::{HolderName, Rejection, RoleName};

/// Giving more than one holds.
const ESCALATE: &str = "auth.bindings.escalate";

/// Finds a role that can be given on a resource: one that is built in, or of the organization that it belongs to.
pub fn role_on<'a>(world: &'a World, role: &RoleName, resource: &Name) -> Result<&'a Role, Status> {
    let Some(organization) = role.organization() else {
        let found = Roles::built_in().find(role.as_str());
        return found.map(AsRef::as_ref).ok_or_else(|| rejected(Rejection::RoleUnknown(role.clone())));
    };
    let found = world.role(role.as_str()).ok_or_else(|| rejected(Rejection::RoleUnknown(role.clone())))?;
    if world.owner(resource).is_none_or(|owner| owner.as_str() != organization.as_str()) {
        let (what, organization) = (resource.to_string(), organization.to_string());
        return Err(rejected(Rejection::OrganizationMismatch { what, organization }));
    }
    Ok(found)
}

/// Refuses to pass on permissions that the caller does not hold on the resource.
pub fn require_held<'a>(
    ctx: &Ctx,
    role: &str,
    permissions: impl IntoIterator<Item = &'a str>,
    resource: &Name,
) -> Result<(), Status> {
    if ctx.allows(ESCALATE, resource).is_allowed() {
        return Ok(());
    }
    let missing = permissions.into_iter().find(|word| !ctx.allows(word, resource).is_allowed());
    let Some(permission) = missing.map(str::to_owned) else { return Ok(()) };
    let (role, resource) = (RoleName::stored(role), resource.clone());
    Err(rejected(Rejection::GrantTooWide { role, permission, resource }))
}

/// Refuses to let anybody act as somebody who holds more than the caller: by a key of theirs, or as a member of a group.
pub fn require_all_held(ctx: &Ctx, world: &World, holder: &HolderName) -> Result<(), Status> {
    let own = world
        .grants(holder.as_str())
        .chain(world.groups_of(holder.as_str()).flat_map(|membership| world.grants(membership.group)));
    let mut seen: Vec<(&str, &Name)> = vec![];
    for grant in own.filter(|grant| !grant.denies) {
        let what = (grant.role_name(), &grant.resource);
        if seen.contains(&what) {
            continue;
        }
        seen.push(what);
        require_grant_held(ctx, grant)?;
    }
    Ok(())
}

fn require_grant_held(ctx: &Ctx, grant: &Grant) -> Result<(), Status> {
    let Some(role) = &grant.role else { return Ok(()) };
    let known = role.permissions().filter(|word| Roles::built_in().knows(word));
    require_held(ctx, grant.role_name(), known, &grant.resource)
}
