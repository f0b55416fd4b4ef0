//! Keeping to what a project may take up: a change that would take up more is refused before it is made.
//!
//! How much there is, each service reads from its own view, which a change reaches only after it was made. What was let in
//! and does not show yet is therefore counted here ([`Rooms`]), so that within one process a limit is kept to the last
//! unit, however many ask at once. Several processes see of each other what their views show: by what they make in the
//! meantime, a limit may be passed.

mod rooms;

use cairn_kernel::{Code, Name};

pub use self::rooms::{Place, Rooms};
use crate::Refusal;

/// One limit of a project's quota.
#[derive(Clone, Debug)]
pub struct Limit {
    pub project: Name,
    /// The quota's own field, e.g. `runs_max`.
    pub quota: &'static str,
    /// What it limits, for people: `runs`.
    pub what: &'static str,
    pub max: u64,
}

impl Limit {
    /// What a caller is told who asks for more than there is room for.
    pub fn exceeded(&self, used: u64, asked: u64) -> Refusal {
        let Self { project, quota, what, max } = self;
        let message =
            format!("{project} has {used} of {max} {what} that its quota ({quota}) allows: no room for {asked} more");
        Refusal::new(Code::ResourceExhausted, "QUOTA_EXCEEDED", message)
            .with("project", project)
            .with("quota", quota)
            .with("limit", max)
            .with("used", used)
            .with("asked", asked)
    }
}
