use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cairn_eventstore::conformance::{Harness, event};
use cairn_eventstore::{Direction, EventStore, Filter, Recorded, Write};
use cairn_eventstore_kurrentdb::{Config, Kurrent, OpenFault};
use cairn_eventstore_sqlite::Config as CopyConfig;
use cairn_kernel::{Expected, Position, SimClock, StreamName};
use cairn_kurrent::Config as DoorConfig;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinSet;

use crate::house::House;

/// An event store of its own, and a process that keeps its log there.
pub struct Place {
    house: OnceCell<House>,
    folder: TempDir,
    clock: SimClock,
}

impl Place {
    pub fn new() -> Self {
        Self { house: OnceCell::new(), folder: tempfile::tempdir().unwrap(), clock: SimClock::default() }
    }

    pub async fn house(&self) -> &House {
        self.house.get_or_init(|| House::of(DoorConfig::default())).await
    }

    /// Small caches, so that nothing passes only because it never left memory.
    pub fn copy() -> CopyConfig {
        CopyConfig { cached_heads_max: 8, ring_events_max: 64, ..CopyConfig::default() }
    }

    /// Opens the log as a process that has a folder of this name.
    pub async fn open_as(&self, process: &str, address: SocketAddr, copy: &CopyConfig) -> Result<Kurrent, OpenFault> {
        let url = format!("kurrentdb://admin:unused@{address}?tls=false");
        let config = Config {
            stream: "app.cairn-log".into(),
            request_timeout_ms: 1_000,
            pause_ms: 50,
            ..Config::at(url, self.path(process))
        };
        Kurrent::open(&config, copy, Arc::new(self.clock.clone())).await
    }

    pub async fn opened_as(&self, process: &str) -> Arc<Kurrent> {
        let address = self.house().await.address;
        Arc::new(self.open_as(process, address, &Self::copy()).await.unwrap())
    }

    pub fn path(&self, process: &str) -> std::path::PathBuf {
        self.folder.path().join(process).join("copy.db")
    }

    pub fn forget(&self, process: &str) {
        std::fs::remove_dir_all(Path::new(&self.path(process)).parent().unwrap()).unwrap();
    }
}

#[async_trait]
impl Harness for Place {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.opened_as("one").await
    }

    async fn open_narrow(&self) -> Arc<dyn EventStore> {
        let narrow = CopyConfig { waiting_appends_max: 3, ..Self::copy() };
        let address = self.house().await.address;
        Arc::new(self.open_as("one", address, &narrow).await.unwrap())
    }

    fn clock(&self) -> &SimClock {
        &self.clock
    }
}

/// A way to the event store that can be cut.
pub struct Way {
    pub address: SocketAddr,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct State {
    is_cut: AtomicBool,
    /// Whether what is answered is lost, and the connection with it.
    loses_answers: AtomicBool,
    changed: Notify,
}

impl Way {
    pub async fn to(house: &House) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, there) = (listener.local_addr().unwrap(), house.address);
        let state = Arc::new(State::default());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, there, Arc::clone(&state)));
        Self { address, state, _serving: serving }
    }

    pub fn cut(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.state.changed.notify_waiters();
    }

    pub fn mend(&self) {
        self.state.is_cut.store(false, Ordering::SeqCst);
        self.state.loses_answers.store(false, Ordering::SeqCst);
    }

    pub fn lose_answers(&self) {
        self.state.loses_answers.store(true, Ordering::SeqCst);
    }
}

async fn serve(listener: TcpListener, there: SocketAddr, state: Arc<State>) {
    let mut ways = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        ways.spawn(async move {
            if state.is_cut.load(Ordering::SeqCst) {
                return;
            }
            let mut far = TcpStream::connect(there).await.unwrap();
            let (mut from_near, mut to_near) = near.split();
            let (mut from_far, mut to_far) = far.split();
            tokio::select! {
                _ = copy(&mut from_near, &mut to_far) => {}
                () = answers(&mut from_far, &mut to_near, &state) => {}
                () = state.changed.notified() => {}
            }
        });
    }
}

/// Passes on what is answered. Once something was lost, nothing is said any more, and in the end there is no connection.
async fn answers(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), state: &State) {
    let (mut part, mut is_lost) = (vec![0; 16 << 10], false);
    while let Ok(count @ 1..) = from.read(&mut part).await {
        is_lost |= state.loses_answers.load(Ordering::SeqCst);
        if !is_lost && to.write_all(&part[..count]).await.is_err() {
            return;
        }
    }
}

pub fn write(id: &str, expected: Expected, events: impl IntoIterator<Item = u64>) -> Write {
    Write::new(StreamName::of("test.count", id), expected, events.into_iter().map(event).collect())
}

/// Waits until a store has seen a position.
pub async fn reached(store: &dyn EventStore, position: u64) {
    let mut head = store.head();
    let reached = head.wait_for(|head| head.0 >= position);
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("the position is seen in time").unwrap();
}

/// Every event of the log that a store knows.
pub async fn log(store: &dyn EventStore) -> Vec<Arc<Recorded>> {
    let (mut events, mut from) = (vec![], Position::START);
    loop {
        let page = store.read_all(from, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
        from = page.considered;
        events.extend(page.events);
        if page.is_end {
            return events;
        }
    }
}
