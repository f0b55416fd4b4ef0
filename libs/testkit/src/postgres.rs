//! A genuine PostgreSQL of a test's own: on a free port, in a folder of its own, stopped and removed with the test.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the programs are, beside the search path: Debian has them in a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Whoever the superuser logs in as, and with what over TCP. On the socket nobody is asked.
pub const USER: &str = "cairn";
pub const PASSWORD: &str = "correct-horse";
const START_MAX: Duration = Duration::from_secs(30);

/// Looks after the server while the test lives, by whose end its input ends, however that comes about. Removes the folder.
const GUARD: &str = r#"
folder=$1; shift
run() { "$@" >>"$folder/log" 2>&1 </dev/null & pid=$!; }
end() { kill "-$1" "$pid" 2>/dev/null; wait "$pid"; }
run "$@"
while read -r word; do
    case $word in start) run "$@";; stop) end INT;; crash) end QUIT;; esac
    echo done
done
end QUIT
rm -rf "$folder"
"#;

/// A server, and the folder that it lives in.
pub struct Postgres {
    folder: PathBuf,
    owner: Option<(u32, u32)>,
    programs: PathBuf,
    port: u16,
    guard: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Postgres {
    /// Makes the folder of a server, not started yet. `cache` keeps what is the same for all: an empty cluster.
    ///
    /// # Panics
    /// If PostgreSQL is not installed.
    pub fn prepared(cache: &Path) -> Self {
        let programs =
            programs().expect("no PostgreSQL here: `apt-get install postgresql`, or leave out the tests with it");
        let owner = owner();
        let template = template(cache, &programs, owner);
        let folder = own_folder(owner);
        run(Command::new("cp").arg("-r").arg(&template).arg(folder.join("data")));
        run(Command::new("chmod").args(["-R", "go="]).arg(folder.join("data")));
        if let Some((user, group)) = owner {
            run(Command::new("chown").arg("-R").arg(format!("{user}:{group}")).arg(folder.join("data")));
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = free.local_addr().expect("it has an address").port();
        Self { folder, owner, programs, port, guard: None }
    }

    /// A running server.
    pub fn started(cache: &Path) -> Self {
        let mut server = Self::prepared(cache);
        server.start(&[]);
        server
    }

    /// Puts a file beside the data that only the server may read, and gives its path.
    pub fn put(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, contents).expect("the folder is writable");
        run(Command::new("chmod").arg("600").arg(&path));
        if let Some((user, group)) = self.owner {
            chown(&path, Some(user), Some(group)).expect("root gives files away");
        }
        path
    }

    /// Starts it, with settings beside the usual ones.
    pub fn start(&mut self, settings: &[&str]) {
        let port = format!("port={}", self.port);
        let sockets = format!("unix_socket_directories={}", self.folder.display());
        let usual = [
            "listen_addresses=127.0.0.1",
            &port,
            &sockets,
            "fsync=on",
            // A folder that was just copied is not on the disk yet, file by file that takes seconds.
            "recovery_init_sync_method=syncfs",
            "shared_buffers=32MB",
            "max_connections=100",
        ];
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&self.folder).arg(self.programs.join("postgres"));
        guard.arg("-D").arg(self.folder.join("data"));
        for setting in usual.iter().chain(settings) {
            guard.args(["-c", setting]);
        }
        if let Some((user, group)) = self.owner {
            guard.uid(user).gid(group);
        }
        // A group of its own: what is sent to that of the test is not for the server.
        guard.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = guard.spawn().expect("sh is there");
        let (input, output) = (guard.stdin.take().expect("piped"), guard.stdout.take().expect("piped"));
        self.guard = Some((guard, input, BufReader::new(output)));
        self.await_ready();
    }

    /// Starts it again after it was stopped.
    pub fn start_again(&mut self) {
        self.tell("start");
        self.await_ready();
    }

    /// Stops it as `systemctl` would: connections are ended, what is under way is rolled back.
    pub fn stop(&mut self) {
        self.tell("stop");
    }

