//! Durable appends in PostgreSQL: our store beside the same batches in bare SQL, on the same server in the same run.
//!
//! The server is one of its own, with `fsync` on and its usual settings. Contenders take turns and each starts with empty
//! tables; the best of the rounds counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cairn_eventstore::{EventStore, NewEvent, Write};
use cairn_eventstore_postgres::{Config, Postgres};
use cairn_kernel::{Expected, StreamName, SystemClock};
use cairn_testkit::postgres::Postgres as Server;
use futures::future::try_join_all;
use tokio::runtime::Builder;

use crate::append::events::{Event, Ids, KIND, STREAMS, events, stream};
use crate::append::{Best, Measured, latencies, record};

mod bare;

const BATCHES: [usize; 4] = [1, 16, 256, 4_096];
const CLIENTS: [usize; 4] = [1, 16, 64, 256];
/// Fewest events per measurement.
const EVENTS_MIN: usize = 10_000;

/// Compares durable appends in PostgreSQL.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where the server's folder is copied from: an empty cluster, made if it is not there.
    #[arg(long, default_value = "target/tmp")]
    cache: PathBuf,
    /// How often each contender is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Most events per measurement.
    #[arg(long, default_value_t = 100_000)]
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
        Self {
            cache: "target/tmp".into(),
            rounds: 3,
            events: 100_000,
            batches: BATCHES.into(),
            clients: CLIENTS.into(),
        }
    }
}

/// A server with a new schema for each measurement.
struct Bench {
    server: Server,
    schemas: usize,
}

impl Bench {
    fn schema(&mut self) -> String {
        self.schemas += 1;
        format!("bench{}", self.schemas)
    }

    /// Several processes' stores over one empty log.
    async fn stores(&mut self, count: usize) -> anyhow::Result<Vec<Arc<Postgres>>> {
        let config = Config { schema: self.schema(), ..Config::at(self.server.url()) };
        let mut stores = vec![];
        for _ in 0..count {
            stores.push(Arc::new(Postgres::open(&config, Arc::new(SystemClock)).await?));
        }
        Ok(stores)
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if cairn_testkit::postgres::programs().is_none() {
        println!("no PostgreSQL here: not measured");
        return Ok(());
    }
    let mut bench = Bench { server: Server::started(&args.cache), schemas: 0 };
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        println!("\n{:<8} {:>12} {:>12} {:>8}   events/s in PostgreSQL", "batch", "SQL", "Cairn", "ratio");
        for &batch in &args.batches {
            let count = events_for(args, batch);
            let (mut bare, mut ours) = (Best::default(), Best::default());
            for _ in 0..args.rounds {
                bare.consider(
                    bare::batches(&bench.server.url(), &bench.schema(), batch, count, |n, _| stream(n)).await?,
                );
                ours.consider(batches(&mut bench, batch, count).await?);
            }
            let ratio = ours.per_second() / bare.per_second();
            println!("{batch:<8} {:>12.0} {:>12.0} {ratio:>7.2}x", bare.per_second(), ours.per_second());
        }
        println!(
            "\n{:<8} {:>12} {:>12} {:>8} {:>9} {:>9} {:>14}   events/s, µs",
            "clients", "SQL", "Cairn", "ratio", "p50", "p99", "two processes"
        );
        for &clients_count in &args.clients {
            let count = events_for(args, clients_count);
            let (mut bare, mut ours, mut two) = (Best::default(), Best::default(), Best::default());
            for _ in 0..args.rounds {
                let url = bench.server.url();
                bare.consider(bare::batches(&url, &bench.schema(), clients_count, count, |_, at| stream(at)).await?);
                ours.consider(clients(bench.stores(1).await?, clients_count, count).await?);
                two.consider(clients(bench.stores(2).await?, clients_count, count).await?);
            }
            println!(
                "{clients_count:<8} {:>12.0} {:>12.0} {:>7.2}x {:>9} {:>9} {:>14.0}",
                bare.per_second(),
                ours.per_second(),
                ours.per_second() / bare.per_second(),
                ours.quantile(0.5),
                ours.quantile(0.99),
                two.per_second()
            );
        }
        Ok(())
    })
}

/// Small batches are slow: fewer of them say as much.
fn events_for(args: &Args, batch: usize) -> usize {
    (batch * 400).max(EVENTS_MIN).min(args.events).next_multiple_of(batch)
}

fn name(n: usize) -> StreamName {
    StreamName::of("experiments.run", format!("projects/fraud/experiments/7/runs/{}", n % STREAMS))
}

fn new_event(event: Event) -> NewEvent {
    NewEvent { id: Ids::Growing.next(), kind: KIND.into(), payload: event.payload, metadata: event.metadata }
}

/// One client that appends batches and waits for each.
async fn batches(bench: &mut Bench, batch: usize, count: usize) -> anyhow::Result<Measured> {
    let store = bench.stores(1).await?.remove(0);
    let mut events = events(count).into_iter();
    let mut latency = latencies();
    let started = Instant::now();
    for n in 0..count.div_ceil(batch) {
        let since = Instant::now();
        let batch = events.by_ref().take(batch).map(new_event).collect();
        store.append(vec![Write::new(name(stream(n)), Expected::Any, batch)]).await?;
        record(&mut latency, since);
    }
    Ok(Measured::new(count, started.elapsed(), latency))
}

/// Clients that append one event at a time, each to a stream of its own, in turns through the stores.
async fn clients(stores: Vec<Arc<Postgres>>, clients: usize, count: usize) -> anyhow::Result<Measured> {
    let share = count.div_ceil(clients);
    let started = Instant::now();
    let tasks = (0..clients).map(|client| {
        let store = Arc::clone(&stores[client % stores.len()]);
        tokio::spawn(async move {
            let mut latency = latencies();
            for event in events(share) {
                let since = Instant::now();
                store.append(vec![Write::new(name(client), Expected::Any, vec![new_event(event)])]).await?;
                record(&mut latency, since);
            }
            anyhow::Ok(latency)
        })
    });
    let mut latency = latencies();
    for one in try_join_all(tasks).await? {
        latency.add(one?)?;
    }
    Ok(Measured::new(share * clients, started.elapsed(), latency))
}
