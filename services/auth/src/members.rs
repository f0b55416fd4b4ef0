//! Who may be put into a group.

use cairn_access::Standing;
use cairn_service::Ctx;
use tonic::Status;

use crate::desk::{Desk, rejected};
use crate::duties;
use crate::giving::require_all_held;
use crate::model::{GroupName, HolderName, Rejection};

/// Refuses members that are not there or not of the organization, groups that would nest too deep, more than there may
/// be, duties that are to be apart, and what the caller could not give by a role either: who joins a group is given what
/// it holds.
pub fn require_admissible(desk: &Desk, ctx: &Ctx, group: &GroupName, members: &[HolderName]) -> Result<(), Status> {
    let world = desk.access.world();
    let holder = HolderName::stored(group.as_str());
    if !world.has_group(group.as_str()) {
        return Ok(()); // The group itself says that it is not there.
    }
    require_all_held(ctx, &world, &holder)?;
    require_fit(desk, group, members)
}

/// Refuses members for what they are, whoever puts them in: also into a group that is about to be made.
pub fn require_fit(desk: &Desk, group: &GroupName, members: &[HolderName]) -> Result<(), Status> {
    let world = desk.access.world();
    let is_nested = world.groups_around(group.as_str()).next().is_some();
    let gained = duties::holdings(&world, group.as_str(), desk.now());
    let limit = desk.limits.groups_of_member_max;
    for member in members {
        match member.group() {
            Some(inner) => {
                if inner.organization() != group.organization() {
                    let (what, organization) = (inner.to_string(), group.organization().to_string());
                    return Err(rejected(Rejection::OrganizationMismatch { what, organization }));
                }
                if !world.has_group(inner.as_str()) {
                    return Err(rejected(Rejection::GroupNotFound(inner)));
                }
                let holds_groups = world.members(inner.as_str()).any(|member| member.starts_with("organizations/"));
                if is_nested || holds_groups || inner == *group {
                    let (member, parent) = (member.clone(), group.clone());
                    return Err(rejected(Rejection::GroupNestedTooDeep { group: member, parent }));
                }
            }
            None => {
                if !matches!(world.standing(member.as_str()), Some(Standing::Active | Standing::Disabled)) {
                    return Err(rejected(Rejection::PrincipalDisabled(member.clone())));
                }
                let of = member.as_str().parse().ok();
                let owner = of.as_ref().and_then(|name| world.owner(name));
                if let Some(owner) = owner.filter(|owner| owner.as_str() != group.organization().as_str()) {
                    let (what, organization) = (member.to_string(), owner.to_string());
                    return Err(rejected(Rejection::OrganizationMismatch { what, organization }));
                }
            }
        }
        let is_new = !world.groups_around(member.as_str()).any(|membership| membership.group == group.as_str());
        if is_new && world.groups_around(member.as_str()).count() >= limit {
            let (principal, what) = (member.clone(), "groups");
            return Err(rejected(Rejection::TooMany { principal, what, limit }));
        }
        if let Some(conflict) = duties::conflict(&world, member, &gained, desk.now()) {
            return Err(rejected(conflict));
        }
    }
    Ok(())
}
