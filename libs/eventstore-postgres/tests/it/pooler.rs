//! Behind pgbouncer in transaction mode, which gives a connection to somebody else after each transaction.

use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cairn_eventstore::EventStore;
use cairn_eventstore::conformance::Harness;
use cairn_eventstore_postgres::{Config, OpenFault, Postgres};
use cairn_kernel::SimClock;
use cairn_testkit::postgres::PASSWORD;
use futures::future::join_all;

use crate::place::{Place, append, assert_whole, log, reached};

/// A pooler with two connections to a server for however many clients, so that every transaction may get another one.
struct Pooled {
    place: Place,
    pooler: Child,
    port: u16,
}

fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    folders.push("/usr/sbin".into());
    folders.into_iter().map(|folder| folder.join("pgbouncer")).find(|program| program.exists())
}

impl Pooled {
    /// `None`, and a word about it, where it is not installed.
    fn started() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("no pgbouncer here: not run. `apt-get install pgbouncer`");
            return None;
        };
        let place = Place::new();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let users = place.server.put("users.txt", &format!("\"cairn\" \"{PASSWORD}\"\n"));
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\nserver_login_retry = 1\n",
            place.server.port(),
            users.display()
        );
        let settings = place.server.put("pgbouncer.ini", &settings);
        let mut pooler = Command::new(program);
        pooler.arg("-q").arg(settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = place.server.owner() {
            pooler.uid(user).gid(group);
        }
        let mut pooler = pooler.current_dir("/").spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline && pooler.try_wait().unwrap().is_none(), "pgbouncer does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { place, pooler, port })
    }

    fn config(&self) -> Config {
        let url = format!("postgres://cairn:{PASSWORD}@127.0.0.1:{}/postgres?pgbouncer=true", self.port);
        Config { url: url.into(), ..self.place.config() }
    }

    async fn opened(&self) -> Arc<Postgres> {
        self.place.try_open(&self.config()).await.unwrap()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        drop(self.pooler.kill());
        drop(self.pooler.wait());
    }
}

#[async_trait]
impl Harness for Pooled {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.opened().await
    }

    async fn open_narrow(&self) -> Arc<dyn EventStore> {
        self.place.try_open(&Config { waiting_appends_max: 3, ..self.config() }).await.unwrap()
    }

    fn clock(&self) -> &SimClock {
        self.place.clock()
    }
}

/// The cases of the suite that have most to do with several connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_may_stand_between_s1_65() {
    use cairn_eventstore::conformance::{append, pressure, read, reopen, repeat, retention, subscribe};
    macro_rules! passes {
        ($($case:path),+ $(,)?) => {
            $(
                let Some(pooled) = Pooled::started() else { return };
                $case(&pooled).await;
            )+
        };
    }
    passes!(
        append::appends_of_one_caller_keep_their_order,
        append::an_append_to_several_streams_is_all_or_nothing,
        pressure::an_append_refused_for_want_of_room_leaves_nothing_and_succeeds_later,
        read::the_log_is_filtered_by_category_and_type,
        read::the_newest_snapshot_is_kept,
        reopen::retention_survives_reopening_and_snapshots_may,
        repeat::a_repeat_that_races_its_original_is_stored_once,
        retention::only_the_newest_events_of_a_counted_stream_are_read,
        subscribe::slow_writers_and_their_subscribers_skip_no_position,
        subscribe::whoever_sees_a_position_can_read_all_before_it,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_behind_one_pooler_share_one_log_and_listen_past_it() {
    let Some(pooled) = Pooled::started() else { return };
    let direct = Config { direct_url: pooled.place.server.url().into(), ..pooled.config() };
    let stores = [pooled.opened().await, pooled.opened().await, pooled.place.try_open(&direct).await.unwrap()];
    let writers = (0..9u64).map(|writer| {
        let store = Arc::clone(&stores[writer as usize % 3]);
        tokio::spawn(async move {
            for n in 0..50 {
                append(&*store, &format!("w{writer}"), [writer * 1_000 + n]).await.unwrap();
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    for store in &stores {
        reached(&**store, 450).await;
        assert_whole(&log(&**store).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_nobody_spoke_of_is_noticed_and_worked_with() {
    let Some(pooled) = Pooled::started() else { return };
    let url = format!("postgres://cairn:{PASSWORD}@127.0.0.1:{}/postgres", pooled.port);
    let store = pooled.place.try_open(&Config { url: url.into(), ..pooled.place.config() }).await.unwrap();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for _ in 0..100 {
                    log(&*store).await;
                }
            })
        })
        .collect();
    for n in 0..200 {
        assert_eq!(append(&*store, &format!("s{}", n % 9), [n]).await.unwrap().0, n + 1);
    }
    for reader in readers {
        reader.await.unwrap();
    }
    assert_whole(&log(&*store).await);
}

#[tokio::test]
async fn a_wrong_password_is_told_from_behind_a_pooler_too() {
    let Some(pooled) = Pooled::started() else { return };
    let url = format!("postgres://cairn:hunter2@127.0.0.1:{}/postgres?pgbouncer=true", pooled.port);
    let fault = pooled.place.try_open(&Config::at(url)).await.err().unwrap();
    assert!(matches!(fault, OpenFault::Refused { .. }), "{fault:?}");
}
