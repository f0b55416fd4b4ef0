use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_contract::cairn::ledger::events::v1::{StrangerCount, StrangersRefused};
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{AppendFault, EventStore};
use cairn_kernel::{Clock, Metadata, Name, Time};
use parking_lot::Mutex;
use tracing::warn;

use super::record::{event, write};
use crate::Writer;
use crate::{network_of, timestamp};

/// How long refusals are counted before they are written down.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts refusals of unknown callers, by network and reason, and writes one event for each window: a stranger cannot
/// buy a durable write with a request.
pub(crate) struct Strangers {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    /// Networks and reasons counted apart; beyond it they share one count.
    counts_max: usize,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start: Option<Time>,
    counts: HashMap<(String, &'static str), u64>,
    other: u64,
}

impl Strangers {
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, counts_max: usize) -> Self {
        Self { store, clock, counts_max, window: Mutex::default() }
    }

    /// Counts one refusal, under the network that it comes from. The first of a window sees to it that the window is written
    /// when it ends.
    pub fn count(self: &Arc<Self>, source: Option<&str>, reason: &'static str) {
        metrics::counter!("cairn_rpc_strangers_refused_total", "reason" => reason).increment(1);
        let mut window = self.window.lock();
        window.add(source.and_then(network_of).unwrap_or_default(), reason, 1, self.counts_max);
        if window.start.is_none() {
            window.start = Some(self.clock.now());
            tokio::spawn(write_later(Arc::downgrade(self)));
        }
    }

    /// Writes what was counted. If that fails it stays counted, for another try.
    pub async fn flush(&self) -> Result<(), AppendFault> {
        let window = std::mem::take(&mut *self.window.lock());
        let Some(start) = window.start else { return Ok(()) };
        let now = self.clock.now();
        let event = event(&window.event(start, now), &Metadata::of_service("guard"));
        let write = write(&Name::ROOT, now, vec![event]);
        let appended = Writer::Process(Process::Guard).run(async { self.store.append(vec![write]).await }).await;
        if appended.is_err() {
            let mut current = self.window.lock();
            current.start = Some(start);
            for ((source, reason), count) in window.counts {
                current.add(source, reason, count, self.counts_max);
            }
            current.other += window.other;
        }
        appended.map(drop)
    }
}

/// Writes a window when it ends. Does not keep the store open for it: whoever stops flushes by themselves.
async fn write_later(strangers: Weak<Strangers>) {
    loop {
        tokio::time::sleep(WINDOW).await;
        let Some(strangers) = strangers.upgrade() else { return };
        match strangers.flush().await {
            Ok(()) => return,
            Err(fault) => warn!(%fault, "refused strangers could not be recorded yet"),
        }
    }
}

impl Window {
    fn add(&mut self, source: String, reason: &'static str, count: u64, counts_max: usize) {
        let is_full = self.counts.len() >= counts_max;
        match self.counts.entry((source, reason)) {
            std::collections::hash_map::Entry::Occupied(mut entry) => *entry.get_mut() += count,
            std::collections::hash_map::Entry::Vacant(_) if is_full => self.other += count,
            std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(count)),
        }
    }

    fn event(&self, start: Time, end: Time) -> StrangersRefused {
        let mut counts: Vec<StrangerCount> = self
            .counts
            .iter()
            .map(|((source, reason), count)| StrangerCount {
                source_address: source.clone(),
                reason: (*reason).to_owned(),
                count: *count,
            })
            .collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.source_address.cmp(&b.source_address)));
        StrangersRefused {
            start_time: Some(timestamp(start)),
            end_time: Some(timestamp(end)),
            counts,
            other_count: self.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_the_limit_share_one_count() {
        let mut window = Window::default();
        for address in ["a", "b", "c", "a", "c", "c"] {
            window.add(address.to_owned(), "CREDENTIAL_MISSING", 1, 2);
        }
        let event = window.event(Time::from_micros(0), Time::from_micros(1));
        let counts: Vec<_> = event.counts.iter().map(|count| (count.source_address.as_str(), count.count)).collect();
        assert_eq!(counts, [("a", 2), ("b", 1)]);
        assert_eq!(event.other_count, 3);
    }
}
