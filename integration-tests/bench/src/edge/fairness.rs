use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::suite::Suite;

/// What the noisy project is allowed in a second; it is sent ten times as much.
const ALLOWED: &str = "projects/noisy rate=100 burst=100";
const NOISE_EVERY: Duration = Duration::from_millis(1);
const QUIET_EVERY: Duration = Duration::from_millis(4);
const QUIET_CALLS: usize = 1_000;
const ROUNDS: usize = 5;

/// How long calls of one project take, while another is quiet and while it is sent ten times what it may be.
pub async fn measure(folder: &Path) -> anyhow::Result<()> {
    let suite = Arc::new(Suite::open(folder, &[("CAIRN__LIMITS__PROJECTS", ALLOWED)]).await?);
    for body in [r#"{"project_id": "noisy"}"#, r#"{"project_id": "quiet"}"#] {
        let made = suite.rest("POST", "/api/v1/projects", body).await?;
        ensure!(made.status().is_success(), "{}", made.status());
    }
    let (mut alone, mut beside, mut refused, mut sent) = (vec![], vec![], 0, 0);
    for _ in 0..ROUNDS {
        alone.extend(quiet(&suite).await?);
        let stop = CancellationToken::new();
        let noise = tokio::spawn(noise(Arc::clone(&suite), stop.clone()));
        beside.extend(quiet(&suite).await?);
        stop.cancel();
        let (count, held_back) = noise.await?;
        (sent, refused) = (sent + count, refused + held_back);
    }
    println!("\n{:<52} {:>10} {:>10}", "a quiet project's calls, 250 a second", "p50 ms", "p99 ms");
    let (before, after) =
        (told("while the other is quiet too", &mut alone), told("while it is sent ten times its quota", &mut beside));
    println!("{:<52} {:>10.2} {:>10.2}", "ratio", after.0 / before.0, after.1 / before.1);
    println!("of {sent} calls to the noisy project {refused} were refused");
    suite.stop().await;
    Ok(())
}

/// The durations of calls at a steady pace.
async fn quiet(suite: &Suite) -> anyhow::Result<Vec<Duration>> {
    let (mut pace, mut took) = (tokio::time::interval(QUIET_EVERY), Vec::with_capacity(QUIET_CALLS));
    for _ in 0..QUIET_CALLS {
        pace.tick().await;
        let began = Instant::now();
        let answer = suite.rest("GET", "/api/v1/projects/quiet/experiments", "").await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        answer.into_body().collect().await?;
        took.push(began.elapsed());
    }
    Ok(took)
}

/// Sends at its pace whatever comes back, and counts what was refused.
async fn noise(suite: Arc<Suite>, stop: CancellationToken) -> (usize, usize) {
    let mut pace = tokio::time::interval(NOISE_EVERY);
    let mut calls = JoinSet::new();
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        let suite = Arc::clone(&suite);
        calls.spawn(async move {
            let answer = suite.rest("GET", "/api/v1/projects/noisy/experiments", "").await;
            answer.is_ok_and(|answer| answer.status() == http::StatusCode::TOO_MANY_REQUESTS)
        });
    }
    let done = calls.join_all().await;
    (done.len(), done.iter().filter(|is_refused| **is_refused).count())
}

fn told(what: &str, took: &mut [Duration]) -> (f64, f64) {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let (p50, p99) = (at(0.5), at(0.99));
    println!("{what:<52} {p50:>10.2} {p99:>10.2}");
    (p50, p99)
}
