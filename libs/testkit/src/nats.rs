//! A genuine NATS of a test's own: on free ports, in a folder of its own, ended and removed with the test.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::guarded::{Guarded, free_port, installed};

/// Whom to log in as.
pub const USER: &str = "cairn";
pub const PASSWORD: &str = "correct-horse";
const START_MAX: Duration = Duration::from_secs(20);

/// A server, and where it is.
pub struct Nats {
    server: Guarded,
    port: u16,
    monitoring: u16,
}

/// Where the server's program is, if `make nats` has fetched it.
pub fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let fetched: Vec<_> = cache.map(|cache| cache.join("cairn/nats/usr/sbin/nats-server")).into_iter().collect();
    installed("nats-server", &fetched)
}

impl Nats {
    /// A running server that writes before it acknowledges.
    ///
    /// # Panics
    /// If NATS is not there.
    pub fn started() -> Self {
        Self::with("sync_interval: always")
    }

    /// One with these words in its section `jetstream`.
    pub fn with(words: &str) -> Self {
        let program = program().expect("no NATS here: `make nats`, or leave out the tests with it");
        let (port, monitoring) = (free_port(), free_port());
        let server = Guarded::start(&program, "nats", |folder| {
            let config = format!(
                "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitoring}\"\nmax_payload: 2MB\n\
                 authorization {{ user: {USER}, password: \"{PASSWORD}\" }}\n\
                 jetstream {{ store_dir: \"{}\", {words} }}\n",
                folder.display()
            );
            let file = folder.join("nats.conf");
            fs::write(&file, config).expect("the folder is writable");
            vec!["-c".to_owned(), file.display().to_string()]
        });
        let nats = Self { server, port, monitoring };
        nats.await_ready();
        nats
    }

    /// Where it is, as settings have it.
    pub fn url(&self) -> String {
        format!("nats://{USER}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Where its monitoring is.
    pub fn monitoring(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitoring)
    }

    /// Ends it at once, with whatever is under way.
    pub fn kill(&mut self) {
        self.server.tell("KILL");
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again after it was killed.
    pub fn start_again(&mut self) {
        self.server.tell("start");
        self.await_ready();
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + START_MAX;
        let greets = || {
            let mut line = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            let mut word = [0; 4];
            line.read_exact(&mut word).ok()?;
            Some(&word == b"INFO")
        };
        while greets() != Some(true) {
            assert!(Instant::now() < deadline, "NATS does not start: {}", self.server.said());
            sleep(Duration::from_millis(10));
        }
    }
}
