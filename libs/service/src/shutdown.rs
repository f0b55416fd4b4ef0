use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

crate::settings! {
    /// How the process stops.
    pub struct Config: "shutdown" {
        /// How long work that was accepted may take to finish, in milliseconds. What takes longer is cut off.
        grace_ms: u64 = 20_000;
        /// How long everything is still served after the process was asked to stop, in milliseconds, while health says that it
        /// is not ready: until whatever balances load has heard of it and sends nothing new. More than two of its checks take.
        drain_ms: u64 = 0;
    }
}

/// How a process ends that did not get to finish.
const EXIT_CUT_SHORT: i32 = 130;

/// Whether the process is to stop. Cheap to clone; each part listens to a token of its own.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    root: CancellationToken,
    /// Cancelled as soon as somebody asks, before anything stops.
    asked: CancellationToken,
    drain_ms: Arc<AtomicU64>,
}

impl Shutdown {
    /// One that nothing has asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that SIGTERM and SIGINT ask for. A second signal does not wait for the grace period: it ends the process,
    /// which is safe at any moment, since nothing is acknowledged before it is durable.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let asking = shutdown.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            let first = next().await;
            let drain = Duration::from_millis(asking.drain_ms.load(Ordering::Relaxed));
            info!(signal = first, drain_ms = drain.as_millis(), "stopping");
            asking.asked.cancel();
            let root = asking.root;
            tokio::spawn(async move {
                tokio::time::sleep(drain).await;
                root.cancel();
            });
            let second = next().await;
            warn!(signal = second, "stopping at once");
            std::process::exit(EXIT_CUT_SHORT);
        });
        Ok(shutdown)
    }

    /// Lets so much time pass between the first signal and the end of whatever is served.
    pub fn drain_for(&self, config: &Config) {
        self.drain_ms.store(config.drain_ms, Ordering::Relaxed);
    }

    /// Asks for it, without waiting for those who send requests.
    pub fn begin(&self) {
        self.asked.cancel();
        self.root.cancel();
    }

    /// Waits until somebody asks; it begins when those who send requests have had time to hear of it.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Waits until it is asked for.
    pub async fn begun(&self) {
        self.root.cancelled().await;
    }

    /// A token for one part: cancelled when the process stops, and can be cancelled alone.
    pub fn token(&self) -> CancellationToken {
        self.root.child_token()
    }
}

/// What has to be done between the wish to stop and the end, in order: stop accepting, finish what was accepted, stop
/// views, close the store.
///
/// All steps share one grace period, so that one that takes long does not add to the next; those that must not be cut
/// off are [`Drain::always`].
pub struct Drain {
    grace: Duration,
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    work: BoxFuture<'static, ()>,
    may_be_cut: bool,
}

impl Drain {
    /// Without steps.
    pub fn new(config: &Config) -> Self {
        Self { grace: Duration::from_millis(config.grace_ms), steps: vec![] }
    }

    /// A step that is cut off when the grace period ends.
    pub fn then(self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.step(name, work, true)
    }

    /// A step that is finished however long it takes, because what comes after it must find it done.
    pub fn always(self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.step(name, work, false)
    }

    fn step(mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static, may_be_cut: bool) -> Self {
        self.steps.push(Step { name, work: Box::pin(work), may_be_cut });
        self
    }

    /// Goes through the steps. Says which were cut off.
    pub async fn run(self) -> Vec<&'static str> {
        let end = Instant::now() + self.grace;
        let mut cut = vec![];
        for Step { name, work, may_be_cut } in self.steps {
            if !may_be_cut {
                work.await;
            } else if tokio::time::timeout_at(end, work).await.is_err() {
                warn!(step = name, "cut off: the grace period has ended");
                cut.push(name);
            }
        }
        info!("stopped");
        cut
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[tokio::test]
    async fn steps_run_in_order_and_only_those_that_may_be_are_cut_off() {
        let done = Arc::new(Mutex::new(vec![]));
        let note = |name: &'static str| {
            let done = Arc::clone(&done);
            async move { done.lock().push(name) }
        };
        let drain = Drain::new(&Config { grace_ms: 20, drain_ms: 0 })
            .then("listeners", note("listeners"))
            .then("calls", std::future::pending())
            .then("views", note("views"))
            .always("store", note("store"));
        assert_eq!(drain.run().await, ["calls"]);
        assert_eq!(*done.lock(), ["listeners", "views", "store"]);
    }

    #[tokio::test]
    async fn a_signal_asks_for_the_end() {
        let shutdown = Shutdown::on_signals().unwrap();
        let pid = std::process::id().to_string();
        let sent = tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(sent.success());
        shutdown.begun().await;
    }

    #[tokio::test]
    async fn a_part_can_stop_alone_and_stops_with_the_process() {
        let shutdown = Shutdown::new();
        let (one, other) = (shutdown.token(), shutdown.token());
        one.cancel();
        assert!(!other.is_cancelled());
        shutdown.begin();
        shutdown.begun().await;
        assert!(other.is_cancelled());
    }
}
