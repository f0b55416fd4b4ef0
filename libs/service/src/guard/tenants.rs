use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_kernel::Code;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Limits;
use super::turns::{Place, Turns};
use crate::{Ctx, Refusal};

tokio::task_local! {
    /// Set within a call that has a place: what it calls in this process runs in the same place. Were it to wait for
    /// another, a full house of calls would wait for each other.
    static IN_PLACE: ();
}

/// After this many calls, tenants that have been quiet are forgotten.
const FORGET_EVERY: u64 = 100_000;

/// Keeps tenants from getting in each other's way: how often each may call, and whose turn it is when all call at once.
///
/// A tenant is a project; for what lies in none, the caller. Only calls that access has let in count, so that nobody
/// uses up the allowance of a project they do not belong to.
pub(crate) struct Tenants {
    rates: DefaultKeyedRateLimiter<String>,
    asked: AtomicU64,
    turns: Arc<Turns>,
}

impl Tenants {
    pub fn new(limits: &Limits) -> Self {
        let one = NonZeroU32::MIN;
        let per_second = NonZeroU32::new(limits.project_rate_max).unwrap_or(one);
        let burst = per_second.saturating_mul(NonZeroU32::new(limits.project_burst_seconds).unwrap_or(one));
        Self {
            rates: RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)),
            asked: AtomicU64::new(0),
            turns: Turns::new(limits.calls_at_once_max, limits.project_waiting_max),
        }
    }

    /// Counts a call, and waits for a place to run it in. A stream has no end to wait for, so it takes no place.
    pub async fn enter(&self, ctx: &Ctx) -> Result<Option<Place>, Refusal> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.rates.retain_recent();
        }
        let tenant = ctx.project().map_or_else(|| ctx.principal().name.clone(), ToString::to_string);
        self.rates.check_key(&tenant).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let message = format!("{tenant} is sent more requests than it may be");
            Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", message).with("tenant", &tenant).after(wait)
        })?;
        let descriptor = &ctx.method().descriptor;
        if descriptor.is_client_streaming() || descriptor.is_server_streaming() {
            return Ok(None);
        }
        self.turns.place(&tenant).await.map(Some)
    }
}

/// Whether this runs within a call that has a place.
pub(crate) fn is_in_place() -> bool {
    IN_PLACE.try_with(|()| ()).is_ok()
}

/// Runs a call in its place, and gives the place back.
pub(crate) async fn in_place<T>(place: Option<Place>, call: impl Future<Output = T>) -> T {
    match place {
        Some(place) => {
            let done = IN_PLACE.scope((), call).await;
            drop(place);
            done
        }
        None => call.await,
    }
}
