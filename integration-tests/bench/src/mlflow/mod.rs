//! Cairn beside a genuine MLflow server, under one compiled load generator in one run.
//!
//! Both serve MLflow's REST API on loopback, with the same data in their stores. MLflow runs with its own best settings
//! for one machine: a SQLite store filled beforehand, and as many workers as answer fastest (`--workers`).

mod fill;
pub mod load;
pub mod peer;
pub mod registry;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use self::load::{Call, Figures, Load};
use self::peer::Peer;

/// Compares Cairn with a genuine MLflow server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A Python that has mlflow installed.
    #[arg(long, env = "MLFLOW_PYTHON")]
    pub python: PathBuf,
    /// The cairn program, built for release.
    #[arg(long, env = "CAIRN_BIN")]
    pub cairn: PathBuf,
    /// How long each workload runs on each server.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Runs in the store for the search workload.
    #[arg(long, default_value_t = 50_000)]
    runs: u64,
    /// Points in the history workload.
    #[arg(long, default_value_t = 100_000)]
    points: u64,
    /// Worker processes of the MLflow server.
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Also show what both come to as their stores grow from 1 000 to 100 000 runs, with as many requests at once as MLflow has workers. Takes a quarter of an hour.
    #[arg(long)]
    growth: bool,
    /// Leave the MLflow server out, and its columns without figures: to look into Cairn.
    #[arg(long)]
    alone: bool,
}

/// What is asked of a server that holds data of this shape.
type Workload<S> = (&'static str, fn(&S, u64) -> Call);

/// The data that both servers hold.
pub struct Shape {
    experiment: String,
    /// Runs that are written to.
    open: Vec<String>,
    /// The run with the long history.
    long: String,
}

const WORKLOADS: &[Workload<Shape>] = &[
    ("create-run", create_run),
    ("log-metric", log_metric),
    ("log-batch of 1 000 metrics", log_batch),
    ("search, filtered and ordered by a metric", search),
    ("history of a long metric", history),
];

/// What is asked of growing stores: the readers first, so that what the writers add does not stand in their way, and
/// `create-run` last, which makes the store grow itself. A page of ten is full in the smallest store already, so the
/// answers are as long in the largest.
const GROWTH: &[Workload<Shape>] = &[
    ("search, ten filtered and ordered by a metric", search_few),
    ("history of a metric", history),
    ("log-metric", log_metric),
    ("log-batch of 1 000 metrics", log_batch),
    ("create-run", create_run),
];
/// Runs in the stores.
const GROWTH_RUNS: [u64; 2] = [1_000, 100_000];
/// Points of the one history there: it does not grow.
const GROWTH_POINTS: u64 = 1_000;

pub fn run(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(args))
}

async fn compare(args: Args) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let load = Load { connections: args.connections, duration: Duration::from_secs(args.seconds) };
    let theirs = match args.alone {
        true => nothing(WORKLOADS)?,
        false => {
            let peer = Peer::mlflow(&args.python, folder.path(), args.workers, args.runs, args.points).await?;
            measure(&load, &peer, &peer.shape().await?, WORKLOADS).await?
        }
    };
    let peer = Peer::cairn(&args.cairn, folder.path(), args.runs, args.points).await?;
    let ours = measure(&load, &peer, &peer.shape().await?, WORKLOADS).await?;
    drop(peer);
    print(WORKLOADS, &theirs, &ours);
    if args.growth {
        growth(&args, folder.path()).await?;
    }
    Ok(())
}

/// Both servers side by side.
fn print<S>(workloads: &[Workload<S>], theirs: &[Figures], ours: &[Figures]) {
    println!(
        "\n{:<44} {:>12} {:>12} {:>9} {:>12} {:>12}",
        "requests per second", "MLflow", "Cairn", "ratio", "p99 MLflow", "p99 Cairn"
    );
    for ((name, _), (theirs, ours)) in workloads.iter().zip(theirs.iter().zip(ours)) {
        let ratio = ours.per_second() / theirs.per_second();
        println!(
            "{name:<44} {:>12.1} {:>12.1} {ratio:>8.1}x {:>12?} {:>12?}",
            theirs.per_second(),
            ours.per_second(),
            theirs.p99(),
            ours.p99(),
        );
    }
}

/// Figures of a server that was left out.
fn nothing<S>(workloads: &[Workload<S>]) -> anyhow::Result<Vec<Figures>> {
    workloads.iter().map(|_| Figures::nothing()).collect()
}

/// Runs these workloads on one server. A genuine server refuses requests when it cannot keep up, which is
/// said beside its figures; ours has no such excuse.
async fn measure<S: Sync>(
    load: &Load,
    peer: &Peer,
    shape: &S,
    workloads: &[Workload<S>],
) -> anyhow::Result<Vec<Figures>> {
    let mut figures = vec![];
    for (name, make) in workloads {
        eprintln!("{}: {name}", peer.name());
        let found =
            load.run(peer.target(), |n| make(shape, n)).await.with_context(|| format!("{}: {name}", peer.name()))?;
        if let Some(refusal) = &found.refusal {
            let told =
                format!("{}: {name}: {} requests were refused, the first: {refusal}", peer.name(), found.refused);
            anyhow::ensure!(peer.may_refuse(), told);
            println!("{told}");
        }
        figures.push(found);
    }
    Ok(figures)
}

