use std::sync::Arc;

use cairn_access::guardrail::{Forbidden, Known, Moving};
use cairn_access::{Circumstances, Denial, Grant, Role, Roles};
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::access_service_server::AccessService;
use cairn_contract::cairn::ledger::events::v1::{AccessDenied, access_facts};
use cairn_eventstore::Recorded;
use cairn_kernel::{Name, Principal, PrincipalKind};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse, timestamp};
use prost::Message;
use tonic::{Request, Response, Status};

use super::decisions;
use super::terms::{Asked, terms};
use crate::bindings::{grant, withdraw};
use crate::desk::{Desk, Reading, given, rejected, text};
use crate::model::binding::Terms;
use crate::model::name::organization_in;
use crate::model::{BindingName, OrganizationName, PrincipalName, REASON_CHARS_MAX, Rejection, Text};
use crate::query::BindingFilter;

pub struct AccessRules(pub Arc<Desk>);

/// Most grants in one answer.
const GRANTS_MAX: usize = 1_000;

impl AccessRules {
    async fn show(&self, reading: &Reading, name: &BindingName) -> Result<proto::Binding, Status> {
        let found = reading.query.binding(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::BindingNotFound(name.clone())))
    }

    async fn give(
        &self,
        ctx: &Ctx,
        request_id: &str,
        terms: Terms,
        reason: Text<REASON_CHARS_MAX>,
    ) -> Reply<proto::Binding> {
        let (name, at) = grant(&self.0, ctx, request_id, terms, reason).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &name).await?, at))
    }
}

