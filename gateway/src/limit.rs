use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_kernel::Code;
use cairn_service::Refusal;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::Config;
use crate::caller::network;

/// How often each caller may ask: known ones in all and by method, strangers by the network they come from.
pub struct Rates {
    callers: DefaultKeyedRateLimiter<u64>,
    methods: DefaultKeyedRateLimiter<u64>,
    strangers: DefaultKeyedRateLimiter<IpAddr>,
    /// Callers are counted by hash: two that share one share their allowance, which random keys make a rare accident.
    hasher: RandomState,
    asked: AtomicU64,
}

/// After this many requests, callers that have been quiet are forgotten.
const FORGET_EVERY: u64 = 100_000;

impl Rates {
    pub fn new(config: &Config) -> Self {
        let quota = |per_second: u32| {
            let per_second = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
            let burst = NonZeroU32::new(config.burst_seconds).unwrap_or(NonZeroU32::MIN);
            Quota::per_second(per_second).allow_burst(per_second.saturating_mul(burst))
        };
        Self {
            callers: RateLimiter::keyed(quota(config.caller_rate_max)),
            methods: RateLimiter::keyed(quota(config.method_rate_max)),
            strangers: RateLimiter::keyed(quota(config.stranger_rate_max)),
            hasher: RandomState::new(),
            asked: AtomicU64::new(0),
        }
    }

    /// Counts a known caller's request.
    pub fn caller(&self, principal: &str, method: &str) -> Result<(), Refusal> {
        self.forget();
        check(&self.callers, &self.hasher.hash_one(principal), principal)?;
        check(&self.methods, &self.hasher.hash_one((principal, method)), principal)
    }

    /// Counts a request of nobody in particular.
    pub fn stranger(&self, source: Option<IpAddr>) -> Result<(), Refusal> {
        self.forget();
        let network = network(source.unwrap_or(IpAddr::from([0, 0, 0, 0])));
        check(&self.strangers, &network, "this network, without a credential,")
    }

    fn forget(&self) {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.callers.retain_recent();
            self.methods.retain_recent();
            self.strangers.retain_recent();
        }
    }
}

fn check<K>(limiter: &DefaultKeyedRateLimiter<K>, key: &K, who: &str) -> Result<(), Refusal>
where
    K: std::hash::Hash + Eq + Clone,
{
    limiter.check_key(key).map_err(|until| {
        let wait = until.wait_time_from(DefaultClock::default().now());
        let message = format!("{who} sends more requests than it may");
        Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", message).after(wait)
    })
}
