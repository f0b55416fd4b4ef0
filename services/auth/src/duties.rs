//! Separated duties: roles that nobody may hold together on one resource, whether given directly or through groups.

use std::collections::BTreeSet;

use cairn_access::{SeparatedRoles, World};
use cairn_kernel::{Name, Time};

use crate::model::{HolderName, Rejection};

/// A role somewhere, and what gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub role: String,
    pub resource: Name,
    pub binding: String,
}

/// Whether what a holder is about to get goes together with what it, or who is in it, has. `None`: it does.
pub fn conflict(world: &World, holder: &HolderName, new: &[Holding], now: Time) -> Option<Rejection> {
    if world.organizations().all(|organization| world.separated(organization).is_empty()) {
        return None;
    }
    people(world, holder.as_str()).into_iter().find_map(|principal| {
        let held = holdings(world, principal, now);
        new.iter().find_map(|new| held.iter().find_map(|held| apart(world, principal, new, held)))
    })
}

/// Whether somebody holds two roles already that are to be apart in an organization.
pub fn standing_conflict(world: &World, organization: &Name, pairs: &[SeparatedRoles], now: Time) -> Option<Rejection> {
    pairs.iter().find_map(|(role, _)| {
        let holders: BTreeSet<&str> = world.bindings_of(role).map(|(holder, _)| holder).collect();
        let people: BTreeSet<&str> = holders.into_iter().flat_map(|holder| people(world, holder)).collect();
        people.into_iter().find_map(|principal| {
            let held = holdings(world, principal, now);
            held.iter()
                .find_map(|one| held.iter().find_map(|other| among(world, organization, pairs, principal, one, other)))
        })
    })
}

/// Everything that a holder holds now, itself or through groups.
pub fn holdings(world: &World, holder: &str, now: Time) -> Vec<Holding> {
    let grants = world.all_grants(holder).filter(|(grant, _)| !grant.denies && grant.is_current(now));
    let holding = grants.map(|(grant, _)| Holding {
        role: grant.role_name().to_owned(),
        resource: grant.resource.clone(),
        binding: grant.binding.clone(),
    });
    holding.collect()
}

/// The users and service accounts that a holder is, or that are in it.
fn people<'a>(world: &'a World, holder: &'a str) -> BTreeSet<&'a str> {
    let is_group = |member: &&str| member.starts_with("organizations/");
    if !is_group(&holder) {
        return [holder].into();
    }
    let inner = world.members(holder).filter(is_group).flat_map(|group| world.members(group));
    world.members(holder).chain(inner).filter(|member| !is_group(member)).collect()
}

fn apart(world: &World, principal: &str, one: &Holding, other: &Holding) -> Option<Rejection> {
    world
        .organizations()
        .find_map(|organization| among(world, organization, world.separated(organization), principal, one, other))
}

/// Whether two holdings are to be apart by these pairs of an organization, and meet on something of it.
fn among(
    world: &World,
    organization: &Name,
    pairs: &[SeparatedRoles],
    principal: &str,
    one: &Holding,
    other: &Holding,
) -> Option<Rejection> {
    let are = |(a, b): &SeparatedRoles| (one.role == *a && other.role == *b) || (one.role == *b && other.role == *a);
    if !pairs.iter().any(are) {
        return None;
    }
    let meet = if world.covers(&one.resource, &other.resource) {
        &other.resource
    } else if world.covers(&other.resource, &one.resource) {
        &one.resource
    } else {
        return None;
    };
    let is_of_it = meet.is_root() || world.owner(meet) == Some(organization);
    is_of_it.then(|| Rejection::DutiesSeparated {
        principal: principal.to_owned(),
        role: one.role.clone(),
        other_role: other.role.clone(),
        resource: meet.clone(),
        binding: other.binding.clone(),
    })
}
