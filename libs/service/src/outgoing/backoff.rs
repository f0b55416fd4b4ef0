use std::time::Duration;

/// Pauses between attempts, by decorrelated jitter: each lies between the shortest and three times the one before, so
/// that callers that failed together do not come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    last: Duration,
}

impl Backoff {
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, last: min }
    }

    /// The next pause; `share` is a random number between 0 and 1.
    pub fn next(&mut self, share: f64) -> Duration {
        let span = (self.last * 3).saturating_sub(self.min);
        self.last = (self.min + span.mul_f64(share)).min(self.max);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pauses_grow_by_chance_and_stay_within_their_bounds_s3_42(shares in prop::collection::vec(0.0..=1.0f64, 1..30)) {
            let (min, max) = (Duration::from_millis(25), Duration::from_secs(2));
            let mut backoff = Backoff::new(min, max);
            let mut last = min;
            for share in shares {
                let pause = backoff.next(share);
                prop_assert!(pause >= min && pause <= max && pause <= last * 3);
                last = pause;
            }
        }
    }

    #[test]
    fn the_longest_pauses_triple_until_the_most_there_is() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
        assert_eq!([1.0; 4].map(|share| backoff.next(share).as_millis()), [30, 90, 100, 100]);
        assert_eq!(backoff.next(0.0).as_millis(), 10);
    }
}
