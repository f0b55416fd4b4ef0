use crate::Grant;
use crate::guardrail::Forbidden;

/// How much of a resource a permission is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The resource itself.
    Exact,
    /// The resource or anything below it: for lists that leave out what is not visible, and for compatibility
    /// dialects whose exact resource only the service knows.
    Somewhere,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No binding gives the permission on the resource.
    NotGranted,
    /// A binding denies it, whatever gives it.
    Denied,
    /// A role gives it, and a guardrail of the organization forbids it.
    Guardrail,
    /// The credential is narrowed to other resources or permissions.
    OutOfScope,
    /// The replica has not heard from auth for too long.
    Stale,
    /// The principal is disabled, deleted or unknown, or its credential has been revoked or has expired.
    PrincipalDisabled,
    /// The resource lies in a project that is deleted, which the principal may know.
    ProjectDeleted,
    /// The resource lies in a project that there never was, which the principal may know.
    ProjectUnknown,
}

/// The answer to "may this principal use this permission on this resource?", and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Names the decision: stored with every event it allowed and every refusal.
    pub id: String,
    /// `None`: allowed.
    pub denial: Option<Denial>,
    /// The binding that allows it. `None` when it is refused, or allowed by what everybody holds on themselves.
    pub binding: Option<String>,
    /// The emergency that is declared where it was asked for, by whoever asked. Of what is allowed.
    pub activation: Option<String>,
    /// Position of the last access change it took into account.
    pub policy: u64,
    /// What a refusal rests on. `None`: allowed, or refused before anything was looked at.
    pub facts: Option<Box<Facts>>,
    /// The guardrail that forbids it. Of [`Denial::Guardrail`] alone.
    pub forbidden: Option<Forbidden>,
}

/// What a refusal rests on: kept with it, since what is true later may be something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub denial: Denial,
    /// What the principal was given: first what has to do with the resource. No more than [`Facts::GRANTS_MAX`].
    pub grants: Vec<Considered>,
    /// How many grants there were in all.
    pub grant_count: usize,
    /// Resource names that the credential was narrowed to. Empty: it was not.
    pub scopes: Vec<String>,
    /// Permissions that the credential was narrowed to. Empty: it was not.
    pub permissions: Vec<String>,
    /// Position of the last access change that was taken into account.
    pub policy: u64,
    /// The guardrail that forbade it.
    pub forbidden: Option<Forbidden>,
}

/// A grant, and what it said to the question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    pub grant: Grant,
    pub holds_permission: bool,
    pub covers_resource: bool,
    pub is_expired: bool,
    /// Whether a condition of it is not met.
    pub is_unmet: bool,
    /// The group that it was given to; `None`: the principal itself.
    pub group: Option<String>,
}

impl Facts {
    /// Most grants that are kept with one refusal.
    pub const GRANTS_MAX: usize = 64;
}

impl Decision {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.denial.is_none()
    }
}
