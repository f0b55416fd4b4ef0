//! A genuine Redis of a test's own: on a free port, in a folder of its own, ended and removed with the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::guarded::{Guarded, free_port, installed};

/// What is asked of whoever comes in.
pub const PASSWORD: &str = "correct-horse";
const START_MAX: Duration = Duration::from_secs(20);
/// Keeps everything before it answers.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A server, and where it is.
pub struct Redis {
    server: Guarded,
    port: u16,
}

/// Where the server's program is, if it is installed.
pub fn program() -> Option<PathBuf> {
    installed("redis-server", &[])
}

impl Redis {
    /// A running server that writes before it answers.
    ///
    /// # Panics
    /// If Redis is not installed.
    pub fn started() -> Self {
        Self::with(&DURABLE)
    }

    /// One with these options.
    pub fn with(options: &[&str]) -> Self {
        let program = program().expect("no Redis here: `make redis`, or leave out the tests with it");
        let port = free_port();
        let server = Guarded::start(&program, "redis", |folder| {
            let (port, folder) = (port.to_string(), folder.display().to_string());
            let own =
                ["--port", &port, "--bind", "127.0.0.1", "--dir", &folder, "--save", "", "--requirepass", PASSWORD];
            own.iter().chain(options).map(|word| (*word).to_owned()).collect()
        });
        let redis = Self { server, port };
        redis.await_ready();
        redis
    }

    /// Where it is, as settings have it.
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/0", self.port)
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
        let answers = || {
            let mut line = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            write!(line, "AUTH {PASSWORD}\r\nPING\r\n").ok()?;
            let mut answer = [0; 12];
            line.read_exact(&mut answer).ok()?;
            Some(&answer == b"+OK\r\n+PONG\r\n")
        };
        while answers() != Some(true) {
            assert!(Instant::now() < deadline, "Redis does not start: {}", self.server.said());
            sleep(Duration::from_millis(10));
        }
    }
}
