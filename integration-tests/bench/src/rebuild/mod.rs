//! Read models from the log: how fast a view is built from nothing, beside bare SQLite that writes the same rows from
//! memory without any log; every view of the suite; and whether views keep up.

pub mod log;
mod suite;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::{EventStore, Filter, NewEvent, Recorded, Write};
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::{Expected, Metadata, Position, StreamName, SystemClock};
use cairn_ledger::Journal;
use cairn_projection::rusqlite::{Connection, Transaction, params};
use cairn_projection::{Projection, ProjectionFault, ReadModel, View};
use tempfile::TempDir;
use uuid::Uuid;

/// Events appended, and written by bare SQLite, at once.
const BATCH: usize = 4_096;
/// Streams the events go to, in turns.
const STREAMS: usize = 1_000;
/// Longest wait for a view.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures how fast read models are built.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder on the disk to measure.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// How often each is measured; the best counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Events in the log.
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// How many seconds single events are appended while all views follow.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only views of the suite whose names begin so, and nothing else: `ledger.tree`.
    #[arg(long)]
    view: Option<String>,
}

impl Default for Args {
    fn default() -> Self {
        Self { folder: ".".into(), rounds: 3, events: 300_000, seconds: 10, view: None }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let folder = TempDir::with_prefix_in("bench-rebuild-", &args.folder)?;
    if let Some(view) = &args.view {
        return suite::rebuilt(folder.path(), args.events, args.rounds, view).await;
    }
    let store: Arc<dyn EventStore> =
        Arc::new(Sqlite::open(&Config::at(folder.path().join("events.db")), Arc::new(SystemClock))?);
    let head = fill(&*store, args.events).await?;

    let (mut bare, mut rows, mut again, mut journal, mut journal_again) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for round in 0..args.rounds {
        let file = |name: &str| folder.path().join(format!("{name}-{round}.db"));
        bare = f64::max(bare, written_bare(&file("bare"), args.events)?);
        let (first, second) = built(&store, &file("rows"), Rows, head).await?;
        (rows, again) = (f64::max(rows, first), f64::max(again, second));
        let (first, second) = built(&store, &file("journal"), Journal, head).await?;
        (journal, journal_again) = (f64::max(journal, first), f64::max(journal_again, second));
    }
    println!("\n{:<42} {:>12} {:>8}   events/s", "a read model of a row per event", "", "ratio");
    for (name, speed) in [
        ("bare SQLite, from memory", bare),
        ("a view that starts from nothing", rows),
        ("a rebuild beside the running view, swapped in", again),
        ("the ledger's journal (a row, eight indexes)", journal),
        ("its rebuild, swapped in", journal_again),
    ] {
        println!("{name:<46} {speed:>8.0} {:>7.2}x", speed / bare);
    }
    drop(store);
    suite::rebuilt(folder.path(), args.events, args.rounds, "").await?;
    suite::kept_up(folder.path(), Duration::from_secs(args.seconds)).await
}

/// A log of events as services write them.
async fn fill(store: &dyn EventStore, count: usize) -> anyhow::Result<Position> {
    let mut position = Position::START;
    for first in (0..count).step_by(BATCH) {
        let size = BATCH.min(count - first);
        let run = format!("projects/fraud/experiments/7/runs/{}", first / BATCH % STREAMS);
        let events = (first..first + size).map(|number| event(&run, number));
        let write = Write::new(StreamName::of("experiments.run", &run), Expected::Any, events.collect());
        position = store.append(vec![write]).await?.position;
    }
    Ok(position)
}

fn event(run: &str, number: usize) -> NewEvent {
    let metadata = Metadata {
        principal: format!("users/u-{}", number % 50),
        project: Some("projects/fraud".into()),
        action: "experiments.runs.log".into(),
        resource: run.to_owned(),
        request_id: Uuid::new_v4().to_string(),
        correlation_id: Uuid::new_v4().to_string(),
        decision_id: Some(Uuid::new_v4().to_string()),
        ..Metadata::default()
    };
    NewEvent {
        id: Uuid::new_v4(),
        kind: "cairn.experiments.events.v1.MetricsLogged".into(),
        payload: vec![7; 320].into(),
        metadata: metadata.encode().into(),
    }
}

/// Events per second of a view that starts from nothing, and of its rebuild.
async fn built<P: Projection>(
    store: &Arc<dyn EventStore>,
    file: &Path,
    projection: P,
    head: Position,
) -> anyhow::Result<(f64, f64)> {
    let model = ReadModel::open(file, 1)?;
    let began = Instant::now();
    let view = View::start(Arc::clone(store), &model, projection)?;
    view.reached(head, tokio::time::Instant::now() + PATIENCE).await?;
    let first = head.0 as f64 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    view.rebuild().await?;
    let second = head.0 as f64 / began.elapsed().as_secs_f64();
    view.stop(PATIENCE).await;
    Ok((first, second))
}

/// One row per event.
struct Rows;

const INSERT: &str = "INSERT INTO event VALUES (?1, ?2, ?3, ?4)";

impl Projection for Rows {
    const NAME: &'static str = "bench.rows.v1";
    const SCHEMA: &'static str = "CREATE TABLE event (
        position INTEGER PRIMARY KEY, stream TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL
    ) STRICT;";

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        let mut insert = tx.prepare_cached(INSERT)?;
        for event in events {
            let (position, bytes) = (event.position.0.cast_signed(), event.payload.len());
            insert.execute(params![position, event.stream.as_str(), &*event.kind, bytes])?;
        }
        Ok(())
    }
}

/// Events per second of SQLite alone.
fn written_bare(file: &Path, count: usize) -> anyhow::Result<f64> {
    let mut connection = Connection::open(file)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
    connection.execute_batch(Rows::SCHEMA)?;
    let began = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let tx = connection.transaction()?;
        {
            let mut insert = tx.prepare_cached(INSERT)?;
            for number in first..count.min(first + BATCH) {
                let stream = format!("experiments.run-projects/fraud/experiments/7/runs/{}", first / BATCH % STREAMS);
                insert.execute(params![number, stream, "cairn.experiments.events.v1.MetricsLogged", 320])?;
            }
        }
        tx.commit()?;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}
