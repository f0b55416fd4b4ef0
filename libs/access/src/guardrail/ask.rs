use std::collections::{HashMap, HashSet};

use cairn_contract::cairn::options::v1::Guarded;
use cairn_kernel::Time;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, Request, Response,
    RestrictedExpression,
};

use super::{Guardrails, Known, Moving, guarded};
use crate::World;
use crate::condition::weekday;
use crate::table::{Question, ancestors};

/// A guardrail that forbade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// `organizations/{organization}/guardrails/{guardrail}`
    pub guardrail: String,
    /// Why it could not be evaluated, which forbids too. `None`: it says so.
    pub fault: Option<String>,
}

/// What guardrails forbid of what the table allows. `known` is what the service knows that asks; without it those that
/// their service asks about are not asked about yet.
///
/// Pure and total.
pub(crate) fn ask(world: &World, question: &Question<'_>, known: Option<&Known>) -> Option<Forbidden> {
    let guardrails = world.guardrails(world.owner(question.resource)?)?;
    match (guarded(question.permission), known) {
        (Guarded::Unspecified, _) | (Guarded::ByService, None) => return None,
        (Guarded::AtDoor, _) | (Guarded::ByService, Some(_)) => {}
    }
    let moving = known.and_then(|known| known.moving.as_ref());
    guardrails.forbid(world, question, moving)
}

impl Guardrails {
    fn forbid(&self, world: &World, question: &Question<'_>, moving: Option<&Moving>) -> Option<Forbidden> {
        if let Some(name) = self.unreadable.first() {
            let fault = Some("this version of Cairn cannot read it".to_owned());
            return Some(Forbidden { guardrail: name.clone(), fault });
        }
        let first = || self.sizes.keys().next().cloned().unwrap_or_default();
        let answer = match request(world, question, moving) {
            Ok((request, entities)) => Authorizer::new().is_authorized(&request, &self.policies, &entities),
            // Facts that make no request are facts that are not known.
            Err(fault) => return Some(Forbidden { guardrail: first(), fault: Some(fault) }),
        };
        forbidden(&answer)
    }
}

/// What an answer comes to: the first by name that forbids, or else the first that could not be evaluated.
fn forbidden(answer: &Response) -> Option<Forbidden> {
    let diagnostics = answer.diagnostics();
    if answer.decision() == Decision::Deny {
        let names = diagnostics.reason().map(|id: &PolicyId| id.to_string());
        if let Some(guardrail) = names.min() {
            return Some(Forbidden { guardrail, fault: None });
        }
    }
    let faults = diagnostics.errors().map(|fault| match fault {
        cedar_policy::AuthorizationError::PolicyEvaluationError(fault) => {
            Forbidden { guardrail: fault.policy_id().to_string(), fault: Some(fault.inner().to_string()) }
        }
    });
    faults.min_by(|one, other| one.guardrail.cmp(&other.guardrail))
}

type Parts = (Request, Entities);

fn request(world: &World, question: &Question<'_>, moving: Option<&Moving>) -> Result<Parts, String> {
    let Question { principal, permission, resource, .. } = *question;
    let kind = if principal.name.starts_with("serviceAccounts/") { "ServiceAccount" } else { "User" };
    let who = uid(kind, &principal.name)?;
    let groups: HashSet<EntityUid> =
        world.groups_of(&principal.name).map(|in_it| uid("Group", in_it.group)).collect::<Result<_, _>>()?;
    let what = uid("Resource", resource.as_str())?;
    let above = ancestors(resource.as_str()).skip(1).filter(|name| !name.is_empty());
    let above = above.chain(world.owner(resource).map(cairn_kernel::Name::as_str));
    let above = above.filter(|name| *name != resource.as_str());
    let above: HashSet<EntityUid> = above.map(|name| uid("Resource", name)).collect::<Result<_, _>>()?;
    let named = |uid: EntityUid, name: &str, parents| {
        let attributes = HashMap::from([("name".to_owned(), text(name))]);
        Entity::new(uid, attributes, parents).map_err(|fault| fault.to_string())
    };
    let entities = [named(who.clone(), &principal.name, groups)?, named(what.clone(), resource.as_str(), above)?];
    // Actions stand in groups, which a policy may name.
    let action = uid("Action", permission)?;
    let actions = actions(&action, permission)?;
    let entities =
        Entities::from_entities(entities.into_iter().chain(actions), None).map_err(|fault| fault.to_string())?;
    let context = context(world, question, moving)?;
    let request = Request::new(who, action, what, context, None).map_err(|fault| fault.to_string())?;
    Ok((request, entities))
}

fn actions(action: &EntityUid, permission: &str) -> Result<Vec<Entity>, String> {
    let (guarded, moves) = (uid("Action", "guarded")?, uid("Action", "moves")?);
    let group = if super::is_about_moving(permission) { &moves } else { &guarded };
    Ok(vec![
        Entity::new_no_attrs(action.clone(), HashSet::from([group.clone()])),
        Entity::new_no_attrs(moves.clone(), HashSet::from([guarded.clone()])),
        Entity::new_no_attrs(guarded, HashSet::new()),
    ])
}

/// The facts of a decision. One that is not known is left out, so that whatever reads it fails.
fn context(world: &World, question: &Question<'_>, moving: Option<&Moving>) -> Result<Context, String> {
    // A decision's id says when it was taken to the millisecond, and taken again it must come out the same.
    let now = Time::from_millis(question.now.millis());
    let mut facts = vec![("time", datetime(now)), ("weekday", RestrictedExpression::new_long(weekday(now)))];
    if let Some(source) = question.circumstances.source {
        facts.push(("source", RestrictedExpression::new_ip(source.to_string())));
    }
    let login = question.principal.credential.as_deref().and_then(|id| world.credential(id)?.login_time);
    if let Some(login) = login {
        let age = now.since(login).as_millis();
        facts.push(("login_age", RestrictedExpression::new_duration(format!("{age}ms"))));
    }
    if let Some(moving) = moving {
        let set = |texts: &std::collections::BTreeSet<String>| {
            RestrictedExpression::new_set(texts.iter().map(|each| text(each)))
        };
        facts.extend([
            ("stages", set(&moving.stages)),
            ("aliases", set(&moving.aliases)),
            ("authors", set(&moving.authors)),
            ("approvers", set(&moving.approvers)),
            ("approvals_required", RestrictedExpression::new_long(moving.approvals_required.into())),
        ]);
    }
    let facts = facts.into_iter().map(|(key, value)| (key.to_owned(), value));
    Context::from_pairs(facts).map_err(|fault| fault.to_string())
}

fn datetime(time: Time) -> RestrictedExpression {
    let (seconds, nanos) = time.seconds_and_nanos();
    let whole = Time::from_seconds_and_nanos(seconds, 0).to_string();
    RestrictedExpression::new_datetime(format!("{}.{:03}Z", whole.trim_end_matches('Z'), nanos / 1_000_000))
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind.parse().map_err(|fault: cedar_policy::ParseErrors| fault.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}
