use std::sync::atomic::{AtomicU64, Ordering};

use cairn_eventstore::ReadFault;
use cairn_kernel::Position;
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::sync::watch;

/// How a view is doing, for whoever asks: readiness, metrics, people.
pub(crate) struct Status {
    view: &'static str,
    head: watch::Receiver<Position>,
    position: watch::Receiver<Position>,
    /// Readers that wait for what is not in the view yet.
    waiting: AtomicU64,
    quarantined: AtomicU64,
    trouble: Mutex<Trouble>,
}

/// What keeps the view from going on. Said once in the log, and shown until it is over.
#[derive(Default)]
struct Trouble {
    reading: Option<String>,
    writing: Option<String>,
}

/// A reader that waits.
pub(crate) struct Waiting<'a>(&'a AtomicU64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Status {
    pub fn new(view: &'static str, head: watch::Receiver<Position>, position: watch::Receiver<Position>) -> Self {
        let (waiting, quarantined) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { view, head, position, waiting, quarantined, trouble: Mutex::default() }
    }

    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    pub fn lag(&self) -> u64 {
        self.head.borrow().0.saturating_sub(self.position().0)
    }

    /// A reader waits until this is dropped.
    pub fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(&self.waiting)
    }

    /// Whether a reader waits for what is not in the view yet.
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    pub fn quarantined(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed)
    }

    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.writing.clone().or_else(|| trouble.reading.clone())
    }

    pub fn report_lag(&self) {
        gauge!("cairn_projection_lag_events", "view" => self.view).set(self.lag() as f64);
    }

    pub fn set_quarantined(&self, count: u64) {
        self.quarantined.store(count, Ordering::Relaxed);
        gauge!("cairn_projection_quarantined_events", "view" => self.view).set(count as f64);
    }

    pub fn applied(&self, events: usize, took: Duration) {
        counter!("cairn_projection_applied_events_total", "view" => self.view).increment(events as u64);
        histogram!("cairn_projection_batch_duration_seconds", "view" => self.view).record(took.as_secs_f64());
        self.report_lag();
    }

    pub fn cannot_read(&self, fault: &ReadFault) {
        if self.trouble.lock().reading.replace(fault.to_string()).is_none() {
            tracing::warn!(view = self.view, %fault, "view cannot read the log and tries again");
        }
    }

    pub fn reads(&self) {
        if self.trouble.lock().reading.take().is_some() {
            tracing::info!(view = self.view, "view reads the log again");
        }
    }

    pub fn cannot_write(&self, fault: &str) {
        if self.trouble.lock().writing.replace(fault.to_owned()).is_none() {
            tracing::warn!(view = self.view, fault, "view cannot be written and tries again");
        }
    }

    pub fn writes(&self) {
        if self.trouble.lock().writing.take().is_some() {
            tracing::info!(view = self.view, "view is written again");
        }
    }
}
