//! A server under load: started on a free port and a folder of its own, stopped when dropped.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::load::{Call, Connection, Load, Target};
use super::{Shape, fill};

/// Longest time a server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(120);
/// Runs that the logging workloads write to.
const OPEN_RUNS: usize = 64;
/// MLflow's store.
pub const STORE: &str = "mlflow.db";

pub struct Peer {
    name: &'static str,
    /// Whether a request that it refuses is no fault of the benchmark's.
    may_refuse: bool,
    process: Child,
    target: Target,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The MLflow server has workers and helpers of its own, which outlive it: the whole group ends.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

impl Peer {
    /// A genuine MLflow server over a SQLite store that was filled directly, since its API would take minutes.
    pub async fn mlflow(python: &Path, folder: &Path, workers: u32, runs: u64, points: u64) -> anyhow::Result<Self> {
        fill::mlflow(python, &folder.join(STORE), runs, points)?;
        Self::mlflow_over(python, folder, workers).await
    }

    /// A genuine MLflow server over the store that is there.
    pub async fn mlflow_over(python: &Path, folder: &Path, workers: u32) -> anyhow::Result<Self> {
        let store = folder.join(STORE);
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let process = Command::new(python)
            .args(["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", &port.to_string()])
            .args(["--workers", &workers.to_string(), "--disable-security-middleware"])
            .args(["--uvicorn-opts", "--log-level warning"])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", store.display()))
            .arg("--artifacts-destination")
            .arg(folder.join("mlflow-artifacts"))
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the MLflow server")?;
        let target = Target { address: SocketAddr::from(([127, 0, 0, 1], port)), credential: None };
        let mut peer = Self { name: "MLflow", may_refuse: true, process, target };
        peer.wait().await?;
        Ok(peer)
    }

    /// Cairn on its embedded defaults, filled over its API.
    pub async fn cairn(program: &Path, folder: &Path, runs: u64, points: u64) -> anyhow::Result<Self> {
        let peer = Self::cairn_empty(program, folder)?;
        fill::cairn(&peer.target, runs, points).await?;
        Ok(peer)
    }

    /// Cairn on its embedded defaults, with nothing in it.
    pub fn cairn_empty(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::cairn_told(program, folder, &[])
    }

    /// The same with something in its environment.
    pub fn cairn_told(program: &Path, folder: &Path, told: &[(&str, &str)]) -> anyhow::Result<Self> {
        let key = "bench-key-0123456789abcdef";
        let mut process = Command::new(program)
            .args(["--json", "up", "--data"])
            .arg(folder.join("cairn"))
            .env("API_HOST", "127.0.0.1")
            .env("API_HTTP_PORT", "0")
            .env("API_GRPC_PORT", "0")
            .env("CAIRN_API_KEY", key)
            .env("RUST_LOG", "warn")
            .envs(told.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .context("cannot start cairn")?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let started: Value = serde_json::from_str(&line).context("cairn did not say where it listens")?;
        let address = started["http"].as_str().unwrap_or_default().trim_start_matches("http://").parse()?;
        let target = Target { address, credential: Some(key.to_owned()) };
        Ok(Self { name: "Cairn", may_refuse: false, process, target })
    }

    pub fn may_refuse(&self) -> bool {
        self.may_refuse
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The process that was started.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn target(&self) -> Target {
        self.target.clone()
    }

    /// Finds the filled data and opens the runs to write to.
    pub async fn shape(&self) -> anyhow::Result<Shape> {
        let mut connection = Connection::open(&self.target).await?;
        let path = format!("/api/2.0/mlflow/experiments/get-by-name?experiment_name={}", fill::EXPERIMENT);
        let found = connection.ask(Call { verb: "GET", path, body: None }).await?;
        let experiment = found["experiment"]["experiment_id"].as_str().context("the experiment has no id")?.to_owned();
        let body = json!({"experiment_ids": [experiment], "filter": "tags.long = 'yes'", "max_results": 1});
        let call = Call { verb: "POST", path: "/api/2.0/mlflow/runs/search".into(), body: Some(body.to_string()) };
        let found = connection.ask(call).await?;
        let long = found["runs"][0]["info"]["run_id"].as_str().context("the long run is missing")?.to_owned();
        let mut open = vec![];
        for n in 0..OPEN_RUNS {
            let body = json!({"experiment_id": experiment, "run_name": format!("open-{n}"), "start_time": 1_600_000_000_000_u64});
            let call = Call { verb: "POST", path: "/api/2.0/mlflow/runs/create".into(), body: Some(body.to_string()) };
            let made = connection.ask(call).await?;
            open.push(made["run"]["info"]["run_id"].as_str().context("a run has no id")?.to_owned());
        }
        Ok(Shape { experiment, open, long })
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let health = Call { verb: "GET", path: "/health".into(), body: None };
            if let Ok(mut connection) = Connection::open(&self.target).await
                && connection.send(health).await.is_ok()
            {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended with {status} while starting", self.name);
            }
            if started.elapsed() > START_MAX {
                bail!("{} did not answer within {START_MAX:?}", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Sends exactly `count` requests; used to fill a server over its API.
pub async fn send(target: &Target, count: u64, make: impl Fn(u64) -> Call + Sync) -> anyhow::Result<()> {
    Load::send(target, 16, count, make).await
}
