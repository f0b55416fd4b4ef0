//! What it costs a view to note down what changes. Measured, not asserted: `--run-ignored only`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cairn_eventstore::{EventStore, Filter, Memory, NewEvent, Recorded, Write};
use cairn_kernel::{Expected, StreamName};
use cairn_mirror::Mirror;
use cairn_projection::rusqlite::{Transaction, params};
use cairn_projection::{Copied, Limits, Projection, ProjectionFault, ReadModel, View};
use uuid::Uuid;

use crate::shapes::{config, postgres};

const EVENTS: usize = 100_000;
const RUNS: u64 = 1_000;

/// Writes what a batch of a run does: its row, the latest of a metric, and a chunk of points.
struct Logging;

impl Projection for Logging {
    const NAME: &'static str = "test.logging";
    const SCHEMA: &'static str = "
        CREATE TABLE run (id INTEGER PRIMARY KEY, project TEXT NOT NULL, run TEXT NOT NULL, update_us INTEGER NOT NULL, etag INTEGER NOT NULL,
            UNIQUE (project, run));
        CREATE TABLE metric (run INTEGER NOT NULL, key INTEGER NOT NULL, value REAL, step INTEGER NOT NULL, PRIMARY KEY (run, key)) WITHOUT ROWID;
        CREATE INDEX metric_by_value ON metric (key, value, run);
        CREATE TABLE chunk (run INTEGER NOT NULL, chunk INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (run, chunk));
    ";
    const COPIED: Option<Copied> = Some(Copied { left_out: &["chunk"], ..Copied::WHOLE });

    fn filter(&self) -> Filter {
        Filter::all()
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for event in events {
            let at = event.position.0;
            let run = (at % RUNS).cast_signed();
            tx.prepare_cached(
                "INSERT INTO run VALUES (?1, 'default', ?2, ?3, 1) ON CONFLICT (id) DO UPDATE SET update_us = ?3, etag = etag + 1",
            )?
            .execute(params![run, format!("{run:032x}"), at.cast_signed()])?;
            tx.prepare_cached(
                "INSERT INTO metric VALUES (?1, ?2, ?3, ?4) ON CONFLICT (run, key) DO UPDATE SET value = ?3, step = ?4",
            )?
            .execute(params![run, (at % 7).cast_signed(), at as f64, at.cast_signed()])?;
            tx.prepare_cached("INSERT INTO chunk VALUES (?1, ?2, ?3)")?.execute(params![
                run,
                at.cast_signed(),
                &[7_u8; 64]
            ])?;
        }
        Ok(())
    }
}

async fn follow(copies: Option<&cairn_mirror::Config>, notes: bool) -> (Duration, Duration) {
    let (store, folder) = (Memory::new(), tempfile::tempdir().unwrap());
    let model = ReadModel::open(&folder.path().join("view.sqlite"), 1).unwrap();
    let view = View::start_with(
        Arc::new(store.clone()),
        &model,
        Logging,
        Limits { beside_events_min: u64::MAX, ..Limits::default() },
    );
    let view = view.unwrap();
    let changes = if notes { view.record_changes().unwrap() } else { None };
    let _mirror = copies.map(|config| Mirror::start(config, changes.into_iter().collect()).unwrap());
    let event = || NewEvent {
        id: Uuid::new_v4(),
        kind: "test.Logged".into(),
        payload: vec![0; 200].into(),
        metadata: Default::default(),
    };
    let began = Instant::now();
    for part in 0..EVENTS / 1_000 {
        let events = (0..1_000).map(|_| event()).collect();
        store
            .append(vec![Write::new(StreamName::stored(format!("runs-{part}")), Expected::Any, events)])
            .await
            .unwrap();
    }
    view.caught_up(tokio::time::Instant::now() + Duration::from_secs(300)).await.unwrap();
    let took = began.elapsed();
    while _mirror.as_ref().is_some_and(|mirror| mirror.state().lag > 0 || !mirror.state().writes) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (took, began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn cost() {
    let server = postgres();
    for round in 0..3 {
        let (plain, _) = follow(None, false).await;
        let (noted, _) = follow(None, true).await;
        let config = cairn_mirror::Config { schema: format!("cairn_{round}"), ..config(server.url()) };
        let (copied, there) = follow(Some(&config), true).await;
        println!(
            "{EVENTS} events: {plain:?} without notes, {noted:?} with them, {copied:?} while copied, all there after {there:?}"
        );
    }
}
