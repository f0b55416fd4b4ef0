//! Follows the views of one service. Of several processes one writes; the others look on, and take over when its turn ends.

use std::sync::Arc;
use std::time::Duration;

use cairn_postgres::Dialer;
use cairn_projection::Changes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::copy::{Mind, Part};
use crate::schema::Schema;
use crate::session::{End, Session, within};
use crate::state::{MirrorState, State};

/// First and longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Notes are dropped so often at most, for it is a write to the view's file.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Where copies are kept.
#[derive(Clone)]
pub struct Config {
    /// `postgres://user:password@host/database`.
    pub url: String,
    /// The schema of one service. Made if it is not there.
    pub schema: String,
    /// Names the deployment that the views are of: another's copies are left alone.
    pub deployment: String,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a turn lasts that is not renewed.
    pub lease: Duration,
    /// Writes are at least so far apart.
    pub interval: Duration,
    /// Longest wait for an answer.
    pub patience: Duration,
    /// The same for what takes as long as there are rows.
    pub building_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            interval: Duration::from_millis(100),
            patience: Duration::from_secs(10),
            building_patience: Duration::from_secs(600),
        }
    }
}

/// The copies of one service's views. Dropped, it stops where it is.
pub struct Mirror {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    wakers: Vec<JoinHandle<()>>,
}

struct Shared {
    dialer: Dialer,
    schema: Schema,
    parts: Vec<Part>,
    holder: String,
    limits: Limits,
    state: State,
    /// A view has moved.
    wake: Notify,
    stop: CancellationToken,
}

impl Mirror {
    /// Starts following. The database need not answer yet. Fails if the URL is none, and says why without it. Must be called on a
    /// tokio runtime.
    pub fn start(config: &Config, changes: Vec<Changes>) -> Result<Self, String> {
        let dialer = Dialer::new(&config.url, config.limits.patience)?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            dialer,
            schema: Schema::new(&config.schema, &config.deployment),
            parts: changes.into_iter().map(Part::new).collect(),
            holder: Uuid::new_v4().to_string(),
            limits: config.limits,
            state: State::default(),
            wake: Notify::new(),
            stop: stop.clone(),
        });
        let wakers = shared.parts.iter().map(|part| {
            let (shared, mut positions) = (Arc::clone(&shared), part.changes.positions());
            tokio::spawn(async move {
                while positions.changed().await.is_ok() {
                    shared.wake.notify_one();
                }
            })
        });
        let wakers = wakers.collect();
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.follow().await }
        });
        Ok(Self { shared, stop, task: Mutex::new(Some(task)), wakers })
    }

    /// How it is doing.
    pub fn state(&self) -> MirrorState {
        self.shared.report_lag();
        self.shared.state.get()
    }

    /// Copies what there is to be copied, ends its turn, and waits for that.
    pub async fn stop(&self, grace: Duration) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(mut task) = task
            && timeout(grace, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.wakers.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    /// Goes on until it is stopped.
    async fn follow(&self) {
        let mut minds: Vec<Mind> = self.parts.iter().map(|_| Mind::default()).collect();
        let mut pause = PAUSES.0;
        while let Err(end) = self.session(&mut minds).await {
            // It had got over what it stumbled over before.
            if self.state.get().trouble.is_none() {
                pause = PAUSES.0;
            }
            match end {
                End::Turn => tracing::info!(schema = self.schema.name, "another process copies read models now"),
                End::Unsuitable { why, openly } => {
                    pause = PAUSES.1;
                    self.state.stumbles(&self.schema.name, &why, openly);
                }
                End::Away(why) => {
                    self.state.stumbles(&self.schema.name, &why, "the database does not answer as it should")
                }
                End::View(why) => self.state.stumbles(&self.schema.name, &why, "a view cannot be read"),
            }
            self.report_lag();
            if self.stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Uses one connection until something is wrong with it. `Ok`: it was stopped.
    async fn session(&self, minds: &mut [Mind]) -> Result<(), End> {
        let place = self.dialer.place();
        let link = self.dialer.dial().await.map_err(|fault| End::no_way_in(&place, &fault))?;
        let (schema, limits) = (&self.schema, &self.limits);
        within(limits.patience, schema.prepare(&link)).await??;
        loop {
            if let Some(turn) = within(limits.patience, schema.begin_turn(&link, &self.holder, limits.lease)).await? {
                return self.lead(Session { link: &link, schema, limits, turn }, minds).await;
            }
            let mut known = within(limits.patience, schema.known(&link)).await?;
            for (part, mind) in self.parts.iter().zip(&mut *minds) {
                mind.known = known.remove(part.name());
                part.look(mind).await?;
                part.trim(mind).await?;
            }
            self.state.gets_on(&schema.name, false);
            self.report_lag();
            if self.stop.run_until_cancelled(sleep(limits.lease / 6)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Writes while it is our turn.
    async fn lead(&self, session: Session<'_>, minds: &mut [Mind]) -> Result<(), End> {
        let mut known = session.run(self.schema.known(session.link)).await?;
        for (part, mind) in self.parts.iter().zip(&mut *minds) {
            *mind = Mind::of(known.remove(part.name()));
        }
        let renewal = self.limits.lease / 3;
        let (mut renewed, mut trimmed) = (Instant::now(), Instant::now());
        loop {
            let (began, is_last) = (Instant::now(), self.stop.is_cancelled());
            for (part, mind) in self.parts.iter().zip(&mut *minds) {
                if part.copy(session, mind).await? {
                    renewed = Instant::now();
                }
                if renewed.elapsed() >= renewal {
                    session.renew().await?;
                    renewed = Instant::now();
                }
            }
            self.state.gets_on(&self.schema.name, true);
            self.report_lag();
            if trimmed.elapsed() >= TRIM_INTERVAL {
                for (part, mind) in self.parts.iter().zip(&mut *minds) {
                    part.trim(mind).await?;
                }
                trimmed = Instant::now();
            }
            if is_last {
                return session.run(self.schema.release(session.link, session.turn)).await;
            }
            tokio::select! {
                () = self.stop.cancelled() => continue,
                () = sleep_until(renewed + renewal) => {}
                () = self.wake.notified() => {}
            }
            // What comes meanwhile is written together.
            let _ = self.stop.run_until_cancelled(sleep_until(began + self.limits.interval)).await;
        }
    }

    fn report_lag(&self) {
        self.parts.iter().for_each(|part| self.state.lags(part.name(), part.lag()));
    }
}
