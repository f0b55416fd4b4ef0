//! A server of a test's own, which ends with the test however that comes about.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Looks after the server while the test lives, by whose end its input ends. Removes the folder.
const GUARD: &str = r#"
folder=$1; shift
run() { "$@" >>"$folder/out" 2>&1 </dev/null & pid=$!; }
run "$@"
while read -r word; do
    case $word in
        start) run "$@";;
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

/// A process and the folder that it lives in.
pub(crate) struct Guarded {
    folder: PathBuf,
    guard: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

impl Guarded {
    /// Starts a program in a new folder, which `prepare` fills and gives the arguments for.
    pub fn start(program: &Path, name: &str, prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let folder = std::env::temp_dir().join(format!("cairn-{name}-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(&folder).arg(program).args(prepare(&folder));
        // A group of its own: what is sent to that of the test is not for the server.
        guard.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = guard.spawn().expect("sh is there");
        let (input, output) = (guard.stdin.take().expect("piped"), guard.stdout.take().expect("piped"));
        Self { folder, guard: Some((guard, input, BufReader::new(output))) }
    }

    /// `KILL`, `STOP`, `CONT`, or `start` after it was killed. Returns when that is done.
    pub fn tell(&mut self, word: &str) {
        let (_, input, output) = self.guard.as_mut().expect("it was started");
        writeln!(input, "{word}").expect("the guard listens");
        output.read_line(&mut String::new()).expect("the guard says when it is done");
    }

    /// Where it lives.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("out")).unwrap_or_default()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some((mut guard, input, _output)) = self.guard.take() {
            drop(input);
            drop(guard.wait());
        }
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    free.local_addr().expect("it has an address").port()
}

/// Where a program is, if it is installed.
pub(crate) fn installed(name: &str, further: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/bin".into()]);
    further.iter().cloned().chain(folders.map(|folder| folder.join(name))).find(|program| program.exists())
}