/// Both servers with few and with many runs in their stores. `kept` is what is left of the speed.
///
/// No more requests at once than MLflow has workers: a search of its largest store takes so long that others would wait
/// for it until its pool of connections is empty.
async fn growth(args: &Args, folder: &std::path::Path) -> anyhow::Result<()> {
    let load = Load { connections: args.workers as usize, duration: Duration::from_secs(args.seconds) };
    let (mut theirs, mut ours) = (vec![], vec![]);
    for runs in GROWTH_RUNS {
        eprintln!("filling both stores with {runs} runs");
        let home = folder.join(format!("growth-{runs}"));
        std::fs::create_dir(&home)?;
        theirs.push(match args.alone {
            true => nothing(GROWTH)?,
            false => {
                let peer = Peer::mlflow(&args.python, &home, args.workers, runs, GROWTH_POINTS).await?;
                measure(&load, &peer, &peer.shape().await?, GROWTH).await?
            }
        });
        let peer = Peer::cairn(&args.cairn, &home, runs, GROWTH_POINTS).await?;
        ours.push(measure(&load, &peer, &peer.shape().await?, GROWTH).await?);
    }
    println!("\nrequests per second as the store grows from {} to {} runs", GROWTH_RUNS[0], GROWTH_RUNS[1]);
    println!(
        "{:<46} {:>10} {:>10} {:>6} {:>10} {:>10} {:>6} {:>8}",
        "", "MLflow", "grown", "kept", "Cairn", "grown", "kept", "ratio"
    );
    for (at, (name, _)) in GROWTH.iter().enumerate() {
        let speed = |side: &[Vec<Figures>], size: usize| side[size][at].per_second();
        let row = |side: &[Vec<Figures>]| (speed(side, 0), speed(side, 1), 100.0 * speed(side, 1) / speed(side, 0));
        let ((small, large, kept), (our_small, our_large, our_kept)) = (row(&theirs), row(&ours));
        println!(
            "{name:<46} {small:>10.1} {large:>10.1} {kept:>5.0}% {our_small:>10.1} {our_large:>10.1} {our_kept:>5.0}% {:>7.1}x",
            our_large / large
        );
    }
    Ok(())
}

fn post(method: &str, body: Value) -> Call {
    Call { verb: "POST", path: format!("/api/2.0/mlflow/{method}"), body: Some(body.to_string()) }
}

fn create_run(shape: &Shape, n: u64) -> Call {
    let tags = json!([{"key": "mlflow.user", "value": "bench"}, {"key": "mlflow.source.name", "value": "bench.py"}]);
    post(
        "runs/create",
        json!({"experiment_id": shape.experiment, "start_time": 1_700_000_000_000_u64 + n, "run_name": format!("bench-{n}"), "tags": tags}),
    )
}

fn log_metric(shape: &Shape, n: u64) -> Call {
    let run = &shape.open[(n % shape.open.len() as u64) as usize];
    post(
        "runs/log-metric",
        json!({"run_id": run, "key": "loss", "value": 1.0 / (n + 1) as f64, "timestamp": 1_700_000_000_000_u64 + n, "step": n}),
    )
}

fn log_batch(shape: &Shape, n: u64) -> Call {
    let run = &shape.open[(n % shape.open.len() as u64) as usize];
    let metrics: Vec<Value> = (0..1000)
        .map(|at| json!({"key": format!("m{}", at % 10), "value": at as f64 * 0.5, "timestamp": 1_700_000_000_000_u64 + n, "step": n * 1000 + at}))
        .collect();
    post("runs/log-batch", json!({"run_id": run, "metrics": metrics}))
}

fn search(shape: &Shape, n: u64) -> Call {
    search_page(shape, n, 50)
}

fn search_few(shape: &Shape, n: u64) -> Call {
    search_page(shape, n, 10)
}

fn search_page(shape: &Shape, n: u64, page: u32) -> Call {
    let floor = 0.5 + (n % 400) as f64 / 1000.0;
    post(
        "runs/search",
        json!({
            "experiment_ids": [shape.experiment], "filter": format!("metrics.accuracy > {floor} AND params.depth = '5'"),
            "order_by": ["metrics.accuracy DESC"], "max_results": page,
        }),
    )
}

fn history(shape: &Shape, _: u64) -> Call {
    Call {
        verb: "GET",
        path: format!("/api/2.0/mlflow/metrics/get-history?run_id={}&metric_key=curve", shape.long),
        body: None,
    }
}
