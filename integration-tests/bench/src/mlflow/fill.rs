//! The same data in both stores: many finished runs with params and metrics, and one run with a long history.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::load::{Call, Connection, Target};
use super::peer::send;

/// Its name, on both.
pub const EXPERIMENT: &str = "bench";

/// Fills MLflow's SQLite tables directly.
pub fn mlflow(python: &Path, store: &Path, runs: u64, points: u64) -> anyhow::Result<()> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mlflow/fill_mlflow.py");
    let status = Command::new(python)
        .arg(script)
        .arg(store)
        .args([runs.to_string(), points.to_string(), EXPERIMENT.to_owned()])
        .status()
        .context("cannot run the script that fills MLflow's store")?;
    if !status.success() {
        bail!("filling MLflow's store ended with {status}");
    }
    Ok(())
}

/// Fills Cairn over MLflow's own API.
pub async fn cairn(target: &Target, runs: u64, points: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(target).await?;
    let made = connection.ask(post("experiments/create", json!({"name": EXPERIMENT}))).await?;
    let experiment = made["experiment_id"].as_str().context("the experiment has no id")?.to_owned();

    let long = json!({"experiment_id": experiment, "start_time": 1_500_000_000_000_u64, "tags": [{"key": "long", "value": "yes"}]});
    let made = connection.ask(post("runs/create", long)).await?;
    let long = made["run"]["info"]["run_id"].as_str().context("a run has no id")?.to_owned();
    for start in (0..points).step_by(1000) {
        let metrics: Vec<Value> = (start..points.min(start + 1000))
            .map(|step| json!({"key": "curve", "value": step as f64 / 3.0, "timestamp": 1_500_000_000_000_u64 + step, "step": step}))
            .collect();
        connection.send(post("runs/log-batch", json!({"run_id": long, "metrics": metrics}))).await?;
    }

    let ids = Mutex::new(vec![]);
    let makers = (0..16).map(|maker| {
        let (ids, experiment) = (&ids, &experiment);
        async move {
            let mut connection = Connection::open(target).await?;
            for n in (maker..runs).step_by(16) {
                let body = json!({"experiment_id": experiment, "run_name": format!("run-{n}"), "start_time": 1_600_000_000_000_u64 + n});
                let made = connection.ask(post("runs/create", body)).await?;
                ids.lock().await.push((n, made["run"]["info"]["run_id"].as_str().unwrap_or_default().to_owned()));
            }
            anyhow::Ok(())
        }
    });
    futures::future::try_join_all(makers).await?;
    let ids = ids.into_inner();
    send(target, runs, |at| {
        let (n, run) = &ids[at as usize];
        post("runs/log-batch", json!({
            "run_id": run,
            "params": [{"key": "depth", "value": (n % 10).to_string()}, {"key": "rate", "value": format!("0.{}", n % 7)}],
            "metrics": [
                {"key": "accuracy", "value": accuracy(*n), "timestamp": 1_600_000_000_000_u64, "step": 0},
                {"key": "loss", "value": 1.0 - accuracy(*n), "timestamp": 1_600_000_000_000_u64, "step": 0},
            ],
        }))
    })
    .await
}

/// Spread evenly over [0, 1), the same on both servers.
fn accuracy(n: u64) -> f64 {
    (n.wrapping_mul(7919) % 10_007) as f64 / 10_007.0
}

fn post(method: &str, body: Value) -> Call {
    Call { verb: "POST", path: format!("/api/2.0/mlflow/{method}"), body: Some(body.to_string()) }
}
