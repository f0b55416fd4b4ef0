//! The write-ahead log's file: prepared ahead of what is written, and started anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cairn_eventstore::{Direction, EventStore, Filter};
use cairn_eventstore_sqlite::Config;
use cairn_kernel::Position;

use crate::support::{Place, eventually, log, sized, write};

fn length(place: &Place) -> u64 {
    std::fs::metadata(place.wal()).map_or(0, |metadata| metadata.len())
}

#[tokio::test]
async fn appends_overwrite_what_is_prepared_and_lengthen_nothing() {
    let place = Place::new();
    let store = place.open(&place.config());
    eventually("preparation", async || length(&place) >= 4 << 20).await;
    let prepared = length(&place);
    for n in 0..40 {
        store.append(write("a", sized(n..n + 1, 500))).await.unwrap();
        assert_eq!(length(&place), prepared, "append {n} lengthened the log");
    }
    let crashed = place.crashed();
    assert_eq!(log(&crashed.open(&crashed.config())).await.unwrap().len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_starts_anew_although_there_is_always_somebody_who_reads() {
    let place = Place::new();
    let config = Config { checkpoint_bytes: 1 << 20, readers: 8, ring_events_max: 0, ..place.config() };
    let store = place.open(&config);
    store.append(write("a", sized(0..500, 500))).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (store, is_over) = (Arc::clone(&store), Arc::clone(&is_over));
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    store.read_all(Position::START, Direction::Forwards, &Filter::all(), 500).await.unwrap();
                }
            })
        })
        .collect();
    for n in 0..600 {
        store.append(write("a", sized(1_000 + n * 10..1_000 + (n + 1) * 10, 2_000))).await.unwrap();
    }
    let grown = length(&place);
    is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    // Twelve mebibytes and more were written.
    assert!(grown < 4 << 20, "the log grew to {grown} bytes");
}