#[tonic::async_trait]
impl AccessService for AccessRules {
    async fn list_roles(&self, request: Request<proto::ListRolesRequest>) -> Reply<proto::ListRolesResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent = &request.parent;
        let organization = if parent.is_empty() { None } else { Some(field::<OrganizationName>("parent", parent)?) };
        let page = Page::read("roles", &[parent], request.page_size, &request.page_token)?;
        // Those that are built in come in an order of their own, so a page goes on after a place rather than after a name.
        let built_in = Roles::built_in().granted();
        let start = match page.after.as_str() {
            "" => 0,
            after => built_in.iter().position(|role| role.name == after).map_or(built_in.len(), |at| at + 1),
        };
        let mut found: Vec<proto::Role> = built_in[start..].iter().map(|role| shown(role)).collect();
        if let Some(organization) = organization {
            let reading = self.0.reading(&ctx, &request.as_of).await?;
            let visible = ctx.visible("auth.roles.list", &organization.name());
            let after = if start == built_in.len() { page.after.as_str() } else { "" };
            let own = reading.query.roles(&visible, organization.as_str(), after, page.rows());
            found.extend(own.await.map_err(refuse)?);
        }
        let (roles, next_page_token) = page.cut(found, |role| &role.name);
        Ok(Response::new(proto::ListRolesResponse { roles, next_page_token }))
    }

    async fn create_binding(&self, request: Request<proto::CreateBindingRequest>) -> Reply<proto::Binding> {
        let (ctx, request) = Ctx::accept(request)?;
        let binding = given("binding", request.binding)?;
        let effect = binding.effect();
        let terms = terms(Asked {
            within: "binding.",
            principal: &binding.principal,
            role: &binding.role,
            resource: field("binding.resource", &binding.resource)?,
            effect,
            permissions: binding.permissions,
            expire_time: binding.expire_time,
            condition: binding.condition,
        })?;
        self.give(&ctx, &request.request_id, terms, text("binding.reason", &binding.reason)?).await
    }

    async fn grant_role(&self, request: Request<proto::GrantRoleRequest>) -> Reply<proto::Binding> {
        let (ctx, request) = Ctx::accept(request)?;
        let resource: Name = field("resource", &request.resource)?;
        if resource.project().is_none() && organization_in(&resource).is_none() {
            let problem = "must be a project or an organization, or lie in one";
            return Err(refuse(Refusal::invalid("resource", problem)));
        }
        let effect = request.effect();
        let terms = terms(Asked {
            within: "",
            principal: &request.principal,
            role: &request.role,
            resource,
            effect,
            permissions: request.permissions,
            expire_time: request.expire_time,
            condition: request.condition,
        })?;
        self.give(&ctx, &request.request_id, terms, text("reason", &request.reason)?).await
    }

    async fn get_binding(&self, request: Request<proto::GetBindingRequest>) -> Reply<proto::Binding> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_bindings(&self, request: Request<proto::ListBindingsRequest>) -> Reply<proto::ListBindingsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let filter = [request.principal.as_str(), &request.role, &request.resource];
        let page = Page::read("bindings", &filter, request.page_size, &request.page_token)?;
        let resource = match request.resource.as_str() {
            "" => Name::ROOT,
            text => field("resource", text)?,
        };
        let filter = BindingFilter { principal: request.principal, role: request.role, resource };
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.bindings.list", &Name::ROOT);
        let found = reading.query.bindings(&visible, &page, &filter).await.map_err(refuse)?;
        let (bindings, next_page_token) = page.cut(found, |binding| &binding.name);
        Ok(Response::new(proto::ListBindingsResponse { bindings, next_page_token }))
    }

    async fn delete_binding(&self, request: Request<proto::DeleteBindingRequest>) -> Reply<proto::Binding> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, reason): (BindingName, _) = (field("name", &request.name)?, text("reason", &request.reason)?);
        let at = withdraw(&self.0, &ctx, &request.request_id, &request.etag, &name, reason).await?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &name).await?, at))
    }

    async fn check_permission(
        &self,
        request: Request<proto::CheckPermissionRequest>,
    ) -> Reply<proto::CheckPermissionResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let resource: Name = field("resource", &request.resource)?;
        let principal = match request.principal.as_str() {
            "" => ctx.principal().clone(),
            text => as_principal(&field("principal", text)?),
        };
        let (world, now) = (self.0.access.world(), self.0.now());
        // A caller who asks about themselves asks from where they are.
        let from = match (request.source_address.as_str(), request.principal.is_empty()) {
            ("", true) => ctx.source_address(),
            ("", false) => None,
            (address, _) => Some(address),
        };
        let from = Circumstances::from_source(from);
        let known = Known { moving: request.moving.map(moving).transpose()? };
        let decision = self.0.access.decide_knowing(from, &principal, &request.permission, &resource, &known);
        let is_closed = world.is_closed(&request.permission, &resource);
        let judged = world.consider(&principal, (&request.permission, &resource), now, from, GRANTS_MAX);
        let grants = judged.iter().map(decisions::grant);
        let (guardrail, guardrail_fault) = forbidding(decision.forbidden.as_ref());
        Ok(Response::new(proto::CheckPermissionResponse {
            guardrail,
            guardrail_fault,
            allowed: decision.is_allowed(),
            denial: denial(decision.denial, is_closed).into(),
            binding: decision.binding.unwrap_or_default(),
            grants: grants.collect(),
            policy_position: decision.policy.to_string(),
        }))
    }

    async fn explain_decision(
        &self,
        request: Request<proto::ExplainDecisionRequest>,
    ) -> Reply<proto::ExplainDecisionResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let decided = self.decided(&ctx, &request.name).await?;
        if decided.is_allowed {
            return Ok(Response::new(self.explain_allowed(decided).await?));
        }
        let denied = AccessDenied::decode(decided.recorded.payload.clone());
        let denied = denied.map_err(|fault| refuse(Refusal::internal(fault)))?;
        Ok(Response::new(explanation(denied, &decided.recorded)))
    }

    async fn replay_decision(
        &self,
        request: Request<proto::ReplayDecisionRequest>,
    ) -> Reply<proto::ReplayDecisionResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        self.replay(&ctx, request).await.map(Response::new)
    }

    async fn preview_changes(
        &self,
        request: Request<proto::PreviewChangesRequest>,
    ) -> Reply<proto::PreviewChangesResponse> {
        let (_, request) = Ctx::accept(request)?;
        self.preview(request).await.map(Response::new)
    }

    async fn who_am_i(&self, request: Request<proto::WhoAmIRequest>) -> Reply<proto::WhoAmIResponse> {
        let (ctx, _) = Ctx::accept(request)?;
        let principal = ctx.principal();
        let (world, now) = (self.0.access.world(), self.0.now());
        let current = world.all_grants(&principal.name).filter(|(grant, _)| grant.is_current(now)).take(GRANTS_MAX);
        let grants = current.map(|(grant, group)| proto::who_am_i_response::Grant {
            binding: grant.binding.clone(),
            role: role_name(grant),
            resource: grant.resource.to_string(),
            expire_time: grant.expire_time.map(timestamp),
            group: group.unwrap_or_default().to_owned(),
            denies: grant.denies,
        });
        Ok(Response::new(proto::WhoAmIResponse {
            principal: principal.name.clone(),
            key_id: principal.credential.clone().unwrap_or_default(),
            scopes: principal.scopes.clone(),
            grants: grants.collect(),
        }))
    }
}

