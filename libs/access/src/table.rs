use cairn_kernel::{Name, Principal, Time};

use crate::decision::{Considered, Facts};
use crate::role::governs;
use crate::world::Grants;
use crate::{Denial, Grant, KeyRecord, Reach, Roles, Standing, World};

/// Who holds this on a project may know that there is one, and that there is none.
const SEEING: &str = "auth.projects.get";

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub principal: &'a Principal,
    pub permission: &'a str,
    pub resource: &'a Name,
    pub reach: Reach,
    pub now: Time,
}

/// The binding that allows (none when it is what everybody holds on themselves), or why nothing does.
///
/// Pure and total: roles × bindings × prefixes, deny by default.
pub fn decide(world: &World, question: &Question<'_>) -> Result<Option<String>, Denial> {
    let Question { principal, permission, resource, reach, now } = *question;
    let caller = Caller::find(world, principal, now)?;
    if let Some(project) = closed(world, permission, resource) {
        // Whoever may see the project is told how it is with it; to anybody else it looks like any other.
        let seeing = Question { permission: SEEING, resource: &project, reach: Reach::Exact, ..*question };
        decide(world, &seeing).map_err(|_| Denial::NotGranted)?;
        return Err(if world.knows(&project) { Denial::ProjectDeleted } else { Denial::ProjectUnknown });
    }
    let mut denial = Denial::NotGranted;
    for grant in caller.near(resource, reach) {
        if !grant.gives(permission, now) || closed(world, permission, &grant.resource).is_some() {
            continue;
        }
        denial = Denial::OutOfScope;
        if caller.may_use(permission) && caller.narrowed(&grant.resource).any(|left| meets(&left, resource, reach)) {
            return Ok((!grant.binding.is_empty()).then(|| grant.binding.clone()));
        }
    }
    Err(denial)
}

/// The prefixes at or below `resource` on which the permission is held. None of them covers another.
pub fn visible(world: &World, question: &Question<'_>) -> Vec<Name> {
    let Question { principal, permission, resource, now, .. } = *question;
    let Ok(caller) = Caller::find(world, principal, now) else { return vec![] };
    if !caller.may_use(permission) || closed(world, permission, resource).is_some() {
        return vec![];
    }
    let mut prefixes: Vec<Name> = vec![];
    for grant in caller.near(resource, Reach::Somewhere).into_iter().filter(|grant| grant.gives(permission, now)) {
        prefixes.extend(caller.narrowed(&grant.resource).filter_map(|left| narrower(&left, resource).cloned()));
    }
    prefixes.retain(|prefix| closed(world, permission, prefix).is_none());
    prefixes.sort();
    prefixes.dedup();
    let widest =
        prefixes.iter().filter(|prefix| !prefixes.iter().any(|other| other != *prefix && other.covers(prefix)));
    widest.cloned().collect()
}

/// What a refusal rests on.
pub fn facts(world: &World, question: &Question<'_>, denial: Denial) -> Facts {
    let Question { principal, permission, resource, now, .. } = *question;
    let oneself = oneself(&principal.name).filter(|grant| meets(&grant.resource, resource, Reach::Somewhere));
    let (near, far): (Vec<&Grant>, Vec<&Grant>) =
        world.grants(&principal.name).partition(|grant| meets(&grant.resource, resource, Reach::Somewhere));
    let grant_count = near.len() + far.len();
    let grants = oneself.iter().chain(near).chain(far).take(Facts::GRANTS_MAX);
    let grants = grants.map(|grant| Considered {
        holds_permission: grant.role.as_ref().is_some_and(|role| role.holds(permission)),
        covers_resource: grant.resource.covers(resource),
        is_expired: !grant.is_current(now),
        grant: grant.clone(),
    });
    let key = principal.credential.as_deref().and_then(|id| world.holding(id, &principal.name, now)).flatten();
    Facts {
        denial,
        grants: grants.collect(),
        grant_count,
        scopes: principal.scopes.clone(),
        permissions: key.map(|key| key.permissions.clone()).unwrap_or_default(),
        policy: world.policy().0,
    }
}

