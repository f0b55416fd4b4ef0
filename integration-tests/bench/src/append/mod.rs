//! Durable appends: our store beside what one would write instead with the same durability, and beside the disk.
//!
//! Every contender stores the same events of some 560 bytes, syncs at every commit, and starts from an empty folder.
//! Contenders take turns, so that a busy moment of the machine hits all of them; the best of the rounds counts.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use tempfile::TempDir;

mod bare;
mod disk;
pub(crate) mod events;
mod keyed;
mod ours;

use events::{Ids, stream};

/// Fewest events per measurement.
const EVENTS_MIN: usize = 8_000;
const BATCHES: [usize; 4] = [1, 16, 256, 4_096];
const CLIENTS: [usize; 5] = [1, 16, 64, 256, 1_024];

/// Compares durable appends.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder on the disk to measure.
    #[arg(long, default_value = ".")]
    folder: PathBuf,
    /// How often each contender is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Most events per measurement.
    #[arg(long, default_value_t = 200_000)]
    events: usize,
    /// Sizes of the batches one client appends.
    #[arg(long, value_delimiter = ',', default_values_t = BATCHES)]
    batches: Vec<usize>,
    /// Numbers of clients that append one event at a time.
    #[arg(long, value_delimiter = ',', default_values_t = CLIENTS)]
    clients: Vec<usize>,
}

impl Default for Args {
    fn default() -> Self {
        Self { folder: ".".into(), rounds: 3, events: 200_000, batches: BATCHES.into(), clients: CLIENTS.into() }
    }
}

/// What one contender did in one measurement.
pub(crate) struct Measured {
    events: usize,
    took: Duration,
    /// From handing over to being told it is durable, in microseconds.
    latency: Histogram<u64>,
}

impl Measured {
    pub(crate) fn new(events: usize, took: Duration, latency: Histogram<u64>) -> Self {
        Self { events, took, latency }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

pub(crate) fn record(latency: &mut Histogram<u64>, since: Instant) {
    latency.saturating_record(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX).max(1));
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let sync = disk::sync_latency(&args.folder).with_context(|| format!("measuring in {}", args.folder.display()))?;
    println!(
        "one fdatasync of a page: p50 {} µs, p99 {} µs",
        sync.value_at_quantile(0.5),
        sync.value_at_quantile(0.99)
    );
    let single = compare_batches(args)?;
    compare_clients(args, Ids::Growing)?;
    compare_clients(args, Ids::Random)?;
    if let Some(single) = single {
        let (single, sync) = (single.value_at_quantile(0.5), sync.value_at_quantile(0.5));
        println!("\nlatency of one client: p50 {single} µs, {:.2} × one fdatasync", single as f64 / sync as f64);
    }
    let count = events_for(args, 256);
    let replayed = on_empty(args, |folder| ours::replay(folder, count))?;
    println!("one subscriber that reads {count} events: {:.0} events/s", replayed.per_second());
    Ok(())
}

/// One client that appends batches. Gives the latencies of single events in our store.
fn compare_batches(args: &Args) -> anyhow::Result<Option<Histogram<u64>>> {
    println!(
        "\n{:<8} {:>12} {:>12} {:>8} {:>12} {:>12}   events/s",
        "batch", "SQLite", "Cairn", "ratio", "fjall", "file"
    );
    let mut single = None;
    for &batch in &args.batches {
        let count = events_for(args, batch);
        let (mut bare, mut ours, mut keyed, mut file) =
            (Best::default(), Best::default(), Best::default(), Best::default());
        for _ in 0..args.rounds {
            bare.consider(on_empty(args, |folder| {
                bare::batches(folder, batch, count, |n, _| stream(n), Ids::Growing)
            })?);
            ours.consider(on_empty(args, |folder| ours::batches(folder, batch, count))?);
            keyed.consider(on_empty(args, |folder| keyed::batches(folder, batch, count))?);
            file.consider(on_empty(args, |folder| disk::batches(folder, batch, count))?);
        }
        let ratio = ours.per_second() / bare.per_second();
        println!(
            "{batch:<8} {:>12.0} {:>12.0} {ratio:>7.2}x {:>12.0} {:>12.0}",
            bare.per_second(),
            ours.per_second(),
            keyed.per_second(),
            file.per_second()
        );
        if batch == 1 {
            single = ours.0.map(|measured| measured.latency);
        }
    }
    Ok(single)
}

/// Many clients of one event each, who share the commits; beside it, SQLite with as many events in each
/// transaction, on as many streams.
fn compare_clients(args: &Args, ids: Ids) -> anyhow::Result<()> {
    println!(
        "\n{:<8} {:>12} {:>12} {:>8} {:>9} {:>9}   events/s, µs; {}",
        "clients",
        "SQLite",
        "Cairn",
        "ratio",
        "p50",
        "p99",
        ids.name()
    );
    for &clients in &args.clients {
        let count = events_for(args, clients);
        let (mut bare, mut ours) = (Best::default(), Best::default());
        for _ in 0..args.rounds {
            bare.consider(on_empty(args, |folder| bare::batches(folder, clients, count, |_, at| stream(at), ids))?);
            ours.consider(on_empty(args, |folder| ours::clients(folder, clients, count, ids))?);
        }
        let ratio = ours.per_second() / bare.per_second();
        println!(
            "{clients:<8} {:>12.0} {:>12.0} {ratio:>7.2}x {:>9} {:>9}",
            bare.per_second(),
            ours.per_second(),
            ours.quantile(0.5),
            ours.quantile(0.99)
        );
    }
    Ok(())
}

/// Small batches are slow: fewer of them say as much, as long as the write-ahead log goes round some times.
fn events_for(args: &Args, batch: usize) -> usize {
    (batch * 1_000).max(EVENTS_MIN).min(args.events).next_multiple_of(batch)
}

fn on_empty(args: &Args, measure: impl FnOnce(&Path) -> anyhow::Result<Measured>) -> anyhow::Result<Measured> {
    let folder = TempDir::with_prefix_in("bench-append-", &args.folder)?;
    measure(folder.path())
}

/// The best of some measurements.
#[derive(Default)]
pub(crate) struct Best(Option<Measured>);

impl Best {
    pub(crate) fn consider(&mut self, measured: Measured) {
        if measured.per_second() > self.per_second() {
            self.0 = Some(measured);
        }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.0.as_ref().map_or(0.0, Measured::per_second)
    }

    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        self.0.as_ref().map_or(0, |measured| measured.latency.value_at_quantile(quantile))
    }
}
