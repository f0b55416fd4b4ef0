//! Our event store, as services use it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use cairn_eventstore::{EventStore, Filter, Message, NewEvent, Subscription, Write};
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::{Expected, Position, StreamName, SystemClock};
use tokio::runtime::{Builder, Runtime};

use super::events::{Event, Ids, KIND, STREAMS, events, stream};
use super::{Measured, latencies, record};

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}

fn open(folder: &Path) -> anyhow::Result<Arc<Sqlite>> {
    Ok(Arc::new(Sqlite::open(&Config::at(folder.join("events.db")), Arc::new(SystemClock))?))
}

fn names() -> Vec<StreamName> {
    (0..STREAMS).map(|n| StreamName::of("experiments.run", format!("projects/fraud/experiments/7/runs/{n}"))).collect()
}

fn new_event(event: Event, ids: Ids) -> NewEvent {
    NewEvent { id: ids.next(), kind: KIND.into(), payload: event.payload, metadata: event.metadata }
}

/// One client that appends batches and waits for each.
pub(super) fn batches(folder: &Path, batch: usize, count: usize) -> anyhow::Result<Measured> {
    let (store, names) = (open(folder)?, names());
    let mut events = events(count).into_iter();
    runtime()?.block_on(async move {
        let mut latency = latencies();
        let started = Instant::now();
        for n in 0..count.div_ceil(batch) {
            let since = Instant::now();
            let batch = events.by_ref().take(batch).map(|event| new_event(event, Ids::Growing)).collect();
            store.append(vec![Write::new(names[stream(n)].clone(), Expected::Any, batch)]).await?;
            record(&mut latency, since);
        }
        Ok(Measured::new(count, started.elapsed(), latency))
    })
}

/// Clients that append one event at a time, each on streams of its own.
pub(super) fn clients(folder: &Path, clients: usize, count: usize, ids: Ids) -> anyhow::Result<Measured> {
    let (store, names) = (open(folder)?, names());
    let shares: Vec<Vec<Event>> = events(count).chunks(count.div_ceil(clients)).map(<[Event]>::to_vec).collect();
    runtime()?.block_on(async move {
        let started = Instant::now();
        let clients: Vec<_> = shares
            .into_iter()
            .enumerate()
            .map(|(client, share)| {
                tokio::spawn(client_of(Arc::clone(&store), names[stream(client)].clone(), ids, share))
            })
            .collect();
        let mut latency = latencies();
        for client in clients {
            latency.add(client.await??)?;
        }
        Ok(Measured::new(count, started.elapsed(), latency))
    })
}

async fn client_of(
    store: Arc<Sqlite>,
    name: StreamName,
    ids: Ids,
    share: Vec<Event>,
) -> anyhow::Result<hdrhistogram::Histogram<u64>> {
    let mut latency = latencies();
    for event in share {
        let since = Instant::now();
        store.append(vec![Write::new(name.clone(), Expected::Any, vec![new_event(event, ids)])]).await?;
        record(&mut latency, since);
    }
    Ok(latency)
}

/// One subscriber that reads a whole log, as a rebuild of a read model does.
pub(super) fn replay(folder: &Path, count: usize) -> anyhow::Result<Measured> {
    batches(folder, 256, count)?;
    let store = open(folder)?;
    runtime()?.block_on(async move {
        let mut subscription = Subscription::new(store, Position::START, Filter::all());
        let mut seen = 0;
        let started = Instant::now();
        loop {
            match subscription.next().await? {
                Message::Events(events) => seen += events.len(),
                Message::Checkpoint(_) => {}
                Message::CaughtUp(_) => break,
            }
        }
        Ok(Measured::new(seen, started.elapsed(), latencies()))
    })
}
