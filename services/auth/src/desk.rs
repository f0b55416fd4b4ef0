use std::sync::Arc;
use std::time::Duration;

use cairn_access::{Access, ApiKey, AuthenticationFault};
use cairn_eventstore::{CommandFault, Commands, Order, Stored, Work};
use cairn_kernel::{Aggregate, Clock, Code, Expected, Name, Position, Revision, StreamName, Time};
use cairn_projection::View;
use cairn_service::{AsOfReads, Ctx, Refusal, refuse};
use prost_types::FieldMask;
use tonic::Status;

use crate::config::Config;
use crate::issuer::Polls;
use crate::key_use::KeyUses;
use crate::login;
use crate::logins::LoginQuery;
use crate::model::{
    Group, HolderName, IdentityProviderName, Organization, OrganizationName, Rejection, ServiceAccount,
    ServiceAccountName, Standing, Text, User, UserName,
};
use crate::oidc::Directory;
use crate::people::{People, PeopleFault};
use crate::public::Public;
use crate::query::Query;
use crate::secrets::Secrets;
use crate::sources::{self, Sources};

/// Most keys of one principal that are not revoked.
pub const KEYS_MAX: usize = 100;

/// What every handler works with.
pub struct Desk {
    pub commands: Commands,
    pub access: Arc<Access>,
    pub clock: Arc<dyn Clock>,
    pub view: View,
    pub query: Query,
    pub past: AsOfReads,
    pub people: People,
    /// Who logs in by what, and who is logged in.
    pub logins: LoginQuery,
    pub logins_view: View,
    pub logins_past: AsOfReads,
    pub providers: Directory,
    pub secrets: Secrets,
    pub sources: Sources,
    pub public: Public,
    pub login: login::Config,
    pub polls: Polls,
    pub limits: Limits,
    pub _key_uses: KeyUses,
    /// Held by whoever gives, joins or removes something that others' rights rest on, from looking at what is held until
    /// that shows. Two such changes at once could each be right and both together wrong.
    pub turn: tokio::sync::Mutex<()>,
}

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bindings_max: usize,
    pub groups_max: usize,
    pub group_members_max: usize,
    pub groups_of_member_max: usize,
    pub roles_max: usize,
    pub guardrails_max: usize,
    pub guardrails_bytes_max: usize,
    pub break_glass_delay: Duration,
}

impl Limits {
    pub fn of(config: &Config) -> Self {
        Self {
            bindings_max: config.bindings_max,
            groups_max: config.groups_max,
            group_members_max: config.group_members_max,
            groups_of_member_max: config.groups_of_member_max,
            roles_max: config.roles_max,
            guardrails_max: config.guardrails_max,
            guardrails_bytes_max: config.guardrails_bytes_max,
            break_glass_delay: Duration::from_millis(config.break_glass_delay_ms),
        }
    }
}

/// What one read sees.
pub struct Reading {
    pub query: Query,
    /// What the clock shows then.
    pub now: Time,
}

impl Desk {
    /// Waits until a change shows in what this process answers from, and in what it decides by.
    pub async fn settle(&self, ctx: &Ctx, position: Position) -> Result<(), Status> {
        ctx.stored(position);
        self.view.reached(position, ctx.deadline()).await.map_err(refuse)?;
        self.logins_view.reached(position, ctx.deadline()).await.map_err(refuse)?;
        self.access.reached(position, ctx.deadline()).await.map_err(refuse)
    }

    /// What a read of who logs in by what sees, and what the clock shows then: the moment that its own field names, or
    /// the present, once that shows what the reader says it must see.
    pub async fn logins_at(&self, ctx: &Ctx, as_of: &str) -> Result<(LoginQuery, Time), Status> {
        if let Some(as_of) = ctx.as_of(as_of)? {
            let then = self.logins_past.at(as_of, ctx.deadline()).await.map_err(refuse)?;
            return Ok((LoginQuery::new(then.model), then.moment.time));
        }
        if let Some(after) = ctx.after() {
            self.logins_view.reached(after, ctx.deadline()).await.map_err(refuse)?;
        }
        Ok((self.logins.clone(), self.now()))
    }

    /// Where a provider sends people back to.
    pub fn redirect_uri(&self, provider: &IdentityProviderName) -> String {
        self.public.path(&format!("/oauth2/callback/{}", provider.id()))
    }

