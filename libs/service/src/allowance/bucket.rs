use std::time::Duration;

use tokio::time::Instant;

use super::Quota;

/// What is left of one allowance. Pure: told the time, never asking for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    pub fn full(quota: Quota, now: Instant) -> Self {
        Self { level: quota.burst, at: now }
    }

    /// As it stands now: what has come in since it was last looked at is in it.
    pub fn at(self, quota: Quota, now: Instant) -> Self {
        let came = now.saturating_duration_since(self.at).as_secs_f64() * quota.per_second;
        Self { level: (self.level + came).min(quota.burst), at: now.max(self.at) }
    }

    pub fn level(self) -> f64 {
        self.level
    }

    /// How long until it holds so much; nothing if it does.
    pub fn wait(self, quota: Quota, cost: f64) -> Option<Duration> {
        let missing = cost - self.level;
        (missing > 0.0).then(|| Duration::from_secs_f64(missing / quota.per_second))
    }

    pub fn less(self, cost: f64) -> Self {
        Self { level: self.level - cost, ..self }
    }

    /// Whether keeping it tells nothing that a fresh one would not.
    pub fn is_full(self, quota: Quota, now: Instant) -> bool {
        self.at(quota, now).level >= quota.burst
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUOTA: Quota = Quota { per_second: 10.0, burst: 20.0 };

    #[test]
    fn it_fills_up_at_its_rate_until_it_is_full() {
        let start = Instant::now();
        let empty = Bucket::full(QUOTA, start).less(20.0);
        let level = |millis| empty.at(QUOTA, start + Duration::from_millis(millis)).level();
        assert_eq!([level(0), level(500), level(2_000), level(9_000)], [0.0, 5.0, 20.0, 20.0]);
        assert_eq!(empty.wait(QUOTA, 5.0), Some(Duration::from_millis(500)));
        assert_eq!(empty.at(QUOTA, start + Duration::from_millis(500)).wait(QUOTA, 5.0), None);
    }

    proptest! {
        #[test]
        fn over_any_time_no_more_goes_out_than_the_burst_and_what_comes_in_s4_90(
            calls in prop::collection::vec((0_u64..500, 1_u32..8), 1..200)
        ) {
            let start = Instant::now();
            let (mut now, mut bucket, mut out) = (start, Bucket::full(QUOTA, start), 0.0);
            for (pause, cost) in calls {
                now += Duration::from_millis(pause);
                bucket = bucket.at(QUOTA, now);
                if bucket.wait(QUOTA, cost.into()).is_none() {
                    bucket = bucket.less(cost.into());
                    out += f64::from(cost);
                }
                let most = QUOTA.burst + (now - start).as_secs_f64() * QUOTA.per_second;
                prop_assert!(out <= most + 1e-6, "{out} of {most}");
                prop_assert!((0.0..=QUOTA.burst).contains(&bucket.level()));
            }
        }

        #[test]
        fn who_waits_as_long_as_they_are_told_gets_in(level in 0.0..20.0_f64, cost in 1_u32..20) {
            let start = Instant::now();
            let bucket = Bucket { level, at: start };
            if let Some(wait) = bucket.wait(QUOTA, cost.into()) {
                // A clock has nanoseconds, a level has not.
                let then = start + wait + Duration::from_nanos(1);
                prop_assert_eq!(bucket.at(QUOTA, then).wait(QUOTA, cost.into()), None);
            }
        }
    }
}
