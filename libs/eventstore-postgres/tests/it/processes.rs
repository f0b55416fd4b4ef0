//! Several genuine processes over one log, one of which is killed in the middle.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cairn_eventstore::EventStore;
use cairn_eventstore::conformance::event;
use cairn_eventstore_postgres::{Config, Postgres};
use cairn_kernel::SystemClock;

use crate::place::{Place, append, assert_whole, log, reached};

/// Tells the appending process below what to do: `<first number>@<url>`.
const TOLD: &str = "CAIRN_TEST_APPENDER";
/// What one line of it begins with.
const SAID: &str = "appended ";

/// What the other processes run: it appends without end, eight at a time, and says what was acknowledged. Without being told
/// to, it does nothing.
#[test]
fn appends_when_it_is_told_to() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let (first, url) = told.split_once('@').unwrap();
    let first: u64 = first.parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store = Arc::new(Postgres::open(&Config::at(url), Arc::new(SystemClock)).await.unwrap());
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let store = Arc::clone(&store);
                tokio::spawn(async move {
                    for n in (first + client..).step_by(8) {
                        let position = append(&*store, &format!("s{first}-{client}"), [n]).await.unwrap();
                        // In one piece, or another client's line would stand in it.
                        let line = format!("{SAID}{n} {position}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
}

struct Appender {
    process: Child,
    lines: mpsc::Receiver<(u64, u64)>,
}

impl Appender {
    fn start(first: u64, url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::appends_when_it_is_told_to", "--nocapture"])
            .env(TOLD, format!("{first}@{url}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (teller, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // Whatever the test harness writes stands on the same line as the first of ours.
                let said = line.split_once(SAID).and_then(|(_, said)| said.split_once(' '));
                if let Some((n, position)) = said {
                    teller.send((n.parse().unwrap(), position.parse().unwrap())).unwrap();
                }
            }
        });
        Self { process, lines }
    }

    /// Waits for so many more acknowledgements.
    fn acknowledged(&self, count: usize) -> Vec<(u64, u64)> {
        let next = |_| self.lines.recv_timeout(Duration::from_secs(20)).expect("it goes on");
        (0..count).map(next).collect()
    }

    /// Kills it, and gives what it had still said.
    fn kill(&mut self) -> Vec<(u64, u64)> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.lines.iter().collect()
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_are_killed_lose_nothing_they_acknowledged_and_hold_nobody_up() {
    let place = Place::new();
    let url = place.server.url();
    let mut acknowledged = vec![];
    let mut survivor = Appender::start(1_000_000, &url);
    for round in 2..5 {
        let mut victim = Appender::start(round * 1_000_000, &url);
        acknowledged.extend(victim.acknowledged(200));
        acknowledged.extend(victim.kill());
        let killed = Instant::now();
        // What it had said before the kill may still be on its way: these are new.
        acknowledged.extend(survivor.lines.try_iter());
        acknowledged.extend(survivor.acknowledged(100));
        assert!(killed.elapsed() < Duration::from_secs(5), "the others waited {:?}", killed.elapsed());
    }
    acknowledged.extend(survivor.kill());
    let store = place.opened().await;
    let last = acknowledged.iter().map(|(_, position)| *position).max().unwrap();
    reached(&*store, last).await;
    let events = log(&*store).await;
    assert_whole(&events);
    assert!(acknowledged.len() > 900, "only {} were acknowledged", acknowledged.len());
    for (n, position) in acknowledged {
        let found = &events[position as usize - 1];
        assert_eq!(found.id, event(n).id, "event {n} is not at {position}");
    }
    assert_eq!(store.trouble(), None);
}
