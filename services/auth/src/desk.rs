use std::sync::Arc;

use cairn_access::{Access, ApiKey, Roles};
use cairn_eventstore::{CommandFault, Commands, Order, Stored, Work};
use cairn_kernel::{Aggregate, Clock, Expected, Name, Position, Revision, StreamName, Time};
use cairn_projection::View;
use cairn_service::{AsOfReads, Ctx, Refusal, refuse};
use prost_types::FieldMask;
use tonic::Status;

use crate::issuer::Polls;
use crate::login;
use crate::logins::LoginQuery;
use crate::model::{
    IdentityProviderName, PrincipalName, Rejection, RoleName, ServiceAccount, ServiceAccountName, Standing, Text, User, UserName,
};
use crate::people::{People, PeopleFault};
use crate::oidc::Directory;
use crate::public::Public;
use crate::query::Query;
use crate::secrets::Secrets;

/// Most keys of one principal that are not revoked.
pub const KEYS_MAX: usize = 100;
/// Most roles of one principal.
pub const BINDINGS_MAX: usize = 1_000;

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
    pub providers: Directory,
    pub secrets: Secrets,
    pub public: Public,
    pub login: login::Config,
    pub polls: Polls,
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
        self.view.reached(position, ctx.deadline()).await.map_err(refuse)?;
        self.logins_view.reached(position, ctx.deadline()).await.map_err(refuse)?;
        self.access.reached(position, ctx.deadline()).await.map_err(refuse)
    }

    /// Where a provider sends people back to.
    pub fn redirect_uri(&self, provider: &IdentityProviderName) -> String {
        self.public.path(&format!("/oauth2/callback/{}", provider.id()))
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

    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// The stream of one aggregate.
pub fn stream<A: Aggregate>(name: &impl std::fmt::Display) -> StreamName {
    StreamName::of(A::CATEGORY, name)
}

/// Refuses unless a principal is there and let in. The append then depends on its staying so.
pub async fn require_active(work: &mut Work, principal: &PrincipalName) -> Result<(), CommandFault<Rejection>> {
    let standing = if principal.is_user() {
        let user = UserName::stored(principal.as_str());
        work.witness::<User>(&stream::<User>(&user)).await?.state.standing()
    } else {
        let account = ServiceAccountName::stored(principal.as_str());
        work.witness::<ServiceAccount>(&stream::<ServiceAccount>(&account)).await?.state.standing()
    };
    if standing == Standing::Active {
        return Ok(());
    }
    Err(CommandFault::Rejected(Rejection::PrincipalDisabled(principal.clone())))
}

/// Refuses to give a role that the caller does not hold whole on the resource.
pub fn require_held(ctx: &Ctx, access: &Access, role: &RoleName, resource: &Name) -> Result<(), Status> {
    let Some(found) = Roles::built_in().find(role.as_str()) else {
        return Err(rejected(Rejection::RoleUnknown(role.clone())));
    };
    let reach = cairn_access::Reach::Exact;
    let missing = found.permissions().find(|word| !access.decide(ctx.principal(), word, resource, reach).is_allowed());
    match missing.map(str::to_owned) {
        None => Ok(()),
        Some(permission) => {
            let (role, resource) = (role.clone(), resource.clone());
            Err(rejected(Rejection::GrantTooWide { role, permission, resource }))
        }
    }
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
            PeopleFault::Sql(_) | PeopleFault::File(_) | PeopleFault::Stopping => Self::internal(fault),
        }
    }
}
