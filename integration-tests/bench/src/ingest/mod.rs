//! Direct ingestion beside queued, over genuine queues, in one run: one writer, a hundred, a thousand.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use cairn_testkit::{nats, redis};
use serde_json::json;

use crate::mlflow::load::{Call, Connection, Figures, Load, Target};
use crate::mlflow::peer::{Peer, send};

/// Compares direct with queued ingestion.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cairn program, built for release.
    #[arg(long, env = "CAIRN_BIN")]
    pub cairn: PathBuf,
    /// How long each number of writers writes in each mode.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
}

/// Writers, each on a run of its own with one batch at a time.
const WRITERS: [usize; 3] = [1, 100, 1000];
/// Points of one batch.
const POINTS: u64 = 10;

pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(compare(args))
}

async fn compare(args: &Args) -> anyhow::Result<()> {
    println!("\n{:<34} {:>9} {:>13} {:>10} {:>10}", "batches of 10 points", "writers", "per second", "p50", "p99");
    measure(args, "direct", &[]).await?;
    if nats::program().is_some() {
        let queue = nats::Nats::started();
        let (url, monitoring) = (queue.url(), queue.monitoring());
        let told =
            [("NATS_URL", &*url), ("CAIRN__INGEST__NATS_MONITORING_URL", &monitoring), ("INGEST_MODE", "queued")];
        measure(args, "queued in NATS JetStream", &told).await?;
    } else {
        println!("no NATS here: `make nats`");
    }
    if redis::program().is_some() {
        let queue = redis::Redis::started();
        let url = queue.url();
        measure(args, "queued in Redis Streams", &[("CAIRN__INGEST__QUEUE_URL", &*url), ("INGEST_MODE", "queued")])
            .await?;
    } else {
        println!("no Redis here: `make redis`");
    }
    Ok(())
}

async fn measure(args: &Args, mode: &str, told: &[(&str, &str)]) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = Peer::cairn_told(&args.cairn, folder.path(), told)?;
    let target = peer.target();
    let runs = begin(&target).await?;
    for writers in WRITERS {
        let load = Load { connections: writers, duration: Duration::from_secs(args.seconds) };
        let figures = load.run(target.clone(), |n| batch(&runs[n as usize % writers], n)).await?;
        print(mode, writers, &figures);
    }
    Ok(())
}

async fn begin(target: &Target) -> anyhow::Result<Vec<String>> {
    let count = WRITERS.into_iter().max().unwrap_or_default() as u64;
    let path = "/api/2.0/mlflow/runs/create";
    let body = |n: u64| Some(json!({"experiment_id": "0", "run_name": format!("writer-{n}")}).to_string());
    send(target, count, |n| Call { verb: "POST", path: path.into(), body: body(n) }).await?;
    let mut connection = Connection::open(target).await?;
    let search = json!({"experiment_ids": ["0"], "max_results": count}).to_string();
    let call = Call { verb: "POST", path: "/api/2.0/mlflow/runs/search".into(), body: Some(search) };
    let found = connection.ask(call).await?;
    let runs = found["runs"].as_array().context("there are no runs")?.iter();
    Ok(runs.filter_map(|run| run["info"]["run_id"].as_str().map(str::to_owned)).collect())
}

fn batch(run: &str, n: u64) -> Call {
    let metrics: Vec<_> = (0..POINTS)
        .map(|at| json!({"key": "loss", "value": 0.5, "timestamp": 1_600_000_000_000 + n, "step": n * POINTS + at}))
        .collect();
    let body = json!({"run_id": run, "metrics": metrics}).to_string();
    Call { verb: "POST", path: "/api/2.0/mlflow/runs/log-batch".into(), body: Some(body) }
}

fn print(mode: &str, writers: usize, figures: &Figures) {
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    println!(
        "{mode:<34} {writers:>9} {:>13.0} {:>7.1} ms {:>7.1} ms",
        figures.per_second(),
        ms(figures.p50()),
        ms(figures.p99())
    );
    if let Some(refusal) = &figures.refusal {
        println!("  {} were refused, the first: {refusal}", figures.refused);
    }
}