    /// Waits for one's turn to change what rights rest on, and until everything before shows in what it is decided by.
    pub async fn turn(&self, ctx: &Ctx) -> Result<tokio::sync::MutexGuard<'_, ()>, Status> {
        let turn = self.turn.lock().await;
        let head = *self.commands.store().head().borrow();
        self.access.reached(head, ctx.deadline()).await.map_err(refuse)?;
        Ok(turn)
    }

    /// What a read sees: the moment that its own field names, or the present, once that shows what the reader says it
    /// must see.
    pub async fn reading(&self, ctx: &Ctx, as_of: &str) -> Result<Reading, Status> {
        if let Some(as_of) = ctx.as_of(as_of)? {
            let then = self.past.at(as_of, ctx.deadline()).await.map_err(refuse)?;
            return Ok(Reading { query: Query::new(then.model), now: then.moment.time });
        }
        if let Some(after) = ctx.after() {
            self.view.reached(after, ctx.deadline()).await.map_err(refuse)?;
        }
        Ok(self.present())
    }

    /// What is there now.
    pub fn present(&self) -> Reading {
        Reading { query: self.query.clone(), now: self.now() }
    }

    /// Carries out one command on one aggregate, waits until it shows, and gives where it is stored.
    pub async fn execute<A: Stored<Rejection = Rejection>>(
        &self,
        ctx: &Ctx,
        request_id: &str,
        stream: &StreamName,
        etag: &str,
        command: A::Command,
    ) -> Result<Position, Status> {
        let expected = expected(etag)?;
        let done =
            self.commands.execute::<A>(&ctx.order(request_id), stream, expected, command).await.map_err(refuse)?;
        self.settle(ctx, done.position).await?;
        Ok(done.position)
    }

    /// What the log may have of a principal's address.
    pub async fn sealed(&self, principal: &Name, address: &str) -> Result<String, Status> {
        let sealed = self.sources.seal(principal, address).await.map_err(sources::refusal)?;
        // Whoever was erased meanwhile may have been given a key anew.
        if self.access.world().standing(principal.as_str()) == Some(cairn_access::Standing::Deleted) {
            self.sources.forget(principal).await.map_err(sources::refusal)?;
            return Err(refuse(Refusal::of(&AuthenticationFault::Revoked)));
        }
        Ok(sealed)
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// The stream of one aggregate.
pub fn stream<A: Aggregate>(name: &impl std::fmt::Display) -> StreamName {
    StreamName::of(A::CATEGORY, name)
}

/// Refuses unless a principal is there and let in, or a group is there. The append then depends on its staying so.
pub async fn require_active(work: &mut Work, holder: &HolderName) -> Result<(), CommandFault<Rejection>> {
    if let Some(group) = holder.group() {
        let found = work.witness::<Group>(&stream::<Group>(&group)).await?.state;
        let is_there = found.is_active();
        return if is_there { Ok(()) } else { Err(CommandFault::Rejected(Rejection::GroupNotFound(group))) };
    }
    let standing = if holder.as_str().starts_with("users/") {
        let user = UserName::stored(holder.as_str());
        work.witness::<User>(&stream::<User>(&user)).await?.state.standing()
    } else {
        let account = ServiceAccountName::stored(holder.as_str());
        work.witness::<ServiceAccount>(&stream::<ServiceAccount>(&account)).await?.state.standing()
    };
    if standing == Standing::Active {
        return Ok(());
    }
    Err(CommandFault::Rejected(Rejection::PrincipalDisabled(holder.clone())))
}

/// Refuses to make something in an organization that is not open. The append then depends on its staying so.
pub async fn require_open(work: &mut Work, organization: &OrganizationName) -> Result<(), CommandFault<Rejection>> {
    let found = work.witness::<Organization>(&stream::<Organization>(organization)).await?.state;
    found.require_open(organization).map_err(CommandFault::Rejected)
}

/// A fresh id. A request that is repeated with its id gets the same one, and so finds what it made the first time.
pub fn made_id(order: &Order) -> String {
    let Some(request) = &order.request else { return ApiKey::fresh_id() };
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&request.id.as_bytes()[..12]);
    ApiKey::id_from(bytes)
}

/// What an etag says about the revision.
pub fn expected(etag: &str) -> Result<Expected, Status> {
    if etag.is_empty() {
        return Ok(Expected::Any);
    }
    let revision = etag.parse().map_err(|_| refuse(Refusal::invalid("etag", "is none that was given out here")))?;
    Ok(Expected::Exactly(Revision(revision)))
}

/// Which of `fields` an update is about: those in the mask, or those that are set when there is none.
pub fn masked<'a>(mask: Option<&FieldMask>, fields: &[(&'a str, &str)]) -> Result<Vec<&'a str>, Status> {
    let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else {
        return Ok(fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| *name).collect());
    };
    let known = |path: &String| fields.iter().find(|(name, _)| name == path).map(|(name, _)| *name);
    let unknown = |path: &str| {
        let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        let problem = format!("{path:?} cannot be changed; these can: {}", names.join(", "));
        refuse(Refusal::invalid("update_mask", problem))
    };
    mask.paths.iter().map(|path| known(path).ok_or_else(|| unknown(path))).collect()
}

/// Parses words for people.
pub fn text<const CHARS_MAX: usize>(field: &'static str, text: &str) -> Result<Text<CHARS_MAX>, Status> {
    let problem = format!("must be at most {CHARS_MAX} characters, without control characters");
    text.parse().map_err(|_| refuse(Refusal::invalid(field, problem)))
}

pub fn rejected(rejection: Rejection) -> Status {
    refuse(Refusal::of(&rejection))
}

/// A message that a request cannot do without.
pub fn given<T>(field: &'static str, message: Option<T>) -> Result<T, Status> {
    message.ok_or_else(|| refuse(Refusal::invalid(field, "is missing")))
}

impl From<PeopleFault> for Refusal {
    fn from(fault: PeopleFault) -> Self {
        match fault {
            PeopleFault::EmailTaken => Self::of(&Rejection::EmailTaken),
            PeopleFault::UserNameTaken => Self::new(Code::AlreadyExists, "SCIM_USER_NAME_TAKEN", fault.to_string()),
            PeopleFault::Sql(_) | PeopleFault::File(_) | PeopleFault::Stopping => Self::internal(fault),
        }
    }
}
