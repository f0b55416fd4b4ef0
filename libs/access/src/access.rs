use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use cairn_eventstore::EventStore;
use cairn_kernel::{Clock, Name, Position, Principal, PrincipalKind, Time};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use uuid::{NoContext, Timestamp, Uuid};

use crate::authenticate::Remembered;
use crate::config::Config;
use crate::freshness::Freshness;
use crate::guardrail::{self, Forbidden, Known};
use crate::key_use::KeyUses;
use crate::open::developer;
use crate::replica::{Follower, Replica};
use crate::table::{self, Question};
use crate::token::Tokens;
use crate::{Behind, Circumstances, Decision, Denial, Facts, KeyUse, Keyring, ProjectQuota, Reach, World};

/// The live replica of auth's events, and everything decided from it.
pub struct Access {
    pub(crate) replica: Arc<Replica>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) tokens: Tokens,
    pub(crate) remembered: Remembered,
    /// The bootstrap key that was used last while no use of it was on record.
    pub(crate) bootstrap_used: watch::Sender<Option<String>>,
    pub(crate) key_uses: KeyUses,
    /// When the key file was last looked at again.
    pub(crate) keys_read: parking_lot::Mutex<Option<std::time::Instant>>,
    /// The key that the log named when the file was looked at for its sake.
    pub(crate) key_followed: parking_lot::Mutex<String>,
    is_open: bool,
    token_life: Duration,
    /// Nothing follows a fixed world.
    follower: Option<JoinHandle<()>>,
}

impl Drop for Access {
    fn drop(&mut self) {
        if let Some(follower) = &self.follower {
            follower.abort();
        }
    }
}

impl Access {
    /// Begins to follow auth's events. Until the replica has heard them all, everything is refused as stale.
    ///
    /// Must be called on a tokio runtime.
    pub fn start(
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        keyring: Arc<Keyring>,
        config: &Config,
    ) -> Arc<Self> {
        let world = starting_world(config.disabled);
        let replica = Arc::new(Replica {
            world: ArcSwap::from_pointee(world.clone()),
            position: watch::Sender::new(Position::START),
            freshness: Freshness::new(
                Duration::from_millis(config.writes_refused_after_ms),
                Duration::from_millis(config.everything_refused_after_ms),
            ),
        });
        let follower = Follower { store, replica: Arc::clone(&replica), heartbeat: config.heartbeat(), world };
        let follower = tokio::spawn(follower.run());
        Arc::new(Self::over(replica, clock, keyring, config, Some(follower)))
    }

    /// A digest of what holds something secret: it tells a repeat from another request, and nobody who reads it can try
    /// which secret it was.
    pub fn blind(&self, bytes: &[u8]) -> String {
        self.keyring.blind(bytes)
    }

    /// Over a world that does not change and does not age: for tests, and for asking "what if".
    pub fn fixed(world: World, clock: Arc<dyn Clock>, keyring: Arc<Keyring>) -> Arc<Self> {
        let replica = Replica {
            position: watch::Sender::new(world.policy()),
            world: ArcSwap::from_pointee(world),
            freshness: Freshness::new(Duration::MAX, Duration::MAX),
        };
        replica.freshness.confirm(Instant::now());
        Arc::new(Self::over(Arc::new(replica), clock, keyring, &Config::default(), None))
    }

    fn over(
        replica: Arc<Replica>,
        clock: Arc<dyn Clock>,
        keyring: Arc<Keyring>,
        config: &Config,
        follower: Option<JoinHandle<()>>,
    ) -> Self {
        let tokens = Tokens::new(&keyring);
        Self {
            replica,
            clock,
            keyring,
            tokens,
            remembered: Remembered::new(config.tokens_remembered_max),
            bootstrap_used: watch::Sender::new(None),
            key_uses: KeyUses::new(),
            keys_read: parking_lot::Mutex::default(),
            key_followed: parking_lot::Mutex::default(),
            is_open: config.disabled,
            token_life: config.token_life(),
            follower,
        }
    }

    /// Decides, when nothing is known of where the question comes from. Total, no IO.
    pub fn decide(&self, principal: &Principal, permission: &str, resource: &Name, reach: Reach) -> Decision {
        self.decide_in(Circumstances::default(), principal, permission, resource, reach)
    }

    /// Decides. Total, no IO.
    ///
    /// Guardrails are asked too, unless it takes the service to ask: that one [`Access::decide_knowing`].
    pub fn decide_in(
        &self,
        circumstances: Circumstances,
        principal: &Principal,
        permission: &str,
        resource: &Name,
        reach: Reach,
    ) -> Decision {
        let world = self.replica.world.load();
        let question = Question { principal, permission, resource, reach, now: self.clock.now(), circumstances };
        self.answer(&world, &question, |question| guardrail::ask(&world, question, None))
    }

    /// Decides on a resource itself, for a service that knows what guardrails may ask. Total, no IO.
    pub fn decide_knowing(
        &self,
        circumstances: Circumstances,
        principal: &Principal,
        permission: &str,
        resource: &Name,
        known: &Known,
    ) -> Decision {
        let (world, reach) = (self.replica.world.load(), Reach::Exact);
        let question = Question { principal, permission, resource, reach, now: self.clock.now(), circumstances };
        self.answer(&world, &question, |question| guardrail::ask(&world, question, Some(known)))
    }

