//! Giving and taking roles: a binding, the principal it is about, and the count of administrators, in one append.

use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::{Expected, Name, Position, Time};
use cairn_service::{Ctx, refuse};
use tonic::Status;

use crate::desk::{BINDINGS_MAX, Desk, expected, made_id, rejected, require_active, require_held, stream};
use crate::model::administrators::{self, Administrators};
use crate::model::binding::{Act, Command, Terms};
use crate::model::{Binding, BindingName, PrincipalName, ProjectName, REASON_CHARS_MAX, Rejection, RoleName, Text};

/// Who is to hold what, where.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub principal: PrincipalName,
    pub role: RoleName,
    pub resource: Name,
    pub expire_time: Option<Time>,
    pub reason: Text<REASON_CHARS_MAX>,
}

/// Gives a role, if the caller holds all of it there.
pub async fn grant(
    desk: &Desk,
    ctx: &Ctx,
    request_id: &str,
    wanted: Wanted,
) -> Result<(BindingName, Position), Status> {
    let world = desk.access.world();
    if let Some(project) = wanted.resource.project().filter(|project| !world.is_open(project)) {
        let name = ProjectName::stored(project.as_str());
        let is_known = world.knows(&project);
        return Err(rejected(if is_known {
            Rejection::ProjectDeleted(name)
        } else {
            Rejection::ProjectNotFound(name)
        }));
    }
    require_held(ctx, &desk.access, &wanted.role, &wanted.resource)?;
    if world.grants(wanted.principal.as_str()).count() >= BINDINGS_MAX {
        let (principal, limit) = (wanted.principal, BINDINGS_MAX);
        return Err(rejected(Rejection::TooMany { principal, what: "roles", limit }));
    }
    let order = ctx.order(request_id);
    let name = BindingName::on(&wanted.resource, &made_id(&order));
    let Wanted { principal, role, resource, expire_time, reason } = wanted;
    let terms = Terms { principal, role, resource, expire_time };
    let now = desk.now();
    let attempt = |work: Work| stage_grant(work, name.clone(), terms.clone(), reason.clone(), now);
    let ((), at) = desk.commands.transact(&order, attempt).await.map_err(refuse)?;
    Ok((name, at))
}

/// Stages a binding, its principal's being let in, and its counting.
pub async fn stage_grant(
    mut work: Work,
    binding: BindingName,
    terms: Terms,
    reason: Text<REASON_CHARS_MAX>,
    now: Time,
) -> Result<((), Work), CommandFault<Rejection>> {
    require_active(&mut work, &terms.principal).await?;
    let (makes_administrator, principal) = (terms.makes_administrator(), terms.principal.clone());
    let command = Command { binding: binding.clone(), act: Act::Grant { terms, reason, now } };
    let after = work.decide::<Binding>(&stream::<Binding>(&binding), Expected::Any, command).await?;
    if makes_administrator && after.is_held() {
        let command = administrators::Command::Add { principal, binding };
        let all = stream::<Administrators>(&Administrators::STREAM_ID);
        work.decide::<Administrators>(&all, Expected::Any, command).await?;
    }
    Ok(((), work))
}

/// Takes a role away.
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
