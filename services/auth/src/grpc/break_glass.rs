use std::sync::Arc;
use std::time::Duration;

use cairn_access::Roles;
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::break_glass_service_server::BreakGlassService;
use cairn_eventstore::Work;
use cairn_kernel::{Expected, Name, PrincipalKind};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse};
use metrics::counter;
use tonic::{Request, Response, Status};
use tracing::warn;

use crate::bindings::stage_grant;
use crate::desk::{Desk, Reading, expected, given, made_id, rejected, stream, text};
use crate::model::binding::{self, Object, Source, Terms};
use crate::model::break_glass::{Act, BreakGlass, Command, LIFE_MAX, LIFE_MIN, State};
use crate::model::{
    ActivationName, Binding, BindingName, HolderName, OrganizationName, PrincipalName, Rejection, RoleName, Text,
    UserName,
};

pub struct Emergencies(pub Arc<Desk>);

impl Emergencies {
    async fn show(&self, reading: &Reading, name: &ActivationName) -> Result<proto::BreakGlassActivation, Status> {
        let found = reading.query.activation(name.as_str(), reading.now).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::BreakGlassNotFound(name.clone())))
    }

    /// Gives the role, if the emergency stands so that it is given.
    async fn activate(
        &self,
        ctx: &Ctx,
        (request_id, etag): (&str, &str),
        activation: ActivationName,
        act: Act,
    ) -> Reply<proto::BreakGlassActivation> {
        // One that is not there is nobody's to give.
        self.show(&self.0.present(), &activation).await?;
        let command = Command { by: person(ctx, &activation)?, activation: activation.clone(), act };
        let (expected, now) = (expected(etag)?, self.0.now());
        let attempt = |mut work: Work| {
            let (activation, command) = (activation.clone(), command.clone());
            async move {
                let stream = stream::<BreakGlass>(&activation);
                let after = work.decide::<BreakGlass>(&stream, expected, command).await?;
                let (Some(request), Some(end)) = (after.request(), after.expire_time()) else { return Ok(((), work)) };
                let terms = Terms {
                    principal: HolderName::from(&PrincipalName::from(&request.principal)),
                    object: Object::Role(RoleName::stored(Roles::built_in().sealed().name.as_str())),
                    resource: request.resource.clone(),
                    expire_time: Some(end),
                    condition: None,
                    source: Source::BreakGlass,
                    activation: Some(activation.clone()),
                };
                let binding = BindingName::on(&request.resource, activation.id());
                stage_grant(work, binding, terms, Text::stored(request.reason.as_str()), now).await
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(request_id), attempt).await.map_err(refuse)?;
        self.0.settle(ctx, at).await?;
        let shown = self.show(&self.0.present(), &activation).await?;
        warn!(%activation, principal = shown.principal, approver = shown.approver, "a break-glass role is held");
        counter!("cairn_auth_break_glass_total", "what" => "activated").increment(1);
        Ok(ctx.reply(shown, at))
    }
}

/// Who calls, if it is a person.
fn person(ctx: &Ctx, activation: &ActivationName) -> Result<UserName, Status> {
    if ctx.principal().kind == PrincipalKind::User {
        return Ok(UserName::stored(ctx.principal().name.as_str()));
    }
    let (activation, what) = (activation.clone(), "no business of a program");
    Err(rejected(Rejection::BreakGlassPerson { activation, what }))
}

/// Words that must be there.
fn words<const CHARS_MAX: usize>(name: &'static str, given: &str) -> Result<Text<CHARS_MAX>, Status> {
    if given.trim().is_empty() {
        return Err(refuse(Refusal::invalid(name, "is missing")));
    }
    text(name, given)
}

fn life(asked: Option<prost_types::Duration>) -> Result<Duration, Status> {
    let Some(asked) = asked else { return Ok(LIFE_MAX) };
    let life = Duration::try_from(asked).ok().filter(|life| (LIFE_MIN..=LIFE_MAX).contains(life));
    life.ok_or_else(|| refuse(Refusal::invalid("duration", "must be a minute to an hour")))
}