    /// Whether somebody holds a right, whatever guardrails say to its use at this moment. Total, no IO.
    pub fn holds(
        &self,
        circumstances: Circumstances,
        principal: &Principal,
        permission: &str,
        resource: &Name,
    ) -> Decision {
        let (world, reach) = (self.replica.world.load(), Reach::Exact);
        let question = Question { principal, permission, resource, reach, now: self.clock.now(), circumstances };
        self.answer(&world, &question, |_| None)
    }

    fn answer(
        &self,
        world: &World,
        question: &Question<'_>,
        forbid: impl FnOnce(&Question<'_>) -> Option<Forbidden>,
    ) -> Decision {
        let is_stale = self.is_stale_for(question.permission);
        let verdict = if is_stale { Err(Denial::Stale) } else { table::decide(world, question) };
        let forbidden = if verdict.is_ok() { forbid(question) } else { None };
        let verdict = if forbidden.is_some() { Err(Denial::Guardrail) } else { verdict };
        let denial = verdict.as_ref().err().copied();
        let facts = denial.filter(|denial| *denial != Denial::Stale);
        let activation = denial.is_none().then(|| table::activation(world, question)).flatten();
        Decision {
            id: fresh_id(question.now),
            denial,
            activation,
            binding: verdict.ok().flatten(),
            policy: world.policy().0,
            facts: facts.map(|denial| {
                Box::new(Facts { forbidden: forbidden.clone(), ..table::facts(world, question, denial) })
            }),
            forbidden,
        }
    }

    /// The prefixes at or below `under` on which the principal holds the permission: what a list may show.
    pub fn visible(
        &self,
        circumstances: Circumstances,
        principal: &Principal,
        permission: &str,
        under: &Name,
    ) -> Vec<Name> {
        if self.is_stale_for(permission) {
            return vec![];
        }
        let (resource, reach) = (under, Reach::Somewhere);
        let question = Question { principal, permission, resource, reach, now: self.clock.now(), circumstances };
        table::visible(&self.replica.world.load(), &question)
    }

    /// What access rests on at this moment.
    pub fn world(&self) -> Arc<World> {
        self.replica.world.load_full()
    }

    /// How much a project may take up, as of now.
    pub fn quota(&self, project: &Name) -> ProjectQuota {
        self.replica.world.load().quota(project)
    }

    /// The keys that credentials are made and checked with.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Who everybody is, when authentication is switched off.
    pub fn everybody(&self) -> Option<Principal> {
        self.is_open.then(developer)
    }

    /// Whether authentication is switched off.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// How long an access token works that a key was exchanged for.
    pub fn token_life(&self) -> Duration {
        self.token_life
    }

    /// Position in the log up to which every access change is known here.
    pub fn position(&self) -> Position {
        *self.replica.position.borrow()
    }

    /// Waits until every access change up to `position` is known here.
    pub async fn reached(&self, position: Position, deadline: Instant) -> Result<(), Behind> {
        let mut at = self.replica.position.subscribe();
        let waiting = at.wait_for(|at| *at >= position);
        match timeout_at(deadline, waiting).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Behind { at: self.position(), wanted: position }),
        }
    }

    /// Waits until this process has read the log up to `position`, and so decides by every change of access before it, and works on
    /// states as they were then. At once where nothing is followed.
    pub async fn has_read(&self, position: Position, deadline: Instant) -> Result<(), Behind> {
        match self.follower {
            Some(_) => self.reached(position, deadline).await,
            None => Ok(()),
        }
    }

    /// How long ago the replica was last known to be complete. `None`: never yet.
    pub fn age(&self) -> Option<Duration> {
        self.replica.freshness.age()
    }

    /// Tells the name of a key that lets the first administrator in when it is used and that is not on record yet.
    pub fn bootstrap_uses(&self) -> watch::Receiver<Option<String>> {
        self.bootstrap_used.subscribe()
    }

    /// Tells which keys are used, each at most once an hour. Only the first to ask gets it.
    pub fn key_uses(&self) -> Option<mpsc::Receiver<KeyUse>> {
        self.key_uses.listen()
    }

    fn is_stale_for(&self, permission: &str) -> bool {
        self.replica.freshness.refuses(permission)
    }
}

pub(crate) fn starting_world(is_open: bool) -> World {
    let mut world = World::default();
    if is_open {
        crate::open::let_in(&mut world);
    }
    world
}

/// What a principal's name says it is.
pub(crate) fn kind_of(principal: &str) -> PrincipalKind {
    match principal.split('/').next() {
        Some("users") => PrincipalKind::User,
        Some("serviceAccounts") => PrincipalKind::ServiceAccount,
        Some("services") => PrincipalKind::Service,
        _ => PrincipalKind::Anonymous,
    }
}

/// An id that sorts by the time it was made at.
pub(crate) fn fresh_id(now: Time) -> String {
    let (seconds, nanos) = now.seconds_and_nanos();
    let timestamp = Timestamp::from_unix(NoContext, u64::try_from(seconds).unwrap_or(0), nanos.unsigned_abs());
    Uuid::new_v7(timestamp).to_string()
}
