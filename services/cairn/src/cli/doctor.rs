//! `cairn doctor`: looks at a running deployment and says what its operator might change.

use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::session::Connection;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// As many writers as direct ingestion is tested with at the same time.
const DIRECT_WRITERS_MAX: f64 = 100.0;
/// Calls that log points.
const LOGGING: [&str; 3] = ["RunService/LogBatch", "MlflowRunService/LogBatch", "MlflowRunService/LogMetric"];

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Whether what is logged should go through a queue. Looks at the metrics of a process that has the role `experiments`, or
    /// of the whole suite, for a while; do it when there is much to do.
    Ingest {
        /// For how many seconds.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
    },
}

/// What a process has told of logging since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    /// Batches that were answered.
    batches: f64,
    /// How long that took, together.
    seconds: f64,
    /// Batches in the queue, if there is one.
    queued: Option<f64>,
}

/// What is to be said of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    StayDirect,
    Queue,
    IsQueued,
}

impl Told {
    /// Reads the page of metrics.
    fn read(page: &str) -> Self {
        let mut told = Self::default();
        for line in page.lines() {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let logs = || LOGGING.iter().any(|method| name.contains(&format!("{method}\"")));
            match name.split('{').next() {
                Some("cairn_rpc_duration_seconds_count") if logs() => told.batches += value,
                Some("cairn_rpc_duration_seconds_sum") if logs() => told.seconds += value,
                Some("cairn_ingest_lag_messages") => told.queued = Some(value),
                _ => {}
            }
        }
        told
    }
}

/// How many calls are under way at a time, on average: as long as all of them took together, in the time that has passed.
fn at_once(before: Told, after: Told, passed: Duration) -> f64 {
    ((after.seconds - before.seconds) / passed.as_secs_f64()).max(0.0)
}

fn advice(writers: f64, told: Told) -> Advice {
    match told.queued {
        Some(_) => Advice::IsQueued,
        None if writers > DIRECT_WRITERS_MAX => Advice::Queue,
        None => Advice::StayDirect,
    }
}

pub async fn run(connection: &Connection, command: Command) -> anyhow::Result<()> {
    let Command::Ingest { seconds } = command;
    let began = Instant::now();
    let before = told(connection).await?;
    sleep(Duration::from_secs(seconds)).await;
    let after = told(connection).await?;
    let passed = began.elapsed();
    let writers = at_once(before, after, passed);
    let per_second = (after.batches - before.batches).max(0.0) / passed.as_secs_f64();
    let said = match advice(writers, after) {
        Advice::IsQueued => format!("queued already; {} batches wait", after.queued.unwrap_or_default()),
        Advice::StayDirect => format!(
            "direct ingestion does: {writers:.1} batches are under way at a time, and it is good for {DIRECT_WRITERS_MAX}"
        ),
        Advice::Queue => format!(
            "INGEST_MODE=queued is recommended: {writers:.1} batches are under way at a time, and direct ingestion is good for \
             {DIRECT_WRITERS_MAX}; docs/ingest.md says what a queue needs"
        ),
    };
    connection.output().one(&json!({
        "batches_per_second": (per_second * 10.0).round() / 10.0,
        "writers_at_once": (writers * 10.0).round() / 10.0,
        "direct_writers_max": DIRECT_WRITERS_MAX,
        "mode": if after.queued.is_some() { "queued" } else { "direct" },
        "recommended": if advice(writers, after) == Advice::StayDirect { "direct" } else { "queued" },
        "advice": said,
    }))
}

async fn told(connection: &Connection) -> anyhow::Result<Told> {
    let url = connection.url().trim_end_matches('/');
    let asked = connection.stranger()?.http().get(format!("{url}/api/v1/metrics")).timeout(PATIENCE).send().await;
    let answered = asked.with_context(|| format!("{url} does not answer"))?;
    let page = answered.error_for_status().map_err(|fault| anyhow!("{url} shows no metrics: {fault}"))?.text().await?;
    Ok(Told::read(&page))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE cairn_rpc_duration_seconds histogram
cairn_rpc_duration_seconds_sum{method=\"/cairn.experiments.v1.RunService/LogBatch\",code=\"OK\"} 12.5
cairn_rpc_duration_seconds_count{method=\"/cairn.experiments.v1.RunService/LogBatch\",code=\"OK\"} 100
cairn_rpc_duration_seconds_sum{method=\"/cairn.mlflow.v1.MlflowRunService/LogMetric\",code=\"OK\"} 2.5
cairn_rpc_duration_seconds_count{method=\"/cairn.mlflow.v1.MlflowRunService/LogMetric\",code=\"OK\"} 20
cairn_rpc_duration_seconds_sum{method=\"/cairn.mlflow.v1.MlflowRunService/SearchRuns\",code=\"OK\"} 1000
";

    #[test]
    fn only_what_logs_points_counts() {
        assert_eq!(Told::read(PAGE), Told { batches: 120.0, seconds: 15.0, queued: None });
        let queued = format!("{PAGE}cairn_ingest_lag_messages 7\n");
        assert_eq!(Told::read(&queued).queued, Some(7.0));
    }

    #[test]
    fn a_queue_is_recommended_above_what_direct_ingestion_is_good_for_s1_68() {
        let after = |seconds| Told { batches: 1.0, seconds, queued: None };
        let said = |seconds| advice(at_once(after(0.0), after(seconds), Duration::from_secs(10)), after(seconds));
        assert_eq!([said(0.5), said(999.0), said(1001.0)], [Advice::StayDirect, Advice::StayDirect, Advice::Queue]);
        let queued = Told { queued: Some(0.0), ..after(5000.0) };
        assert_eq!(advice(500.0, queued), Advice::IsQueued);
    }
}
