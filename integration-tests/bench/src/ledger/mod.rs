//! The audit log and its proofs over a long history, asked through the gateway, beside a table that one would write
//! instead: the same rows as JSON, with an index for each question.

mod table;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cairn::suite::{Engines, Roles, Running, config};
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::SystemClock;
use cairn_service::config::{Loaded, Sources};
use cairn_service::shutdown::Shutdown;
use cairn_service::telemetry::Metrics;
use hdrhistogram::Histogram;
use serde_json::Value;
use tempfile::TempDir;

use self::table::Table;
use crate::mlflow::load::{Call, Connection, Target};
use crate::rebuild::log;

const KEY: &str = "bench-key-0123456789abcdef";
/// Records on a page.
const PAGE: usize = 100;
/// Pages that are turned before the deep ones are measured.
const DEEP: usize = 100;

/// Measures pages of the audit log, and proofs.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder on the disk to measure. Ten million events take 30 GB there.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Events in the log.
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    /// How often each question is asked.
    #[arg(long, default_value_t = 500)]
    asks: usize,
}

impl Default for Args {
    fn default() -> Self {
        Self { folder: ".".into(), events: 1_000_000, asks: 500 }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let folder = TempDir::with_prefix_in("bench-ledger-", &args.folder)?;
    let data = folder.path().join("suite");
    let loaded = load(&data)?;
    std::fs::create_dir_all(data.join("events"))?;
    let path = data.join("events/events.db");
    let store = Sqlite::open(&cairn_eventstore_sqlite::Config::at(path), Arc::new(SystemClock))?;
    let head = log::fill(&store, args.events).await?;
    let table = Table::copied(&store, head, &folder.path().join("table.sqlite")).await?;
    drop(store);

    let began = Instant::now();
    let (metrics, _) = Metrics::new()?;
    let running = Running::start(&loaded, &Engines::default(), &Roles::all(), &metrics, Shutdown::new()).await?;
    let rate = head.0 as f64 / began.elapsed().as_secs_f64();
    println!("{} events, taken in by every view of the suite at {rate:.0} events/s", head.0);

    let mut asked = Asked { connection: open(running.addresses.http).await?, asks: args.asks };
    let last_cursor = asked.turned(DEEP).await?;
    println!("\n{:<52} {:>9} {:>9} {:>9}   ms, {} times", "a page of 100 records", "p50", "p99", "max", args.asks);
    let maria = "principal=users/maria";
    let experiment = |n: usize| format!("projects/fraud/experiments/{}", n % 20);
    asked.timed("the newest", |_| page("")).await?;
    asked.timed("of one who did all of them", |_| page(maria)).await?;
    asked.timed("of one of 20 experiments and all below it", |n| page(&format!("resource={}", experiment(n)))).await?;
    asked.timed("refused ones, of which there are none", |_| page("outcome=OUTCOME_DENIED")).await?;
    asked.timed("behind a hundred other pages", |_| page(&format!("page_token={last_cursor}"))).await?;
    print_times("a bare table: the newest", &timed_here(args.asks, |_| table.newest(PAGE))?);
    print_times("a bare table: of one", &timed_here(args.asks, |_| table.of_principal("users/maria", PAGE))?);
    print_times("a bare table: of one experiment", &timed_here(args.asks, |n| table.below(&experiment(n), PAGE))?);

    println!("\n{:<52} {:>9} {:>9} {:>9}   ms, {} times", "proofs", "p50", "p99", "max", args.asks);
    let spread = |n: usize| 1 + (n as u64).wrapping_mul(7_919_377) % head.0;
    asked.timed("that an event is in the log", |n| format!("audit/proofs/{}", spread(n))).await?;
    asked
        .timed("that a log goes on from a smaller one", |n| format!("audit:consistency?from_size={}", spread(n)))
        .await?;
    asked.timed("nothing but the way there and back", |_| "auth/whoami".to_owned()).await?;
    running.stop().await;
    Ok(())
}

/// Who asks, and how often.
struct Asked {
    connection: Connection,
    asks: usize,
}

impl Asked {
    async fn ask(&mut self, path: &str) -> anyhow::Result<Value> {
        self.connection.ask(Call { verb: "GET", path: format!("/api/v1/{path}"), body: None }).await
    }

    /// Where so many pages end.
    async fn turned(&mut self, pages: usize) -> anyhow::Result<String> {
        let mut token = String::new();
        for _ in 0..pages {
            let answer = self.ask(&page(&format!("page_token={token}"))).await?;
            token = answer["next_page_token"].as_str().context("the log has too few pages")?.to_owned();
        }
        Ok(token)
    }

    async fn timed(&mut self, name: &str, path: impl Fn(usize) -> String) -> anyhow::Result<()> {
        let mut times = Histogram::new(3)?;
        for n in 0..self.asks {
            let path = path(n);
            let began = Instant::now();
            self.ask(&path).await?;
            times.record(u64::try_from(began.elapsed().as_micros())?)?;
        }
        print_times(name, &times);
        Ok(())
    }
}

fn page(filter: &str) -> String {
    format!("audit?page_size={PAGE}&{filter}").trim_end_matches('&').to_owned()
}

fn timed_here(asks: usize, ask: impl Fn(usize) -> anyhow::Result<usize>) -> anyhow::Result<Histogram<u64>> {
    let mut times = Histogram::new(3)?;
    for n in 0..asks {
        let began = Instant::now();
        anyhow::ensure!(ask(n)? == PAGE, "the table has a full page too");
        times.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    Ok(times)
}

fn print_times(name: &str, times: &Histogram<u64>) {
    let ms = |micros: u64| micros as f64 / 1000.0;
    let (p50, p99, max) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99), times.max());
    println!("{name:<52} {:>9.2} {:>9.2} {:>9.2}", ms(p50), ms(p99), ms(max));
}

async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
    Connection::open(&Target { address, credential: Some(KEY.to_owned()) }).await
}

fn load(data: &Path) -> anyhow::Result<Loaded> {
    let data = data.display().to_string();
    let patience = Duration::from_secs(7200).as_millis().to_string();
    let environment = [
        ("CAIRN_DATA", data.as_str()),
        ("CAIRN_API_KEY", KEY),
        ("API_HTTP_PORT", "0"),
        ("API_GRPC_PORT", "0"),
        ("CAIRN__SERVER__READY_TIMEOUT_MS", &patience),
        ("CAIRN__GATEWAY__CALLER_RATE_MAX", "1000000"),
    ];
    Ok(config::registry().load(&Sources::new().with_environment(environment))?)
}
