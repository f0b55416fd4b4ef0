//! Walks through the lineage graph, beside what one would write instead: a recursive query over a table of the same
//! edges, with an index each way.

mod log;
mod query;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_contract::Contract;
use cairn_eventstore::EventStore;
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::SystemClock;
use cairn_ledger::{Annotations, Graph, Limits, Towards, names_around};
use cairn_projection::rusqlite::{Connection, OpenFlags};
use cairn_projection::{ReadModel, View};
use hdrhistogram::Histogram;
use tempfile::TempDir;

/// Longest wait for the view.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Measures walks through the lineage graph.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder on the disk to measure.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// Edges of the graph.
    #[arg(long, default_value_t = 1_000_000)]
    edges: usize,
    /// Steps of a walk.
    #[arg(long, default_value_t = 10)]
    depth: usize,
    /// Walks measured each way, each from another node.
    #[arg(long, default_value_t = 200)]
    walks: usize,
}

impl Default for Args {
    fn default() -> Self {
        Self { folder: ".".into(), edges: 1_000_000, depth: 10, walks: 200 }
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(args))
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    let folder = TempDir::with_prefix_in("bench-lineage-", &args.folder)?;
    let store: Arc<dyn EventStore> =
        Arc::new(Sqlite::open(&Config::at(folder.path().join("events.db")), Arc::new(SystemClock))?);
    let runs = args.edges / log::EDGES_PER_RUN;
    let head = log::fill(&*store, runs).await?;
    let contract = Contract::embedded().map_err(|violations| anyhow::anyhow!("{violations}"))?;
    let file = folder.path().join("lineage.sqlite");
    let model = ReadModel::open(&file, 1)?;
    let began = Instant::now();
    let view = View::start(store, &model, Graph::new(Arc::new(Annotations::of(contract)?)))?;
    view.reached(head, tokio::time::Instant::now() + PATIENCE).await?;
    let built = began.elapsed();
    view.stop(PATIENCE).await;

    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let counts = ["lineage_node", "lineage_edge"]
        .map(|table| connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)));
    let [nodes, edges] = counts;
    println!("a graph of {} nodes and {} edges, from {} events", nodes?, edges?, head.0);
    println!("built at {:.0} events/s", head.0 as f64 / built.as_secs_f64());
    let texts = query::copied(&connection, &folder.path().join("texts.sqlite"))?;

    println!("\n{:<34} {:>8} {:>9} {:>9} {:>9}   ms, {} walks", "walk", "nodes", "p50", "p99", "max", args.walks);
    for (way, towards) in [("upstream", Towards::Upstream), ("downstream", Towards::Downstream)] {
        let all = usize::MAX;
        let limits = Limits { depth: args.depth, nodes_max: all, edges_per_node_max: all, edges_max: all };
        let starts: Vec<_> = log::starts(runs, args.walks).collect();
        let walk = |start: &str| Ok(names_around(&connection, start, towards, limits)?);
        let ours = timed(&format!("Cairn, {way}, depth {}", args.depth), &starts, walk)?;
        let theirs = timed(&format!("recursive query, {way}"), &starts, |start| {
            query::walked(&texts, start, towards, args.depth)
        })?;
        anyhow::ensure!(ours == theirs, "both ways must find the same");
    }
    Ok(())
}

/// Prints how long walks take; gives how many nodes they found.
fn timed(name: &str, starts: &[String], walk: impl Fn(&str) -> anyhow::Result<Vec<String>>) -> anyhow::Result<usize> {
    let mut times = Histogram::<u64>::new(3)?;
    let mut found = 0;
    for start in starts {
        let began = Instant::now();
        found += walk(start)?.len();
        times.record(u64::try_from(began.elapsed().as_micros())?)?;
    }
    let ms = |micros: u64| micros as f64 / 1000.0;
    let (p50, p99, max) = (times.value_at_quantile(0.5), times.value_at_quantile(0.99), times.max());
    println!("{name:<34} {:>8} {:>9.2} {:>9.2} {:>9.2}", found / starts.len(), ms(p50), ms(p99), ms(max));
    Ok(found)
}
