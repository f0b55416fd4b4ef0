//! A process among those that work on a queue.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{Lease, Queue, QueueFault, Table, Turn};

/// How often a member writes within the time after which it would be taken for dead.
const BEATS: u32 = 4;
/// Lost races for the table in one turn.
const RACES_MAX: u32 = 20;
/// Longest pause after a lost race.
const PAUSE_MS_MAX: u64 = 40;
/// How long a member that ends waits for the engine to take note.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// The partitions that this process works on.
pub type Held = BTreeSet<u16>;

/// Takes its share of the partitions of a queue, as long as it runs.
pub struct Member {
    queue: Arc<dyn Queue>,
    partitions: u16,
    name: String,
    ttl: Duration,
    held: watch::Sender<Held>,
    /// Until when everybody lets this one have what it holds.
    until: Arc<watch::Sender<Instant>>,
    /// When each other member was last seen to have written, and what.
    seen: BTreeMap<String, (u64, Instant)>,
    is_troubled: bool,
}

/// The work under way, and on which partition.
#[derive(Default)]
struct Working {
    tasks: JoinSet<()>,
    partitions: HashMap<Id, u16>,
}

impl Working {
    fn begin(&mut self, partition: u16, work: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(work).id();
        self.partitions.insert(id, partition);
    }

    /// The next partition on which work ends, if there is any.
    async fn next(&mut self) -> Option<u16> {
        let ended = self.tasks.join_next_with_id().await?;
        self.forget(ended)
    }

    fn ended(&mut self) -> Vec<u16> {
        let mut all = vec![];
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            all.extend(self.forget(ended));
        }
        all
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) -> Option<u16> {
        let id = match ended {
            Ok((id, ())) => id,
            Err(fault) => {
                error!(%fault, "work on a partition of the queue has ended in a fault, and is begun anew");
                fault.id()
            }
        };
        self.partitions.remove(&id)
    }
}

impl Member {
    /// One under a name that no other has. It is taken for dead when it has not written for `ttl`.
    pub fn new(queue: Arc<dyn Queue>, partitions: u16, name: String, ttl: Duration) -> Self {
        Self {
            queue,
            partitions,
            name,
            ttl,
            held: watch::Sender::default(),
            until: Arc::new(watch::Sender::new(Instant::now())),
            seen: BTreeMap::new(),
            is_troubled: false,
        }
    }

    /// What it works on, as that changes.
    pub fn held(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }

    /// Has `work` done on each partition while it is held, and lets others know, until `stop`. Work ends soon after its lease
    /// is to end, and may end before.
    pub async fn run<W, F>(mut self, stop: CancellationToken, work: W)
    where
        W: Fn(u16, Lease) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut leases: BTreeMap<u16, Lease> = BTreeMap::new();
        let mut working = Working::default();
        let beat = self.ttl / BEATS;
        while !stop.is_cancelled() {
            working.ended().iter().for_each(|partition| drop(leases.remove(partition)));
            let began = Instant::now();
            match timeout(self.ttl, self.turn(leases.keys().copied().collect())).await {
                Ok(Ok(turn)) => {
                    self.until.send_replace(began + self.ttl);
                    self.mends();
                    let mine = turn.table.held_by(&self.name);
                    for (partition, lease) in &leases {
                        if turn.ending.contains(partition) || !mine.contains(partition) {
                            lease.end();
                        }
                    }
                    for partition in mine.iter().filter(|at| !turn.ending.contains(at)) {
                        if !leases.contains_key(partition) {
                            let lease = Lease::new(Arc::clone(&self.until));
                            leases.insert(*partition, lease.clone());
                            working.begin(*partition, work(*partition, lease));
                        }
                    }
                    self.held.send_if_modified(|held| {
                        let is_new = *held != mine;
                        *held = mine;
                        is_new
                    });
                }
                Ok(Err(fault)) => self.stumbles(&fault),
                Err(_) => self.stumbles(&QueueFault::Away(format!("no answer within {} ms", self.ttl.as_millis()))),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                // An end of work lets others have the partition at once.
                Some(partition) = working.next() => drop(leases.remove(&partition)),
                () = sleep(beat) => {}
            }
        }
        leases.values().for_each(Lease::end);
        let _ = timeout(self.ttl, async { while working.next().await.is_some() {} }).await;
        let _ = timeout(FAREWELL_MAX, self.leave()).await;
    }

    /// One turn at the table, whoever else writes it at the same moment.
    async fn turn(&mut self, busy: Held) -> Result<Turn, QueueFault> {
        for _ in 0..RACES_MAX {
            let (bytes, version) = self.queue.table().await?;
            let known = match bytes {
                Some(bytes) => {
                    Table::decode(&bytes, self.partitions).map_err(|fault| QueueFault::Unsuitable(fault.to_string()))?
                }
                None => Table::new(self.partitions),
            };
            let dead = self.dead(&known);
            let turn = known.turn(&self.name, &dead, &busy);
            if self.queue.swap(version, turn.table.encode().into()).await? {
                if !dead.is_empty() {
                    info!(
                        queue = self.queue.place(),
                        ?dead,
                        "processes are gone: others take over what they worked on"
                    );
                }
                return Ok(turn);
            }
            sleep(Duration::from_millis(rand::random_range(1..=PAUSE_MS_MAX))).await;
        }
        Err(QueueFault::Away(format!("gave up after {RACES_MAX} lost races for the table of members")))
    }

    /// Those who were seen to write, and have not written for too long since.
    fn dead(&mut self, table: &Table) -> BTreeSet<String> {
        let now = Instant::now();
        self.seen.retain(|member, _| table.members.contains_key(member));
        let mut dead = BTreeSet::new();
        for (member, beats) in table.members.iter().filter(|(member, _)| **member != self.name) {
            let seen = self.seen.entry(member.clone()).or_insert((*beats, now));
            if seen.0 != *beats {
                *seen = (*beats, now);
            } else if now.duration_since(seen.1) > self.ttl {
                dead.insert(member.clone());
            }
        }
        dead
    }

    fn stumbles(&mut self, fault: &QueueFault) {
        // Nobody was seen while nobody could look: those that are there get their time again.
        self.seen.clear();
        if !self.is_troubled {
            warn!(queue = self.queue.place(), %fault, "the queue cannot be worked on, and it is tried again");
        }
        self.is_troubled = true;
    }

    fn mends(&mut self) {
        if self.is_troubled {
            info!(queue = self.queue.place(), "the queue is worked on again");
        }
        self.is_troubled = false;
    }

    async fn leave(&self) -> Result<(), QueueFault> {
        for _ in 0..RACES_MAX {
            let (Some(bytes), version) = self.queue.table().await? else { return Ok(()) };
            let Ok(table) = Table::decode(&bytes, self.partitions) else { return Ok(()) };
            if self.queue.swap(version, table.without(&self.name).encode().into()).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}