    /// Ends it at once, so that it must recover when it starts again.
    pub fn crash(&mut self) {
        self.tell("crash");
    }

    /// Where it is over TCP, for its superuser.
    pub fn url(&self) -> String {
        self.url_of(USER, PASSWORD, "postgres")
    }

    /// Where it is over TCP, for somebody.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it is on a socket of the machine.
    pub fn socket_url(&self) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{folder}:{}/postgres", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whoever the server runs as, if that is not whoever runs the test.
    pub fn owner(&self) -> Option<(u32, u32)> {
        self.owner
    }

    fn tell(&mut self, word: &str) {
        let (_, input, output) = self.guard.as_mut().expect("it was started");
        writeln!(input, "{word}").expect("the guard listens");
        let mut answer = String::new();
        output.read_line(&mut answer).expect("the guard answers");
        assert_eq!(answer.trim(), "done", "the guard of the server has ended");
    }

    /// The server notes down in a file when it takes connections.
    fn await_ready(&self) {
        let deadline = Instant::now() + START_MAX;
        let is_ready = || {
            let noted = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap_or_default();
            noted.lines().nth(7).is_some_and(|state| state.trim() == "ready")
        };
        while !is_ready() {
            let said = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {}", said());
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some((mut guard, input, _)) = self.guard.take() {
            drop(input);
            drop(guard.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The folder of PostgreSQL's programs, if it is installed.
pub fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut debian: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort();
    folders.extend(debian.into_iter().rev());
    folders.into_iter().find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
}

/// PostgreSQL does not run as root. Then it runs as the user that Debian made for it, or as nobody.
fn owner() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").expect("procfs is there").uid() == 0;
    is_root.then(|| {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let made = users.lines().find_map(|line| line.strip_prefix("postgres:"));
        let mut numbers = made.into_iter().flat_map(|line| line.split(':').skip(1)).filter_map(|id| id.parse().ok());
        (numbers.next().unwrap_or(65_534), numbers.next().unwrap_or(65_534))
    })
}

/// A short path, since that of a socket may not be long, in a place that anybody may enter.
fn own_folder(owner: Option<(u32, u32)>) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cairn-pg-{}", uuid::Uuid::new_v4().simple()));
    fs::create_dir(&folder).expect("the temporary folder is writable");
    run(Command::new("chmod").arg("700").arg(&folder));
    if let Some((user, group)) = owner {
        chown(&folder, Some(user), Some(group)).expect("root gives folders away");
    }
    folder
}

/// An empty cluster, made once: it takes longer than the rest.
fn template(cache: &Path, programs: &Path, owner: Option<(u32, u32)>) -> PathBuf {
    let version = Command::new(programs.join("postgres")).arg("--version").output().expect("postgres runs");
    let version: String = String::from_utf8_lossy(&version.stdout).chars().filter(char::is_ascii_digit).collect();
    let template = cache.join(format!("postgres-{version}"));
    if template.exists() {
        return template;
    }
    let folder = own_folder(owner);
    let password = folder.join("password");
    fs::write(&password, PASSWORD).expect("the folder is writable");
    let mut initdb = Command::new(programs.join("initdb"));
    initdb.args(["--no-sync", "--no-locale", "--encoding=UTF8", "--wal-segsize=1", "--username", USER]);
    initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"]).arg(&password);
    initdb.arg("-D").arg(folder.join("data")).current_dir("/");
    if let Some((user, group)) = owner {
        chown(&password, Some(user), Some(group)).expect("root gives files away");
        initdb.uid(user).gid(group);
    }
    run(&mut initdb);
    fs::create_dir_all(cache).expect("the cache is writable");
    let own = cache.join(format!("postgres-{version}-{}", uuid::Uuid::new_v4().simple()));
    run(Command::new("cp").arg("-r").arg(folder.join("data")).arg(&own));
    // Somebody else may have been quicker.
    if fs::rename(&own, &template).is_err() {
        drop(fs::remove_dir_all(&own));
    }
    drop(fs::remove_dir_all(&folder));
    template
}

fn run(command: &mut Command) {
    let done = command.output().expect("the program is there");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
