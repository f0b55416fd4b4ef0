//! A genuine ClickHouse of a test's own: on free ports, in a folder of its own, ended and removed with the test.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::guarded::{Guarded, free_port, installed};

/// Whom to log in as.
pub const USER: &str = "cairn";
pub const PASSWORD: &str = "correct-horse";
const START_MAX: Duration = Duration::from_secs(60);

/// A server, and where it is.
pub struct ClickHouse {
    server: Guarded,
    port: u16,
}

/// Where the server's program is, if it is installed.
pub fn program() -> Option<PathBuf> {
    installed("clickhouse-server", &[])
}

impl ClickHouse {
    /// A running server.
    ///
    /// # Panics
    /// If ClickHouse is not installed.
    pub fn started() -> Self {
        Self::start([free_port(), free_port()], "")
    }

    /// Running servers that know each other as a cluster `all`, one replica a shard.
    pub fn cluster(count: usize) -> Vec<Self> {
        let ports: Vec<_> = (0..count).map(|_| [free_port(), free_port()]).collect();
        let shard = |[_, native]: &[u16; 2]| {
            format!(
                "<shard><replica><host>127.0.0.1</host><port>{native}</port><user>{USER}</user>
                 <password>{PASSWORD}</password></replica></shard>"
            )
        };
        let shards: String = ports.iter().map(shard).collect();
        let known = format!("<remote_servers><all>{shards}</all></remote_servers>");
        ports.into_iter().map(|ports| Self::start(ports, &known)).collect()
    }

    fn start([port, native]: [u16; 2], more: &str) -> Self {
        let program = program().expect("no ClickHouse here: `make clickhouse`, or leave out the tests with it");
        let server = Guarded::start(&program, "ch", |folder| {
            for part in ["data", "tmp", "schemas"] {
                fs::create_dir_all(folder.join(part)).expect("the temporary folder is writable");
            }
            let shown = folder.display();
            let config = format!(
                "<yandex><logger><level>warning</level><log>{shown}/log</log><errorlog>{shown}/errors</errorlog></logger>
                 <http_port>{port}</http_port><tcp_port>{native}</tcp_port><listen_host>127.0.0.1</listen_host>
                 <path>{shown}/data/</path><tmp_path>{shown}/tmp/</tmp_path>
                 <format_schema_path>{shown}/schemas/</format_schema_path><users_config>{shown}/users.xml</users_config>
                 <default_profile>default</default_profile><default_database>default</default_database>
                 <mark_cache_size>67108864</mark_cache_size>{more}</yandex>"
            );
            let users = format!(
                "<yandex><profiles><default></default></profiles><quotas><default></default></quotas><users><{USER}>
                 <password>{PASSWORD}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
                 <quota>default</quota></{USER}></users></yandex>"
            );
            fs::write(folder.join("config.xml"), config).expect("the folder is writable");
            fs::write(folder.join("users.xml"), users).expect("the folder is writable");
            vec![format!("--config-file={shown}/config.xml")]
        });
        let server = Self { server, port };
        server.await_ready();
        server
    }

    /// The port on which it speaks HTTP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is, as settings have it.
    pub fn url(&self, database: &str) -> String {
        format!("clickhouse://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
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

    /// Lets it stand still: it takes connections and answers nobody.
    pub fn pause(&mut self) {
        self.server.tell("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.server.tell("CONT");
    }

    /// The lines that a statement answers.
    ///
    /// # Panics
    /// If it is refused.
    pub fn query(&self, database: &str, sql: &str) -> Vec<String> {
        let answer = self.ask(&format!("/?database={database}"), sql).expect("the server answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it is HTTP");
        assert!(head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"), "{sql}: {body}");
        body.lines().map(str::to_owned).collect()
    }

    /// HTTP/1.0, so that the answer ends with the connection and is in one piece.
    fn ask(&self, path: &str, body: &str) -> std::io::Result<String> {
        let mut line = TcpStream::connect(("127.0.0.1", self.port))?;
        let length = body.len();
        write!(
            line,
            "POST {path} HTTP/1.0\r\nX-ClickHouse-User: {USER}\r\nX-ClickHouse-Key: {PASSWORD}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        line.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + START_MAX;
        while !self.ask("/", "SELECT 1").is_ok_and(|answer| answer.contains("200 OK")) {
            let said = || fs::read_to_string(self.server.folder().join("errors")).unwrap_or_default();
            assert!(Instant::now() < deadline, "ClickHouse does not start: {}", said());
            sleep(Duration::from_millis(20));
        }
    }
}
