//! What was decided, decided again, and what would be decided.

use std::collections::HashSet;
use std::time::Duration;

use cairn_access::{Change, Considered, Grant, Judgement, Roles, Standing, World};
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::access_change::Change as Asked;
use cairn_contract::cairn::auth::v1::replay_decision_request::Rules;
use cairn_contract::cairn::auth::v1::{check_permission_response, preview_changes_response::Flip};
use cairn_eventstore::{Direction, Filter, moment};
use cairn_kernel::{AsOf, Name, Position, Time};
use cairn_service::{Ctx, Refusal, field, refuse, timestamp};
use tonic::Status;

use super::access::{AccessRules, denial, forbidding, role_name};
use super::guardrails;
use crate::decided::{self, Decided, Opened};
use crate::desk::rejected;
use crate::model::{BindingName, GuardrailName, HolderName, OrganizationName, PrincipalName, Rejection, RoleName};
use crate::sources;

/// Changes thought through at once.
const CHANGES_MAX: usize = 100;
/// Flips on one page when the caller does not say, and at most.
const FLIPS_DEFAULT: usize = 50;
const FLIPS_MAX: usize = 1000;
/// Events looked at for one page.
const EXAMINED_MAX: usize = 20_000;
const PAGE_EVENTS: usize = 2000;
/// How far back requests are looked at when the caller does not say.
const WINDOW: Duration = Duration::from_hours(7 * 24);

impl AccessRules {
    /// A decision on record, to whoever manages what was asked for.
    pub(super) async fn decided(&self, ctx: &Ctx, name: &str) -> Result<Decided, Status> {
        let id = id_of(name)?;
        let unknown = || rejected(Rejection::DecisionNotFound(id.to_owned()));
        let found = decided::find(&**self.0.commands.store(), id).await.map_err(refuse)?;
        let mut decided = found.ok_or_else(unknown)?;
        // What is not the caller's to know looks as if it were not there.
        ctx.require("auth.decisions.explain", &decided.resource).map_err(|_| unknown())?;
        decided.reveal(&self.0.sources, &mut Opened::new()).await.map_err(sources::refusal)?;
        Ok(decided)
    }

    /// By the rules of then.
    async fn then(&self, decided: &Decided) -> Result<Judgement, Status> {
        let world = self.0.access.world_at(&**self.0.commands.store(), decided.policy).await;
        let world = world.map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok(decided.again(&world, decided.time))
    }

    pub(super) async fn explain_allowed(&self, decided: Decided) -> Result<proto::ExplainDecisionResponse, Status> {
        let judged = self.then(&decided).await?;
        let key = decided.principal.credential.as_deref().and_then(|id| self.0.access.world().key(id).cloned());
        Ok(proto::ExplainDecisionResponse {
            name: format!("decisions/{}", decided.id),
            principal: decided.principal.name.clone(),
            permission: decided.permission.clone(),
            resource: shown(&decided.resource),
            method: decided.method.clone(),
            request_id: decided.request_id.clone(),
            decide_time: Some(timestamp(decided.time)),
            grants: judged.grants.iter().map(grant).collect(),
            grant_count: i32::try_from(judged.grant_count).unwrap_or(i32::MAX),
            scopes: decided.principal.scopes.clone(),
            permissions: key.map(|key| key.permissions.clone()).unwrap_or_default(),
            policy_position: decided.policy.to_string(),
            position: decided.recorded.position.to_string(),
            allowed: true,
            binding: judged.binding.unwrap_or_default(),
            ..Default::default()
        })
    }

    pub(super) async fn replay(
        &self,
        ctx: &Ctx,
        request: proto::ReplayDecisionRequest,
    ) -> Result<proto::ReplayDecisionResponse, Status> {
        let decided = self.decided(ctx, &request.name).await?;
        let judged = match request.rules() {
            Rules::Today => decided.again(&self.0.access.world(), self.0.now()),
            Rules::Then | Rules::Unspecified => self.then(&decided).await?,
        };
        let allowed = judged.denial.is_none();
        let (guardrail, guardrail_fault) = forbidding(judged.forbidden.as_ref());
        Ok(proto::ReplayDecisionResponse {
            name: format!("decisions/{}", decided.id),
            principal: decided.principal.name.clone(),
            permission: decided.permission.clone(),
            resource: shown(&decided.resource),
            decide_time: Some(timestamp(decided.time)),
            position: decided.recorded.position.to_string(),
            was_allowed: decided.is_allowed,
            agrees: allowed == decided.is_allowed,
            source_forgotten: decided.is_source_forgotten,
            replayed: Some(proto::CheckPermissionResponse {
                allowed,
                denial: denial(judged.denial, false).into(),
                binding: judged.binding.unwrap_or_default(),
                grants: judged.grants.iter().map(grant).collect(),
                policy_position: judged.policy.to_string(),
                guardrail,
                guardrail_fault,
            }),
        })
    }

