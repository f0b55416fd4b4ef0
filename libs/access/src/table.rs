use std::collections::BTreeSet;

use cairn_kernel::{Name, Principal, Time};

use crate::decision::{Considered, Facts};
use crate::grant::Held;
use crate::role::governs;
use crate::tenancy::is_organization;
use crate::world::Grants;
use crate::{Circumstances, Denial, Grant, KeyRecord, Reach, Roles, Standing, World};

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
    pub circumstances: Circumstances,
}

/// The binding that allows (none when it is what everybody holds on themselves), or why nothing does.
///
/// Pure and total: roles × bindings × prefixes, deny by default, and what is denied counts before what is given.
pub fn decide(world: &World, question: &Question<'_>) -> Result<Option<String>, Denial> {
    let Question { permission, resource, reach, .. } = *question;
    let caller = Caller::find(world, question)?;
    if let Some(project) = closed(world, permission, resource) {
        // Whoever may see the project is told how it is with it; to anybody else it looks like any other.
        let seeing = Question { permission: SEEING, resource: &project, reach: Reach::Exact, ..*question };
        decide(world, &seeing).map_err(|_| Denial::NotGranted)?;
        return Err(if world.knows(&project) { Denial::ProjectDeleted } else { Denial::ProjectUnknown });
    }
    match (caller.decide_exactly(), reach) {
        (Ok(binding), _) => Ok(binding),
        (Err(denial), Reach::Exact) => Err(denial),
        (Err(denial), Reach::Somewhere) => caller.pieces().into_iter().next().map_or(Err(denial), |(_, by)| Ok(by)),
    }
}

/// The emergency that a caller declared and that holds on the resource: what they do there is done in it, whichever of
/// their roles lets them.
pub fn activation(world: &World, question: &Question<'_>) -> Option<String> {
    if !world.has_emergencies() {
        return None;
    }
    let Question { resource, now, .. } = *question;
    let caller = Caller::find(world, question).ok()?;
    let mut near = caller.above(resource).into_iter().filter(|grant| grant.is_current(now));
    near.find_map(|grant| grant.activation.clone())
}

/// The prefixes at or below `resource` on which the permission is held. None of them covers another.
pub fn visible(world: &World, question: &Question<'_>) -> Vec<Name> {
    let Question { permission, resource, .. } = *question;
    let Ok(caller) = Caller::find(world, question) else { return vec![] };
    if closed(world, permission, resource).is_some() {
        return vec![];
    }
    let prefixes: BTreeSet<Name> = caller.pieces().into_iter().map(|(prefix, _)| prefix).collect();
    let texts: BTreeSet<&str> = prefixes.iter().map(Name::as_str).collect();
    let is_widest = |prefix: &&Name| !ancestors(prefix.as_str()).skip(1).any(|above| texts.contains(above));
    prefixes.iter().filter(is_widest).cloned().collect()
}

/// What a refusal rests on.
pub fn facts(world: &World, question: &Question<'_>, denial: Denial) -> Facts {
    let principal = question.principal;
    let (grants, grant_count) = considered(world, question, Facts::GRANTS_MAX);
    let key = principal.credential.as_deref().and_then(|id| world.holding(id, &principal.name, question.now)).flatten();
    Facts {
        denial,
        grants,
        grant_count,
        scopes: principal.scopes.clone(),
        permissions: key.map(|key| key.permissions.clone()).unwrap_or_default(),
        policy: world.policy().0,
        forbidden: None,
    }
}

/// What a principal holds or is denied, and what each says to the question: first what has to do with the resource. And
/// how much there is in all.
pub fn considered(world: &World, question: &Question<'_>, count_max: usize) -> (Vec<Considered>, usize) {
    let Question { principal, permission, resource, now, circumstances, .. } = *question;
    let oneself = oneself(&principal.name);
    let meets =
        |held: &Held<'_>| world.covers(&held.grant.resource, resource) || world.covers(resource, &held.grant.resource);
    let oneself = oneself.iter().map(|grant| Held { grant, group: None }).filter(meets);
    let (near, far): (Vec<Held<'_>>, Vec<Held<'_>>) = world.held_by(&principal.name).partition(meets);
    let count = near.len() + far.len();
    let grants = oneself.chain(near).chain(far).take(count_max);
    let grants = grants.map(|Held { grant, group }| Considered {
        holds_permission: grant.holds(permission),
        covers_resource: world.covers(&grant.resource, resource),
        is_expired: !grant.is_current(now),
        is_unmet: !grant.counts(world, resource, now, &circumstances),
        group: group.map(str::to_owned),
        grant: grant.clone(),
    });
    (grants.collect(), count)
}

/// What everybody holds on themselves.
fn oneself(principal: &str) -> Option<Grant> {
    let resource = principal.parse().ok()?;
    let role = Some(Roles::built_in().on_oneself(principal).clone());
    Some(Grant { role, resource, ..Grant::default() })
}

/// A caller that is let in with a question, and what their credential leaves of them.
struct Caller<'a> {
    world: &'a World,
    question: &'a Question<'a>,
    /// Their own grants, and those of each group that they are in.
    holders: Vec<(Option<&'a str>, &'a Grants)>,
    oneself: Option<Grant>,
    scopes: Option<Vec<Name>>,
    key: Option<&'a KeyRecord>,
}

