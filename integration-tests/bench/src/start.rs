//! How long the suite takes until it serves, from an empty folder and from one it knows, and what it holds while idle;
//! beside a genuine MLflow server doing the same.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::mlflow::peer::Peer;

/// Starts that are timed; the median counts.
const STARTS: usize = 5;
/// How long a server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(3);

/// Start to ready, and idle memory.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python that has mlflow installed.
    #[arg(long, env = "MLFLOW_PYTHON")]
    pub python: PathBuf,
    /// The cairn program, built for release.
    #[arg(long, env = "CAIRN_BIN")]
    pub cairn: PathBuf,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut fresh = vec![];
    for n in 0..STARTS {
        fresh.push(time(&args.cairn, &folder.path().join(format!("data-{n}")))?);
    }
    let known = folder.path().join("data-0");
    let again = (0..STARTS).map(|_| time(&args.cairn, &known)).collect::<anyhow::Result<Vec<_>>>()?;

    let (ours, _) = start(&args.cairn, &known)?;
    std::thread::sleep(IDLE);
    let ours = resident_bytes(ours.0.id())?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let theirs = runtime.block_on(Peer::mlflow(&args.python, folder.path(), 1, 1, 1))?;
    let their_start = started.elapsed();
    std::thread::sleep(IDLE);
    let their_memory = resident_bytes(theirs.process_id())?;

    println!(
        "start to ready, empty folder   Cairn {:>8.0?}   MLflow {their_start:.1?} (its tables included)",
        median(fresh)
    );
    println!("start to ready, known folder   Cairn {:>8.0?}", median(again));
    println!("idle memory, all processes     Cairn {:>5} MiB   MLflow {} MiB", ours >> 20, their_memory >> 20);
    Ok(())
}

/// A running suite; stopped when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn time(cairn: &Path, data: &Path) -> anyhow::Result<Duration> {
    start(cairn, data).map(|(_, took)| took)
}

/// Starts the suite and waits for the line in which it says that it serves.
fn start(cairn: &Path, data: &Path) -> anyhow::Result<(Running, Duration)> {
    let started = Instant::now();
    let mut process = Running(
        Command::new(cairn)
            .args(["--json", "up", "--data"])
            .arg(data)
            .env("API_HOST", "127.0.0.1")
            .env("API_HTTP_PORT", "0")
            .env("API_GRPC_PORT", "0")
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cairn")?,
    );
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().context("no output")?).read_line(&mut line)?;
    serde_json::from_str::<Value>(&line).context("cairn did not say where it listens")?;
    Ok((process, started.elapsed()))
}

/// Memory that a process and its children hold, from `/proc`.
fn resident_bytes(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let mut bytes = kib << 10;
    for child in children.split_whitespace() {
        bytes += resident_bytes(child.parse()?)?;
    }
    Ok(bytes)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
