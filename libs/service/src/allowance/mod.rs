//! How much may be asked for, and what is left of it.
//!
//! Token buckets: an allowance fills up at its rate until it is full, and each call takes its cost out of it. Kept in this
//! process, or, where [`Shared`] is given, in one Redis for all replicas; when that is away each replica keeps to the
//! limits by itself, and says so in a metric. Knows nothing of who asks: keys are texts.

mod bucket;
mod local;
mod quota;
mod shared;
mod told;

use std::sync::OnceLock;
use std::time::Duration;

use cairn_kernel::Code;
use tokio::time::Instant;

use self::local::Local;
use crate::Refusal;

pub use self::quota::{Quota, Rule, rules};
pub use self::shared::{Config, Shared};
pub use self::told::{LIMIT, POLICY, tell};

/// Why a call is refused whose caller has used up an allowance.
pub(crate) const RATE_LIMITED: &str = "RATE_LIMITED";

/// What one call asks of one allowance.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What the limit is called where it is told: `caller`, `project`.
    pub policy: &'static str,
    /// Whose allowance it is, among all of this policy.
    pub key: String,
    pub quota: Quota,
    /// How much the call takes of it.
    pub cost: u32,
}

/// How an allowance stands after a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    pub policy: &'static str,
    pub quota: Quota,
    pub left: f64,
}

/// An allowance that is used up.
#[derive(Clone, Debug)]
pub struct Exceeded {
    pub policy: &'static str,
    pub key: String,
    /// Until there is enough again for the same call.
    pub wait: Duration,
    pub standings: Vec<Standing>,
}

impl Exceeded {
    /// The refusal of the call, in these words.
    pub fn refusal(&self, message: impl Into<String>) -> Refusal {
        Refusal::new(Code::ResourceExhausted, RATE_LIMITED, message).with("limit", self.policy).after(self.wait)
    }
}

/// Every allowance of one process.
#[derive(Default)]
pub struct Allowances {
    local: Local,
    shared: OnceLock<Shared>,
}

impl Allowances {
    /// Keeps them together with other replicas from now on.
    pub fn share(&self, shared: Shared) {
        // The first one stays: counting in two places would double every limit.
        let _ = self.shared.set(shared);
    }

    /// Takes what a call costs out of all these allowances, or, when one of them has too little, out of none.
    pub async fn take(&self, asks: &[Ask]) -> Result<Vec<Standing>, Exceeded> {
        if let Some(shared) = self.shared.get()
            && let Some(taken) = shared.take(asks).await
        {
            return taken;
        }
        self.local.take(asks, Instant::now())
    }

    /// The same without other replicas: for those that cost more to share than they are worth.
    pub fn take_here(&self, asks: &[Ask]) -> Result<Vec<Standing>, Exceeded> {
        self.local.take(asks, Instant::now())
    }
}