    pub(super) async fn preview(
        &self,
        request: proto::PreviewChangesRequest,
    ) -> Result<proto::PreviewChangesResponse, Status> {
        let (today, now) = (self.0.access.world(), self.0.now());
        let after = self.changed(World::clone(&today), &request.changes).await?;
        let under = match request.resource.as_str() {
            "" => Name::ROOT,
            text => field("resource", text)?,
        };
        let flips_max = match usize::try_from(request.page_size) {
            Ok(0) => FLIPS_DEFAULT,
            Ok(size) => size.min(FLIPS_MAX),
            Err(_) => return Err(refuse(Refusal::invalid("page_size", "must not be negative"))),
        };
        let time = |given: &Option<prost_types::Timestamp>| {
            given.as_ref().map(|at| Time::from_micros(at.seconds * 1_000_000 + i64::from(at.nanos) / 1000))
        };
        let week_ago = Time::from_micros(now.micros() - i64::try_from(WINDOW.as_micros()).unwrap_or(i64::MAX));
        let start = time(&request.start_time).unwrap_or(week_ago);
        let (from, until) = (self.position_at(start).await?, time(&request.end_time).unwrap_or(now));
        let (mut from, mut seen) = match request.page_token.as_str() {
            "" => (from, HashSet::new()),
            token => {
                let from = Position(field::<u64>("page_token", token)?).max(from);
                (from, self.decided_before(from).await?)
            }
        };
        // A change of roles is held against what holds today; what is forbidden at certain times, against when it was asked.
        let is_guarded =
            request.changes.iter().any(|change| matches!(change.change, Some(Asked::Guard(_) | Asked::Unguard(_))));
        let at = |decided: &Decided| if is_guarded { decided.time } else { now };
        let (mut flips, mut examined, mut looked_at, mut opened) = (vec![], 0, 0, Opened::new());
        let mut is_end = false;
        while !is_end && flips.len() < flips_max && looked_at < EXAMINED_MAX {
            let store = self.0.commands.store();
            let page = store.read_all(from, Direction::Forwards, &Filter::all(), PAGE_EVENTS).await.map_err(refuse)?;
            (is_end, from) = (page.is_end, page.considered);
            for recorded in &page.events {
                if recorded.time > until {
                    is_end = true;
                    break;
                }
                looked_at += 1;
                let Some(mut decided) = Decided::of(recorded).filter(|decided| under.covers(&decided.resource)) else {
                    continue;
                };
                // Many events may stand under one decision.
                if !seen.insert(decided.id.clone()) {
                    continue;
                }
                examined += 1;
                decided.reveal(&self.0.sources, &mut opened).await.map_err(sources::refusal)?;
                let allowed = |world: &World| decided.again(world, at(&decided)).denial.is_none();
                let (allowed_today, allowed_after) = (allowed(&today), allowed(&after));
                if allowed_today != allowed_after {
                    flips.push(Flip {
                        decision: format!("decisions/{}", decided.id),
                        principal: decided.principal.name.clone(),
                        permission: decided.permission.clone(),
                        resource: shown(&decided.resource),
                        decide_time: Some(timestamp(decided.time)),
                        allowed_today,
                        allowed_after,
                        position: recorded.position.to_string(),
                    });
                }
                if flips.len() == flips_max {
                    from = recorded.position;
                    is_end = false;
                    break;
                }
            }
        }
        let next_page_token = if is_end { String::new() } else { from.to_string() };
        Ok(proto::PreviewChangesResponse { flips, examined_count: examined, next_page_token })
    }

    /// What has been looked at last up to a position: events of one decision stand close together, and the page before may
    /// have ended between two of them.
    async fn decided_before(&self, position: Position) -> Result<HashSet<String>, Status> {
        let behind = Position(position.0.saturating_add(1));
        let store = self.0.commands.store();
        let page = store.read_all(behind, Direction::Backwards, &Filter::all(), PAGE_EVENTS).await.map_err(refuse)?;
        Ok(page.events.iter().filter_map(Decided::of).map(|decided| decided.id).collect())
    }

