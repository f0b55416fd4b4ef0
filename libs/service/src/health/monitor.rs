use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};
use tracing::{info, warn};

use super::damping::Damped;
use super::{ComponentHealth, Config, HealthCheck, Report, State};

/// How often the event loop is expected to have time.
const BEAT: Duration = Duration::from_secs(1);
/// When it counts as standing still.
const BEAT_MISSED: Duration = Duration::from_secs(15);

/// Runs the checks and remembers what they said. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    interval: Duration,
    check_timeout: Duration,
    recover_after: u32,
    parts: Mutex<Vec<Part>>,
    /// Held by the round under way: two at once would count one state twice, and the slower one would be shown last.
    rounds: tokio::sync::Mutex<()>,
    /// When the event loop last had time for us.
    beat: Mutex<Instant>,
    stopping: CancellationToken,
    reporter: HealthReporter,
}

struct Part {
    check: Arc<dyn HealthCheck>,
    state: Damped,
}

impl Health {
    /// Checks nothing yet, and gives the routes of gRPC's health protocol.
    pub fn new(config: &Config) -> (Self, Routes) {
        let (reporter, service) = health_reporter();
        let inner = Inner {
            interval: Duration::from_millis(config.interval_ms),
            check_timeout: Duration::from_millis(config.check_timeout_ms),
            recover_after: config.recover_after,
            parts: Mutex::default(),
            rounds: tokio::sync::Mutex::default(),
            beat: Mutex::new(Instant::now()),
            stopping: CancellationToken::new(),
            reporter,
        };
        (Self { inner: Arc::new(inner) }, Routes::new(service))
    }

    /// Adds a check, in place of an earlier one of the same name.
    pub fn register(&self, check: impl HealthCheck) {
        let part = Part { check: Arc::new(check), state: Damped::new(self.inner.recover_after) };
        let mut parts = self.inner.parts.lock();
        match parts.iter_mut().find(|other| other.check.name() == part.check.name()) {
            Some(other) => {
                warn!(component = part.check.name(), "a health check was replaced by another of its name");
                *other = part;
            }
            None => parts.push(part),
        }
    }

    /// Checks at the configured interval until `stop`, at once for the first time.
    pub async fn run(&self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(self.inner.interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = beat.tick() => *self.inner.beat.lock() = Instant::now(),
                _ = interval.tick() => {
                    // Apart, so that a slow check does not look like an event loop that stands still. A round that is
                    // still under way is not joined by another.
                    if self.inner.rounds.try_lock().is_ok() {
                        let health = self.clone();
                        tokio::spawn(async move { health.round().await });
                    }
                }
            }
        }
    }

    /// Asks every part once, all at the same time.
    pub async fn round(&self) {
        let _round = self.inner.rounds.lock().await;
        let checks: Vec<_> = self.inner.parts.lock().iter().map(|part| Arc::clone(&part.check)).collect();
        let asked = checks.into_iter().map(|check| async move {
            let answered = tokio::time::timeout(self.inner.check_timeout, check.check()).await;
            let verdict = answered.unwrap_or_else(|_| {
                (State::Unhealthy, format!("did not answer within {} ms", self.inner.check_timeout.as_millis()))
            });
            (check, verdict)
        });
        for (check, (state, message)) in futures::future::join_all(asked).await {
            let mut parts = self.inner.parts.lock();
            let Some(part) = parts.iter_mut().find(|part| Arc::ptr_eq(&part.check, &check)) else { continue };
            if let Some(before) = part.state.observe(state, message) {
                let component = check.name();
                info!(component, %before, now = %state, message = part.state.message(), "health changed");
            }
            metrics::gauge!("cairn_health_state", "component" => check.name().to_owned()).set(part.state.state() as u8);
        }
        self.tell().await;
    }

    /// Says how everything is, without asking again.
    pub fn report(&self) -> Report {
        let parts = self.inner.parts.lock();
        let is_known = parts.iter().all(|part| part.state.is_known());
        let gate = |part: &Part| part.check.gates_readiness() && part.state.state() == State::Unhealthy;
        let is_ready = is_known && !parts.iter().any(gate) && !self.inner.stopping.is_cancelled();
        let components = parts.iter().map(|part| ComponentHealth {
            name: part.check.name().to_owned(),
            state: part.state.state(),
            message: part.state.message().to_owned(),
        });
        Report::new(components.collect(), is_ready, self.inner.beat.lock().elapsed() < BEAT_MISSED)
    }

    /// From now on this process is not ready: it is about to stop.
    pub async fn stop_serving(&self) {
        self.inner.stopping.cancel();
        self.tell().await;
    }

    /// Tells those who listen over gRPC: the process as the empty name, each part under its own.
    async fn tell(&self) {
        let report = self.report();
        let serving = |is: bool| if is { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.inner.reporter.set_service_status("", serving(report.is_ready)).await;
        for component in &report.components {
            let status = serving(component.state != State::Unhealthy);
            self.inner.reporter.set_service_status(&component.name, status).await;
        }
    }
}
