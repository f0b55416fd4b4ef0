use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::{Ask, Exceeded, Quota, Standing};

/// After this many calls, allowances that have filled up are forgotten: a fresh one is full too.
const FORGET_EVERY: u64 = 50_000;
/// Allowances kept apart. Beyond it new ones share some: whoever makes up names gains nothing by it.
const KEPT_MAX: usize = 100_000;
const SHARED_MAX: u64 = 4_096;

/// The allowances of this process alone.
#[derive(Default)]
pub(super) struct Local {
    /// By hash: two that share one share their allowance, which random keys make a rare accident.
    kept: DashMap<u64, (Quota, Bucket)>,
    hasher: RandomState,
    asked: AtomicU64,
}

impl Local {
    /// Takes from all of them or from none.
    pub fn take(&self, asks: &[Ask], now: Instant) -> Result<Vec<Standing>, Exceeded> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.kept.retain(|_, (quota, bucket)| !bucket.is_full(*quota, now));
        }
        let mut standings = Vec::with_capacity(asks.len());
        for (at, ask) in asks.iter().enumerate() {
            match self.change(ask, now, ask.quota.cost(ask.cost)) {
                Ok(standing) => standings.push(standing),
                Err(exceeded) => {
                    for taken in &asks[..at] {
                        self.give_back(taken, now);
                    }
                    return Err(exceeded);
                }
            }
        }
        Ok(standings)
    }

    fn change(&self, ask: &Ask, now: Instant, cost: f64) -> Result<Standing, Exceeded> {
        let mut kept = self.kept.entry(self.place(ask)).or_insert((ask.quota, Bucket::full(ask.quota, now)));
        let bucket = kept.1.at(ask.quota, now);
        let wait = bucket.wait(ask.quota, cost);
        let bucket = if wait.is_some() { bucket } else { bucket.less(cost) };
        *kept = (ask.quota, bucket);
        let standing = Standing { policy: ask.policy, quota: ask.quota, left: bucket.level() };
        match wait {
            None => Ok(standing),
            Some(wait) => Err(Exceeded { policy: ask.policy, key: ask.key.clone(), wait, standings: vec![standing] }),
        }
    }

    /// A call that another allowance refused has cost nothing.
    fn give_back(&self, ask: &Ask, now: Instant) {
        if let Some(mut kept) = self.kept.get_mut(&self.place(ask)) {
            kept.1 = kept.1.less(-ask.quota.cost(ask.cost)).at(ask.quota, now);
        }
    }

    fn place(&self, ask: &Ask) -> u64 {
        let place = self.hasher.hash_one((ask.policy, &ask.key));
        if self.kept.len() >= KEPT_MAX && !self.kept.contains_key(&place) { place % SHARED_MAX } else { place }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ask(policy: &'static str, key: &str, burst: u32, cost: u32) -> Ask {
        Ask { policy, key: key.to_owned(), quota: Quota::new(1, burst), cost }
    }

    #[test]
    fn each_key_has_an_allowance_of_its_own_under_each_policy() {
        let (local, now) = (Local::default(), Instant::now());
        let take = |policy, key| local.take(&[ask(policy, key, 1, 1)], now).is_ok();
        assert_eq!(
            [take("caller", "a"), take("caller", "a"), take("caller", "b"), take("route", "a")],
            [true, false, true, true]
        );
    }

    #[test]
    fn what_one_allowance_refuses_costs_the_others_nothing() {
        let (local, now) = (Local::default(), Instant::now());
        let (wide, narrow) = (ask("caller", "a", 10, 1), ask("route", "a", 1, 1));
        assert!(local.take(&[wide.clone(), narrow.clone()], now).is_ok());
        for _ in 0..20 {
            let exceeded = local.take(&[wide.clone(), narrow.clone()], now).unwrap_err();
            assert_eq!((exceeded.policy, exceeded.wait), ("route", Duration::from_secs(1)));
        }
        assert_eq!(local.take(&[wide], now).unwrap()[0].left, 8.0);
    }

    #[test]
    fn a_call_that_costs_more_than_there_ever_is_takes_all_there_is() {
        let (local, now) = (Local::default(), Instant::now());
        assert_eq!(local.take(&[ask("caller", "a", 5, 100)], now).unwrap()[0].left, 0.0);
        assert_eq!(local.take(&[ask("caller", "a", 5, 100)], now).unwrap_err().wait, Duration::from_secs(5));
    }

    #[test]
    fn a_quota_that_changes_holds_at_once() {
        let (local, now) = (Local::default(), Instant::now());
        assert_eq!(local.take(&[ask("caller", "a", 100, 1)], now).unwrap()[0].left, 99.0);
        assert_eq!(local.take(&[ask("caller", "a", 5, 1)], now).unwrap()[0].left, 4.0);
    }

    #[test]
    fn names_without_end_take_a_bounded_amount_of_memory() {
        let (local, now) = (Local::default(), Instant::now());
        for at in 0..KEPT_MAX + 10_000 {
            let _ = local.take(&[ask("caller", &at.to_string(), 2, 1)], now);
        }
        assert!(local.kept.len() <= KEPT_MAX + SHARED_MAX as usize);
        let later = now + Duration::from_secs(10);
        // It has had a place among those that share, and has one of its own when there is room again.
        for _ in 0..FORGET_EVERY {
            let _ = local.take(&[ask("caller", "one", 2, 1)], later);
        }
        assert!(local.kept.len() <= 2, "those that have filled up are forgotten");
    }
}
