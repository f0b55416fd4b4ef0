//! The model registry over many versions, beside a genuine MLflow server: registering, moving aliases, reading through
//! them, and searching.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::load::{Call, Load};
use super::peer::{Peer, STORE, send};
use super::{Workload, measure, post, print};

/// Versions of each model, when the stores are filled.
const VERSIONS_PER_MODEL: u64 = 100;
/// Versions that share a tag.
const TAGGED_ALIKE: u64 = 100;

/// Compares the model registry with a genuine MLflow server's.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python that has mlflow installed.
    #[arg(long, env = "MLFLOW_PYTHON")]
    python: PathBuf,
    /// The cairn program, built for release.
    #[arg(long, env = "CAIRN_BIN")]
    cairn: PathBuf,
    /// How long each workload runs on each server.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Versions in the store, a hundred of each model.
    #[arg(long, default_value_t = 100_000)]
    versions: u64,
    /// Worker processes of the MLflow server.
    #[arg(long, default_value_t = 2)]
    workers: u32,
}

impl Args {
    /// The defaults, with these programs.
    pub fn of(python: &Path, cairn: &Path) -> Self {
        let (python, cairn) = (python.to_owned(), cairn.to_owned());
        Self { python, cairn, seconds: 5, connections: 16, versions: 100_000, workers: 2 }
    }
}

/// How much is in the stores.
struct Filled {
    versions: u64,
}

impl Filled {
    fn models(&self) -> u64 {
        self.versions / VERSIONS_PER_MODEL
    }

    fn model(&self, n: u64) -> String {
        format!("model-{}", n.wrapping_mul(7919) % self.models())
    }

    fn teams(&self) -> u64 {
        (self.versions / TAGGED_ALIKE).max(1)
    }
}

const WORKLOADS: &[Workload<Filled>] = &[
    ("a version by alias", by_alias),
    ("the versions of a model", of_a_model),
    ("the versions with a tag, newest first", with_a_tag),
    ("move an alias", move_alias),
    ("register a version", register),
];

pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(args.versions >= VERSIONS_PER_MODEL, "--versions must be at least {VERSIONS_PER_MODEL}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(args))
}

async fn compare(args: &Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let filled = Filled { versions: args.versions - args.versions % VERSIONS_PER_MODEL };
    let load = Load { connections: args.connections, duration: Duration::from_secs(args.seconds) };

    fill_mlflow(&args.python, &folder.path().join(STORE), &filled)?;
    let peer = Peer::mlflow_over(&args.python, folder.path(), args.workers).await?;
    let theirs = measure(&load, &peer, &filled, WORKLOADS).await?;
    drop(peer);

    let peer = Peer::cairn_empty(&args.cairn, folder.path())?;
    fill_cairn(&peer, &filled).await?;
    let ours = measure(&load, &peer, &filled, WORKLOADS).await?;
    println!("\n{} versions of {} models", filled.versions, filled.models());
    print(WORKLOADS, &theirs, &ours);
    Ok(())
}

/// Fills MLflow's SQLite tables directly.
fn fill_mlflow(python: &Path, store: &Path, filled: &Filled) -> anyhow::Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mlflow/fill_mlflow_models.py");
    let numbers = [filled.models(), VERSIONS_PER_MODEL, filled.teams()].map(|number| number.to_string());
    let status = Command::new(python).arg(script).arg(store).args(numbers).status();
    let status = status.context("cannot run the script that fills MLflow's store")?;
    ensure!(status.success(), "filling MLflow's store ended with {status}");
    Ok(())
}

/// Fills Cairn over MLflow's own API.
async fn fill_cairn(peer: &Peer, filled: &Filled) -> anyhow::Result<()> {
    let target = peer.target();
    send(&target, filled.models(), |n| post("registered-models/create", json!({"name": format!("model-{n}")}))).await?;
    send(&target, filled.versions, |n| {
        let tags = json!([{"key": "team", "value": format!("t{}", n % filled.teams())}]);
        let model = n % filled.models();
        post("model-versions/create", json!({"name": format!("model-{model}"), "source": source(n), "tags": tags}))
    })
    .await?;
    let alias = |n: u64| json!({"name": format!("model-{n}"), "alias": "champion", "version": "1"});
    send(&target, filled.models(), |n| post("registered-models/alias", alias(n))).await
}

fn source(n: u64) -> String {
    format!("s3://bench/models/{n}")
}

fn get(path: String) -> Call {
    Call { verb: "GET", path: format!("/api/2.0/mlflow/{path}"), body: None }
}

fn by_alias(filled: &Filled, n: u64) -> Call {
    get(format!("registered-models/alias?name={}&alias=champion", filled.model(n)))
}

fn of_a_model(filled: &Filled, n: u64) -> Call {
    get(format!("model-versions/search?filter=name%3D%27{}%27&max_results=100", filled.model(n)))
}

fn with_a_tag(filled: &Filled, n: u64) -> Call {
    let team = n.wrapping_mul(7919) % filled.teams();
    let order = "order_by=last_updated_timestamp%20DESC";
    get(format!("model-versions/search?filter=tags.team%3D%27t{team}%27&{order}&max_results=50"))
}

fn move_alias(filled: &Filled, n: u64) -> Call {
    let version = (1 + n % VERSIONS_PER_MODEL).to_string();
    post("registered-models/alias", json!({"name": filled.model(n), "alias": "champion", "version": version}))
}

fn register(filled: &Filled, n: u64) -> Call {
    let body: Value = json!({"name": filled.model(n), "source": source(n)});
    post("model-versions/create", body)
}
