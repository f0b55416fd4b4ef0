//! Settings of the suite itself, taken over by every process while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cairn_contract::cairn::options::v1::Process;
use cairn_eventstore::{Commands, Filter, Message, Order, Subscription};
use cairn_kernel::{Aggregate, Expected, Metadata, Name, Position, StreamName};
use cairn_service::Writer;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::model::scope::{Act, Command, Environment, Step};
use crate::model::{EnvironmentName, Scope};

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Values by their `section.key`.
type Values = BTreeMap<String, Value>;

/// The settings that there are.
pub trait Settings: Send + Sync {
    /// Those that may change while the suite runs: `section.key`.
    fn keys(&self) -> Vec<String>;

    /// What is wrong with these values, on top of what a process was started with.
    fn problem(&self, values: &Values) -> Option<String>;
}

/// A process that takes settings over.
#[async_trait]
pub trait Replica: Send + Sync {
    /// Makes these values count, and for every other key what the process was started with.
    fn apply(&self, values: &Values) -> Result<(), String>;

    /// What is not well, if anything is.
    async fn complaint(&self) -> Option<String>;
}

/// Takes over the platform's settings, now and whenever they change, until it is dropped. A staged revision is tried by
/// one process for the time of `soak`; a process that is not well within that time after it has taken one over takes it
/// back for all.
pub async fn follow(commands: Commands, name: String, soak: Duration, replica: Arc<dyn Replica>) {
    let store = Arc::clone(commands.store());
    let filter = Filter::categories([Scope::CATEGORY]);
    let mut follower = Follower { commands, name, soak, replica, applied: None };
    let mut position: Position = *store.head().borrow();
    let mut subscription = Subscription::new(Arc::clone(&store), position, filter.clone());
    let mut until = None;
    // What was said before this process began counts for it too.
    let mut is_due = true;
    loop {
        if is_due {
            match follower.look().await {
                Ok(trial) => until = trial.or(until),
                Err(fault) => {
                    warn!(%fault, "settings of the platform cannot be looked at");
                    sleep(RETRY).await;
                    continue;
                }
            }
            is_due = false;
        }
        let patience = until.as_ref().map_or(Duration::from_secs(3600), |_: &Trial| follower.pause());
        match timeout(patience, subscription.next()).await {
            Ok(Ok(Message::Events(events))) => {
                let ours = stream();
                is_due = events.iter().any(|event| event.stream == ours);
                position = events.last().map_or(position, |event| event.position);
            }
            Ok(Ok(Message::Checkpoint(at) | Message::CaughtUp(at))) => position = at,
            Ok(Err(fault)) => {
                warn!(%fault, "settings of the platform cannot be heard");
                sleep(RETRY).await;
                subscription = Subscription::new(Arc::clone(&store), position, filter.clone());
                is_due = true;
            }
            Err(_) => {}
        }
        if let Some(trial) = until.take() {
            until = follower.judge(trial).await;
        }
    }
}

/// A revision that was taken over a moment ago.
struct Trial {
    revision: u32,
    until: Instant,
    /// Whether this process tries it for all.
    is_first: bool,
}

struct Follower {
    commands: Commands,
    name: String,
    soak: Duration,
    replica: Arc<dyn Replica>,
    applied: Option<Values>,
}

impl Follower {
    /// Takes over what counts for this process now. Gives the trial that begins with it.
    async fn look(&mut self) -> Result<Option<Trial>, String> {
        let state = self.commands.load::<Scope>(&stream()).await.map_err(|fault| fault.to_string())?.state;
        let nothing = Environment::default();
        let platform = state.platform().unwrap_or(&nothing);
        let revision = platform.revision();
        if platform.stage().is_some_and(|stage| stage.replica.is_none()) {
            // The event of it, whoever's, is heard next.
            self.report(revision, Step::Begun).await;
        }
        let values = platform.values_for(&self.name);
        let values: Values = values.into_iter().map(|(key, value)| (key.to_string(), value.value().clone())).collect();
        if self.applied.as_ref() == Some(&values) {
            return Ok(None);
        }
        let was_well = self.replica.complaint().await.is_none();
        let applied = self.replica.apply(&values);
        let is_begin = self.applied.replace(values).is_none();
        if let Err(problem) = applied {
            // Judged when it was said; another build of the program may know other settings.
            warn!(revision, %problem, "settings of the platform cannot be taken over");
            self.report(revision, Step::Abandoned(problem)).await;
            return Ok(None);
        }
        if revision > 0 {
            info!(revision, "settings of the platform were taken over");
        }
        let is_first = platform.stage().is_some_and(|stage| stage.replica.as_deref() == Some(&self.name));
        // What was not well before, or has just begun, says nothing of the revision.
        let is_tried = was_well && (!is_begin || is_first);
        Ok(is_tried.then(|| Trial { revision, until: Instant::now() + self.soak, is_first }))
    }

    /// How long to wait between two looks at how this process fares.
    fn pause(&self) -> Duration {
        (self.soak / 20).max(Duration::from_millis(10))
    }

    /// Says how this process fares with a revision. Gives the trial back while it goes on.
    async fn judge(&self, trial: Trial) -> Option<Trial> {
        if let Some(complaint) = self.replica.complaint().await {
            warn!(revision = trial.revision, complaint, "settings of the platform are taken back");
            self.report(trial.revision, Step::Abandoned(complaint)).await;
            return None;
        }
        if Instant::now() < trial.until {
            return Some(trial);
        }
        if trial.is_first {
            self.report(trial.revision, Step::Finished).await;
        }
        None
    }

    async fn report(&self, revision: u32, step: Step) {
        let id = EnvironmentName::platform().id();
        let act = Act::Report { id, revision, replica: self.name.clone(), step };
        let order = Order { metadata: Metadata::of_service("config"), request: None };
        let command = Command { scope: Name::ROOT, act };
        let stream = stream();
        let done = self.commands.execute::<Scope>(&order, &stream, Expected::Any, command);
        if let Err(fault) = Writer::Process(Process::Settings).run(done).await {
            warn!(revision, %fault, "how this process fares with settings of the platform could not be said");
        }
    }
}

fn stream() -> StreamName {
    StreamName::of(Scope::CATEGORY, Name::ROOT)
}