/// What everybody holds on themselves.
fn oneself(principal: &str) -> Option<Grant> {
    let resource = principal.parse().ok()?;
    let role = Some(Roles::built_in().on_oneself(principal).clone());
    Some(Grant { binding: String::new(), role, resource, expire_time: None })
}

/// A caller that is let in, and what their credential leaves of them.
struct Caller<'a> {
    grants: Option<&'a Grants>,
    oneself: Option<Grant>,
    scopes: Option<Vec<Name>>,
    key: Option<&'a KeyRecord>,
}

impl<'a> Caller<'a> {
    fn find(world: &'a World, principal: &'a Principal, now: Time) -> Result<Self, Denial> {
        let name = principal.name.as_str();
        if world.standing(name) != Some(Standing::Active) {
            return Err(Denial::PrincipalDisabled);
        }
        let key = match &principal.credential {
            None => None,
            Some(id) => world.holding(id, name, now).ok_or(Denial::PrincipalDisabled)?.map(|key| &**key),
        };
        // A scope that is no name narrows to nothing; dropping it must not widen.
        let scopes = principal.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let scopes = (!principal.scopes.is_empty()).then_some(scopes);
        Ok(Self { grants: world.grants_by_resource(name), oneself: oneself(name), scopes, key })
    }

    /// The grants on the resource, on what it lies in and, if asked for, on what lies in it.
    fn near(&self, resource: &Name, reach: Reach) -> Vec<&Grant> {
        let mut found: Vec<&Grant> = vec![];
        if let Some(grants) = self.grants {
            for above in ancestors(resource.as_str()) {
                found.extend(grants.get(above).into_iter().flatten());
            }
            if reach == Reach::Somewhere {
                let start = if resource.is_root() { "\0".to_owned() } else { format!("{resource}/") };
                let below = grants.range(start.clone()..);
                let below = below.take_while(|(name, _)| resource.is_root() || name.starts_with(&start));
                found.extend(below.flat_map(|(_, here)| here));
            }
        }
        found.extend(self.oneself.iter().filter(|grant| meets(&grant.resource, resource, reach)));
        found
    }

    /// Whether the key, if any, leaves the permission.
    fn may_use(&self, permission: &str) -> bool {
        self.key.is_none_or(|key| key.permissions.is_empty() || key.permissions.iter().any(|word| word == permission))
    }

    /// What the credential leaves of a prefix.
    fn narrowed<'b>(&'b self, prefix: &'b Name) -> impl Iterator<Item = Name> + 'b {
        let whole = self.scopes.is_none().then(|| prefix.clone());
        let parts = self.scopes.iter().flatten().filter_map(|scope| narrower(scope, prefix).cloned());
        whole.into_iter().chain(parts)
    }
}

/// Whether holding a permission on `held` answers a question about `asked`.
fn meets(held: &Name, asked: &Name, reach: Reach) -> bool {
    held.covers(asked) || (reach == Reach::Somewhere && asked.covers(held))
}

/// The one that lies in the other, if one does.
fn narrower<'a>(one: &'a Name, other: &'a Name) -> Option<&'a Name> {
    if one.covers(other) {
        Some(other)
    } else if other.covers(one) {
        Some(one)
    } else {
        None
    }
}

/// A resource's name, those of all it lies in, and the root.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(name);
    std::iter::from_fn(move || {
        let here = next?;
        // Without its last collection and id.
        next = (!here.is_empty()).then(|| {
            let parent = here.rfind('/').and_then(|at| here[..at].rfind('/'));
            parent.map_or("", |at| &here[..at])
        });
        Some(here)
    })
}

/// The project in which work on a resource is out of the question, because it is deleted or was never there. Access
/// itself, and what is on record, can be looked after all the same.
pub fn closed(world: &World, permission: &str, resource: &Name) -> Option<Name> {
    if governs(permission) {
        return None;
    }
    resource.project().filter(|project| !world.is_open(project))
}

#[cfg(test)]
mod spec;
