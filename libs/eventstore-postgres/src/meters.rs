use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// What the store tells about itself, under the same names as every engine. Looked up once: recording must cost nothing on
/// the way of an append.
#[derive(Clone)]
pub(crate) struct Meters {
    pub(crate) appended_events: Counter,
    pub(crate) appended_bytes: Counter,
    pub(crate) refused_busy: Counter,
    pub(crate) refused_storage: Counter,
    pub(crate) refused_other: Counter,
    pub(crate) append_seconds: Histogram,
    pub(crate) commit_seconds: Histogram,
    /// How long the lock was waited for: much of it means that other processes write a lot.
    pub(crate) lock_seconds: Histogram,
    pub(crate) batch_events: Histogram,
    pub(crate) waiting_appends: Gauge,
    pub(crate) waiting_bytes: Gauge,
    pub(crate) head_position: Gauge,
    pub(crate) read_seconds: Histogram,
    pub(crate) read_events: Counter,
    pub(crate) removed_events: Counter,
    pub(crate) dropped_snapshots: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            appended_events: counter!("cairn_eventstore_appended_events"),
            appended_bytes: counter!("cairn_eventstore_appended_bytes"),
            refused_busy: counter!("cairn_eventstore_refused_appends", "reason" => "busy"),
            refused_storage: counter!("cairn_eventstore_refused_appends", "reason" => "storage_full"),
            refused_other: counter!("cairn_eventstore_refused_appends", "reason" => "unavailable"),
            append_seconds: histogram!("cairn_eventstore_append_seconds"),
            commit_seconds: histogram!("cairn_eventstore_commit_seconds"),
            lock_seconds: histogram!("cairn_eventstore_lock_seconds"),
            batch_events: histogram!("cairn_eventstore_batch_events"),
            waiting_appends: gauge!("cairn_eventstore_waiting_appends"),
            waiting_bytes: gauge!("cairn_eventstore_waiting_bytes"),
            head_position: gauge!("cairn_eventstore_head_position"),
            read_seconds: histogram!("cairn_eventstore_read_seconds"),
            read_events: counter!("cairn_eventstore_read_events"),
            removed_events: counter!("cairn_eventstore_removed_events"),
            dropped_snapshots: counter!("cairn_eventstore_dropped_snapshots"),
        }
    }
}
