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
    /// The credential is narrowed to other resources or permissions.
    OutOfScope,
    /// The replica has not heard from auth for too long.
    Stale,
    /// The principal is disabled, deleted or unknown, or its credential has been revoked.
    PrincipalDisabled,
    /// The resource lies in a project that is deleted or unknown.
    ProjectClosed,
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
    /// Position of the last access change it took into account.
    pub policy: u64,
}

impl Decision {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.denial.is_none()
    }
}