impl<'a> Caller<'a> {
    fn find(world: &'a World, question: &'a Question<'a>) -> Result<Self, Denial> {
        let principal = question.principal;
        let name = principal.name.as_str();
        if world.standing(name) != Some(Standing::Active) {
            return Err(Denial::PrincipalDisabled);
        }
        let key = match &principal.credential {
            None => None,
            Some(id) => world.holding(id, name, question.now).ok_or(Denial::PrincipalDisabled)?.map(|key| &**key),
        };
        // A scope that is no name narrows to nothing; dropping it must not widen.
        let scopes = principal.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let scopes = (!principal.scopes.is_empty()).then_some(scopes);
        let holders = world.holders(name).collect();
        Ok(Self { world, question, holders, oneself: oneself(name), scopes, key })
    }

    /// Decides on the resource itself.
    fn decide_exactly(&self) -> Result<Option<String>, Denial> {
        let Question { permission, resource, now, circumstances, .. } = *self.question;
        let asked = (permission, resource);
        let near = self.above(resource);
        if near.iter().any(|grant| grant.takes(self.world, asked, now, &circumstances)) {
            return Err(Denial::Denied);
        }
        let mut denial = Denial::NotGranted;
        for grant in near.into_iter().filter(|grant| grant.gives(self.world, asked, now, &circumstances)) {
            denial = Denial::OutOfScope;
            let leaves = |left: Name| self.world.covers(&left, resource);
            if self.may_use(permission) && self.narrowed(&grant.resource).any(leaves) {
                return Ok((!grant.binding.is_empty()).then(|| grant.binding.clone()));
            }
        }
        Err(denial)
    }

    /// The grants on a resource and on what it lies in.
    fn above(&self, resource: &Name) -> Vec<&Grant> {
        let mut found: Vec<&Grant> = vec![];
        let owner = self.world.owner(resource).map(Name::as_str);
        for (_, grants) in &self.holders {
            let mut is_owner_seen = owner.is_none();
            for above in ancestors(resource.as_str()) {
                is_owner_seen |= owner == Some(above);
                found.extend(grants.get(above).into_iter().flatten());
            }
            if !is_owner_seen {
                found.extend(owner.and_then(|owner| grants.get(owner)).into_iter().flatten());
            }
        }
        found.extend(self.oneself.iter().filter(|grant| grant.resource.covers(resource)));
        found
    }

    /// Every part of the resource on which the permission is held, and what gives it. A part that something is denied in
    /// is told as the parts in which it is not.
    fn pieces(&self) -> Vec<(Name, Option<String>)> {
        let Question { permission, resource, now, .. } = *self.question;
        if !self.may_use(permission) {
            return vec![];
        }
        let own = self.oneself.iter();
        let grants = self.holders.iter().flat_map(|(_, grants)| grants.values().flatten()).chain(own);
        let (denials, grants): (Vec<&Grant>, Vec<&Grant>) =
            grants.filter(|grant| grant.is_current(now) && grant.holds(permission)).partition(|grant| grant.denies);
        let mut pieces = vec![];
        for grant in grants {
            let by = (!grant.binding.is_empty()).then(|| grant.binding.clone());
            for left in self.narrowed(&grant.resource) {
                let Some(piece) = self.narrower(&left, resource) else { continue };
                let parts = self.parts(piece, grant, &denials).into_iter();
                let open = parts.filter(|part| closed(self.world, permission, part).is_none());
                pieces.extend(open.map(|part| (part, by.clone())));
            }
        }
        pieces
    }

    /// What a grant gives of a piece that it covers.
    fn parts(&self, piece: &Name, grant: &Grant, denials: &[&Grant]) -> Vec<Name> {
        let Question { permission, now, circumstances, .. } = *self.question;
        let is_about_tags = grant.condition.as_ref().is_some_and(|condition| !condition.project_tags.is_empty());
        let lies_within = |denial: &&Grant| *piece != denial.resource && self.world.covers(piece, &denial.resource);
        let is_about_tags = is_about_tags
            || denials
                .iter()
                .any(|denial| denial.condition.as_ref().is_some_and(|condition| !condition.project_tags.is_empty()));
        let parts: Vec<Name> = if piece.is_root() && (is_about_tags || denials.iter().any(lies_within)) {
            // Told one by one, there is nothing in it that could be forgotten to be left out.
            self.world.everything()
        } else if is_organization(piece) {
            std::iter::once(piece).chain(self.world.belongings(piece)).cloned().collect()
        } else {
            vec![piece.clone()]
        };
        let is_given = |part: &Name| {
            let asked = (permission, part);
            let is_taken = |denial: &&Grant| {
                (self.world.covers(&denial.resource, part) || part.covers(&denial.resource))
                    && denial.takes(self.world, asked, now, &circumstances)
            };
            grant.gives(self.world, asked, now, &circumstances) && !denials.iter().any(is_taken)
        };
        parts.into_iter().filter(is_given).collect()
    }

    /// Whether the key, if any, leaves the permission.
    fn may_use(&self, permission: &str) -> bool {
        self.key.is_none_or(|key| key.permissions.is_empty() || key.permissions.iter().any(|word| word == permission))
    }

    /// What the credential leaves of a prefix.
    fn narrowed<'b>(&'b self, prefix: &'b Name) -> impl Iterator<Item = Name> + 'b {
        let whole = self.scopes.is_none().then(|| prefix.clone());
        let parts = self.scopes.iter().flatten().filter_map(|scope| self.narrower(scope, prefix).cloned());
        whole.into_iter().chain(parts)
    }

    /// The one that lies in the other, if one does.
    fn narrower<'b>(&self, one: &'b Name, other: &'b Name) -> Option<&'b Name> {
        if self.world.covers(one, other) {
            Some(other)
        } else if self.world.covers(other, one) {
            Some(one)
        } else {
            None
        }
    }
}

/// A resource's name, those of all it lies in, and the root.
pub(crate) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
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
#[cfg(test)]
mod tenants;