#[tonic::async_trait]
impl BreakGlassService for Emergencies {
    async fn create_break_glass_activation(
        &self,
        request: Request<proto::CreateBreakGlassActivationRequest>,
    ) -> Reply<proto::BreakGlassActivation> {
        let (ctx, request) = Ctx::accept(request)?;
        let organization: OrganizationName = field("parent", &request.parent)?;
        let asked = given("break_glass_activation", request.break_glass_activation)?;
        let order = ctx.order(&request.request_id);
        let activation = ActivationName::stored(format!("{organization}/breakGlassActivations/{}", made_id(&order)));
        let by = person(&ctx, &activation)?;
        let resource: Name = match asked.resource.as_str() {
            "" => organization.name(),
            text => field("resource", text)?,
        };
        let (reason, ticket) = (words("reason", &asked.reason)?, words("ticket", &asked.ticket)?);
        let (life, now) = (life(asked.duration)?, self.0.now());
        let _turn = self.0.turn(&ctx).await?;
        let world = self.0.access.world();
        let is_whole = resource == organization.name() || resource.matches("projects/*").is_some();
        if !is_whole || world.owner(&resource).is_none_or(|owner| *owner != organization.name()) {
            let (what, organization) = (resource.to_string(), organization.to_string());
            return Err(rejected(Rejection::OrganizationMismatch { what, organization }));
        }
        // One at a time: another would be more time.
        let mut own = world.grants(by.as_str()).filter(|grant| grant.is_current(now));
        if let Some(held) = own.find_map(|grant| grant.activation.clone()) {
            return Err(rejected(Rejection::BreakGlassState { activation: held, state: State::Active }));
        }
        let delay = self.0.limits.break_glass_delay;
        let act = Act::Request { resource, reason, ticket, life, delay, now };
        let command = Command { activation: activation.clone(), by: by.clone(), act };
        let stream = stream::<BreakGlass>(&activation);
        let at = self.0.execute::<BreakGlass>(&ctx, &request.request_id, &stream, "", command).await?;
        warn!(%activation, principal = %by, "a break-glass role is asked for");
        counter!("cairn_auth_break_glass_total", "what" => "requested").increment(1);
        Ok(ctx.reply(self.show(&self.0.present(), &activation).await?, at))
    }

    async fn get_break_glass_activation(
        &self,
        request: Request<proto::GetBreakGlassActivationRequest>,
    ) -> Reply<proto::BreakGlassActivation> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_break_glass_activations(
        &self,
        request: Request<proto::ListBreakGlassActivationsRequest>,
    ) -> Reply<proto::ListBreakGlassActivationsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent: OrganizationName = field("parent", &request.parent)?;
        let overdue = if request.overdue { "overdue" } else { "" };
        let filter = [parent.as_str(), overdue];
        let page = Page::read("breakGlassActivations", &filter, request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let visible = ctx.visible("auth.breakGlass.list", &parent.name());
        let wanted = (parent.as_str(), request.overdue);
        let found = reading.query.activations(&visible, &page, wanted, reading.now).await.map_err(refuse)?;
        let (break_glass_activations, next_page_token) = page.cut(found, |activation| &activation.name);
        Ok(Response::new(proto::ListBreakGlassActivationsResponse { break_glass_activations, next_page_token }))
    }

    async fn approve_break_glass_activation(
        &self,
        request: Request<proto::ApproveBreakGlassActivationRequest>,
    ) -> Reply<proto::BreakGlassActivation> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, act) = (field("name", &request.name)?, Act::Approve { now: self.0.now() });
        self.activate(&ctx, (&request.request_id, &request.etag), name, act).await
    }

    async fn activate_break_glass_activation(
        &self,
        request: Request<proto::ActivateBreakGlassActivationRequest>,
    ) -> Reply<proto::BreakGlassActivation> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, act) = (field("name", &request.name)?, Act::Activate { now: self.0.now() });
        self.activate(&ctx, (&request.request_id, &request.etag), name, act).await
    }

    async fn end_break_glass_activation(
        &self,
        request: Request<proto::EndBreakGlassActivationRequest>,
    ) -> Reply<proto::BreakGlassActivation> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ActivationName = field("name", &request.name)?;
        let by = UserName::stored(ctx.principal().name.as_str());
        let reason = text("reason", &request.reason)?;
        let act = Act::End { reason, now: self.0.now() };
        let (expected, command) = (expected(&request.etag)?, Command { activation: name.clone(), by, act });
        let attempt = |mut work: Work| {
            let (name, command) = (name.clone(), command.clone());
            async move {
                let after = work.decide::<BreakGlass>(&stream::<BreakGlass>(&name), expected, command).await?;
                // Nothing was given before it was active.
                if let Some(request) = after.request().filter(|_| after.expire_time().is_some()) {
                    let binding = BindingName::on(&request.resource, name.id());
                    let act = binding::Act::Withdraw { reason: Text::stored("the emergency is over") };
                    let command = binding::Command { binding: binding.clone(), act };
                    work.decide::<Binding>(&stream::<Binding>(&binding), Expected::Any, command).await?;
                }
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(&request.request_id), attempt).await.map_err(refuse)?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &name).await?, at))
    }

    async fn review_break_glass_activation(
        &self,
        request: Request<proto::ReviewBreakGlassActivationRequest>,
    ) -> Reply<proto::BreakGlassActivation> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ActivationName = field("name", &request.name)?;
        let act = Act::Review { review: words("review", &request.review)?, now: self.0.now() };
        let command = Command { by: person(&ctx, &name)?, activation: name.clone(), act };
        let stream = stream::<BreakGlass>(&name);
        let at = self.0.execute::<BreakGlass>(&ctx, &request.request_id, &stream, &request.etag, command).await?;
        Ok(ctx.reply(self.show(&self.0.present(), &name).await?, at))
    }
}
