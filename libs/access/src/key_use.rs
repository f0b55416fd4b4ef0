use std::time::Duration;

use cairn_kernel::Time;
use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// How much time lies at least between two uses of a key that are told.
const TOLD_EVERY: Duration = Duration::from_secs(3600);
/// Most keys whose last use is remembered. A key that is forgotten here is told of once too often.
const KEYS_MAX: u64 = 100_000;
/// Most uses that wait to be put on record. One that finds no room is told of at the key's next use.
const WAITING_MAX: usize = 1_024;

/// A key was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// `{owner}/apiKeys/{key}`
    pub key: String,
    pub time: Time,
}

/// Which keys were used, coarsely: which are still needed is worth knowing, each use is not worth a write.
pub(crate) struct KeyUses {
    told: Cache<String, Time>,
    waiting: mpsc::Sender<KeyUse>,
    listener: Mutex<Option<mpsc::Receiver<KeyUse>>>,
}

impl KeyUses {
    pub fn new() -> Self {
        let (waiting, listener) = mpsc::channel(WAITING_MAX);
        Self { told: Cache::builder().max_capacity(KEYS_MAX).build(), waiting, listener: Mutex::new(Some(listener)) }
    }

    /// Notes a use. Never waits.
    pub fn note(&self, key: &str, now: Time) {
        let is_told = self.told.get(key).is_some_and(|last| now < last.after(TOLD_EVERY));
        if !is_told && self.waiting.try_send(KeyUse { key: key.to_owned(), time: now }).is_ok() {
            self.told.insert(key.to_owned(), now);
        }
    }

    pub fn listen(&self) -> Option<mpsc::Receiver<KeyUse>> {
        self.listener.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_told_once_an_hour_for_each_key() {
        let uses = KeyUses::new();
        let mut told = uses.listen().unwrap();
        assert!(uses.listen().is_none());
        let start = Time::from_micros(0);
        let (within, later) = (start.after(TOLD_EVERY - Duration::from_secs(1)), start.after(TOLD_EVERY));
        for (key, time) in [("a", start), ("a", within), ("b", within), ("a", later)] {
            uses.note(key, time);
        }
        let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).map(|told| (told.key, told.time)).collect();
        assert_eq!(told, [("a".to_owned(), start), ("b".to_owned(), within), ("a".to_owned(), later)]);
    }

    #[test]
    fn uses_that_nobody_puts_on_record_take_no_more_room_than_there_is() {
        let uses = KeyUses::new();
        for at in 0..2 * WAITING_MAX {
            uses.note(&at.to_string(), Time::from_micros(0));
        }
        let mut told = uses.listen().unwrap();
        assert_eq!(std::iter::from_fn(|| told.try_recv().ok()).count(), WAITING_MAX);
        uses.note(&(2 * WAITING_MAX - 1).to_string(), Time::from_micros(1));
        assert!(told.try_recv().is_ok(), "what found no room is told of at the next use");
    }
}