    async fn position_at(&self, time: Time) -> Result<Position, Status> {
        let found = moment(&**self.0.commands.store(), AsOf::Time(time)).await.map_err(refuse)?;
        Ok(found.map_or(Position::START, |moment| moment.position))
    }

    /// The world with changes that nobody has made.
    async fn changed(&self, mut world: World, changes: &[proto::AccessChange]) -> Result<World, Status> {
        if changes.is_empty() || changes.len() > CHANGES_MAX {
            return Err(refuse(Refusal::invalid("changes", format!("must be 1 to {CHANGES_MAX}"))));
        }
        let policy = world.policy();
        for (at, change) in changes.iter().enumerate() {
            let change = match &change.change {
                Some(Asked::Grant(asked)) => granted(asked, at)?,
                Some(Asked::Withdraw(binding)) => self.withdrawn(&field("changes.withdraw", binding)?).await?,
                Some(Asked::Disable(principal)) => stands(principal, Standing::Disabled)?,
                Some(Asked::Enable(principal)) => stands(principal, Standing::Active)?,
                Some(Asked::Guard(asked)) => guarded(asked, at)?,
                Some(Asked::Unguard(name)) => {
                    let name: GuardrailName = field("changes.unguard", name)?;
                    Change::GuardrailRemoved { organization: name.organization().name(), guardrail: name.to_string() }
                }
                None => return Err(refuse(Refusal::invalid("changes", format!("the {}. says no change", at + 1)))),
            };
            world.apply(change, policy);
        }
        Ok(world)
    }

    async fn withdrawn(&self, name: &BindingName) -> Result<Change, Status> {
        let found = self.0.query.binding(name.as_str()).await.map_err(refuse)?;
        let binding = found.filter(|binding| binding.delete_time.is_none());
        let binding = binding.ok_or_else(|| rejected(Rejection::BindingNotFound(name.clone())))?;
        let resource =
            if binding.resource == Name::ROOT.to_string() { Name::ROOT } else { field("resource", &binding.resource)? };
        Ok(Change::Withdrawn { principal: binding.principal, resource, binding: binding.name })
    }
}

/// The id in a decision's name.
pub(super) fn id_of(name: &str) -> Result<&str, Status> {
    let id = name.strip_prefix("decisions/").filter(|id| !id.is_empty() && !id.contains('/'));
    id.ok_or_else(|| refuse(Refusal::invalid("name", "must be decisions/{decision}")))
}

fn granted(asked: &proto::access_change::Grant, at: usize) -> Result<Change, Status> {
    let principal: HolderName = field("changes.grant.principal", &asked.principal)?;
    let role: RoleName = field("changes.grant.role", &asked.role)?;
    let resource = match asked.resource.as_str() {
        "*" => Name::ROOT,
        text => field("changes.grant.resource", text)?,
    };
    let grant = Grant {
        binding: format!("bindings/~preview-{at}"),
        role: Roles::built_in().find(role.as_str()).cloned(),
        role_name: role.to_string(),
        resource,
        ..Grant::default()
    };
    Ok(Change::Granted { principal: principal.to_string(), grant })
}

fn guarded(asked: &proto::access_change::Guard, at: usize) -> Result<Change, Status> {
    let organization: OrganizationName = field("changes.guard.organization", &asked.organization)?;
    let made = guardrails::source(asked.policy.clone(), asked.template.clone(), asked.parameters.clone());
    let source = made.map_err(|(_, problems)| rejected(Rejection::GuardrailInvalid(problems)))?;
    Ok(Change::GuardrailSet {
        guardrail: format!("{organization}/guardrails/~preview-{at}"),
        organization: organization.name(),
        policy: source.policy,
    })
}

fn stands(principal: &str, standing: Standing) -> Result<Change, Status> {
    let principal: PrincipalName = field("changes.principal", principal)?;
    Ok(Change::PrincipalIs { principal: principal.to_string(), standing })
}

pub(super) fn grant(considered: &Considered) -> check_permission_response::Grant {
    let Considered { grant, holds_permission, covers_resource, is_expired, is_unmet, group } = considered;
    check_permission_response::Grant {
        binding: grant.binding.clone(),
        role: role_name(grant),
        resource: shown(&grant.resource),
        expire_time: grant.expire_time.map(timestamp),
        holds_permission: *holds_permission,
        covers_resource: *covers_resource,
        expired: *is_expired,
        group: group.clone().unwrap_or_default(),
        denies: grant.denies,
        condition_unmet: *is_unmet,
    }
}

/// A resource as the contract writes it.
fn shown(resource: &Name) -> String {
    resource.to_string()
}
