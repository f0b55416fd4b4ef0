//! A genuine ClickHouse of a test's own: on free ports, in a folder of its own, ended and removed with the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Whom to log in as.
pub const USER: &str = "cairn";
pub const PASSWORD: &str = "correct-horse";
const START_MAX: Duration = Duration::from_secs(60);

/// Looks after the server while the test lives, by whose end its input ends, however that comes about. Removes the folder.
const GUARD: &str = r#"
folder=$1; program=$2
run() { "$program" --config-file="$folder/config.xml" >>"$folder/out" 2>&1 </dev/null & pid=$!; }
run
while read -r word; do
    case $word in
        start) run;;
        KILL) kill -KILL "$pid"; wait "$pid";;
        # A signal is obeyed a moment after it was sent.
        STOP) kill -STOP "$pid"; until grep -q '^State:.T' "/proc/$pid/status"; do sleep 0.01; done;;
        *) kill "-$word" "$pid";;
    esac
    echo done
done
kill -KILL "$pid" 2>/dev/null; wait "$pid"
rm -rf "$folder"
"#;

/// A server, and the folder that it lives in.
pub struct ClickHouse {
    folder: PathBuf,
    port: u16,
    guard: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

/// Where the server's program is, if it is installed.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    folders.map(|folder| folder.join("clickhouse-server")).find(|program| program.exists())
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
        let folder = std::env::temp_dir().join(format!("cairn-ch-{}", uuid::Uuid::new_v4().simple()));
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
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&folder).arg(program);
        // A group of its own: what is sent to that of the test is not for the server.
        guard.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = guard.spawn().expect("sh is there");
        let (input, output) = (guard.stdin.take().expect("piped"), guard.stdout.take().expect("piped"));
        let server = Self { folder, port, guard: Some((guard, input, BufReader::new(output))) };
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
        self.tell("KILL");
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again after it was killed.
    pub fn start_again(&mut self) {
        self.tell("start");
        self.await_ready();
    }

    /// Lets it stand still: it takes connections and answers nobody.
    pub fn pause(&mut self) {
        self.tell("STOP");
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        self.tell("CONT");
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

    fn tell(&mut self, word: &str) {
        let (_, input, output) = self.guard.as_mut().expect("it was started");
        writeln!(input, "{word}").expect("the guard listens");
        output.read_line(&mut String::new()).expect("the guard says when it is done");
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + START_MAX;
        while !self.ask("/", "SELECT 1").is_ok_and(|answer| answer.contains("200 OK")) {
            let said = || fs::read_to_string(self.folder.join("errors")).unwrap_or_default();
            assert!(Instant::now() < deadline, "ClickHouse does not start: {}", said());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        if let Some((mut guard, input, _output)) = self.guard.take() {
            drop(input);
            drop(guard.wait());
        }
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    free.local_addr().expect("it has an address").port()
}