/// Somebody as they would be with a credential that is not narrowed.
fn as_principal(name: &PrincipalName) -> Principal {
    let kind = if name.is_user() { PrincipalKind::User } else { PrincipalKind::ServiceAccount };
    Principal { name: name.to_string(), kind, credential: None, scopes: vec![] }
}

pub(super) fn role_name(grant: &Grant) -> String {
    grant.role_name().to_owned()
}

/// A role that is built in.
fn shown(role: &Role) -> proto::Role {
    proto::Role {
        name: role.name.clone(),
        etag: format!("{:08x}", crc32fast::hash(role.permissions().collect::<Vec<_>>().join("\n").as_bytes())),
        description: role.description.clone(),
        permissions: role.permissions().map(str::to_owned).collect(),
        ..Default::default()
    }
}

pub(super) fn denial(denial: Option<Denial>, is_closed: bool) -> proto::check_permission_response::Denial {
    use proto::check_permission_response::Denial as Told;
    match denial {
        None => Told::Unspecified,
        Some(Denial::ProjectDeleted | Denial::ProjectUnknown) => Told::ProjectClosed,
        // Told to whoever asks here, though the principal itself would not learn it.
        Some(Denial::NotGranted) if is_closed => Told::ProjectClosed,
        Some(Denial::NotGranted) => Told::NotGranted,
        Some(Denial::Denied) => Told::Denied,
        Some(Denial::Guardrail) => Told::Guardrail,
        Some(Denial::OutOfScope) => Told::OutOfScope,
        Some(Denial::PrincipalDisabled) => Told::PrincipalDisabled,
        Some(Denial::Stale) => Told::Stale,
    }
}

/// A recorded refusal, in the words of the contract.
fn explanation(denied: AccessDenied, recorded: &Recorded) -> proto::ExplainDecisionResponse {
    use proto::check_permission_response::{Denial as Told, Grant};
    let call = denied.call.unwrap_or_default();
    let facts = denied.facts.unwrap_or_default();
    let told = match facts.denial() {
        access_facts::Denial::Unspecified => Told::Unspecified,
        access_facts::Denial::NotGranted => Told::NotGranted,
        access_facts::Denial::Denied => Told::Denied,
        access_facts::Denial::Guardrail => Told::Guardrail,
        access_facts::Denial::OutOfScope => Told::OutOfScope,
        access_facts::Denial::PrincipalDisabled => Told::PrincipalDisabled,
    };
    let grants = facts.grants.into_iter().map(|grant| Grant {
        binding: grant.binding,
        role: grant.role,
        resource: grant.resource,
        expire_time: grant.expire_time,
        holds_permission: grant.holds_permission,
        covers_resource: grant.covers_resource,
        expired: grant.expired,
        group: grant.group,
        denies: grant.denies,
        condition_unmet: grant.condition_unmet,
    });
    proto::ExplainDecisionResponse {
        name: format!("decisions/{}", call.decision_id),
        principal: call.principal,
        permission: denied.permission,
        resource: call.resource,
        method: call.method,
        request_id: call.request_id,
        decide_time: Some(timestamp(recorded.time)),
        denial: told.into(),
        message: denied.message,
        grants: grants.collect(),
        grant_count: i32::try_from(facts.grant_count).unwrap_or(i32::MAX),
        scopes: facts.scopes,
        permissions: facts.permissions,
        policy_position: facts.policy_position.to_string(),
        position: recorded.position.to_string(),
        guardrail: facts.guardrail,
        guardrail_fault: facts.guardrail_fault,
        ..Default::default()
    }
}

/// Which guardrail forbids, and why it cannot be evaluated.
pub(super) fn forbidding(forbidden: Option<&Forbidden>) -> (String, String) {
    let Some(Forbidden { guardrail, fault }) = forbidden else { return Default::default() };
    (guardrail.clone(), fault.clone().unwrap_or_default())
}

/// What somebody says would come into use.
fn moving(asked: proto::Moving) -> Result<Moving, Status> {
    let approvals_required = u32::try_from(asked.approvals_required)
        .map_err(|_| refuse(Refusal::invalid("moving.approvals_required", "must not be negative")))?;
    Ok(Moving {
        stages: asked.stages.into_iter().collect(),
        aliases: asked.aliases.into_iter().collect(),
        authors: asked.authors.into_iter().collect(),
        approvers: asked.approvers.into_iter().collect(),
        approvals_required,
    })
}
