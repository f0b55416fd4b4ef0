//! A disk that is full, and one that fails to keep what it was given.

use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, EventStore, Retention};
use cairn_eventstore_sqlite::{Config, Sqlite};
use cairn_kernel::Position;

use crate::support::{Place, eventually, log, sized, stream, write};

#[tokio::test]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers_by_itself() {
    let place = Place::new();
    let config = Config { database_bytes_max: 1 << 20, sweep_interval_ms: 1, ..place.config() };
    let store = place.open(&config);
    let mut stored = 0;
    let fault = loop {
        match store.append(write("a", sized(stored..stored + 1, 20_000))).await {
            Ok(_) => stored += 1,
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, AppendFault::StorageFull);
    assert_eq!(store.trouble(), Some(AppendFault::StorageFull));
    assert!(stored > 20, "only {stored} events fit into a mebibyte");
    assert_eq!(log(&store).await.unwrap().len() as u64, stored);
    // Whatever need not be kept makes room, without anybody appending or restarting anything.
    store.retain(&stream("a"), Retention { max_count: Some(1), ..Retention::default() }).await.unwrap();
    eventually("recovery", async || store.trouble().is_none()).await;
    let appended = store.append(write("a", sized(stored..stored + 1, 20_000))).await.unwrap();
    assert_eq!(appended.position, Position(stored + 1), "a refused append left a gap");
}

/// The log has room prepared when the disk has none any more; but who must take in what is appended has not.
#[tokio::test]
async fn appends_end_while_the_disk_still_has_some_space_and_reads_go_on() {
    let place = Place::new();
    let store = place.open(&place.config());
    store.append(write("a", vec![event(1)])).await.unwrap();
    drop(store);
    let store = place.open(&Config { free_bytes_min: u64::MAX, ..place.config() });
    assert_eq!(store.append(write("a", vec![event(2)])).await, Err(AppendFault::StorageFull));
    assert_eq!(store.trouble(), Some(AppendFault::StorageFull));
    assert_eq!(log(&store).await.unwrap().len(), 1);
    drop(store);
    let store = place.open(&Config { free_bytes_min: 0, ..place.config() });
    assert_eq!(store.append(write("a", vec![event(2)])).await.unwrap().position, Position(2));
}

#[tokio::test]
async fn an_append_that_does_not_fit_takes_its_batch_along_and_leaves_nothing() {
    let place = Place::new();
    let store = place.open(&Config { database_bytes_max: 1 << 20, ..place.config() });
    store.append(write("a", vec![event(1)])).await.unwrap();
    let other = place.past_the_store();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = [
        store.append(write("b", vec![event(2)])),
        store.append(write("c", sized(3..4, 4 << 20))),
        store.append(write("d", vec![event(5)])),
    ];
    other.execute_batch("ROLLBACK").unwrap();
    for appending in batch {
        // Whoever was committed before the large one came is stored; nobody is half stored.
        assert!(matches!(appending.await, Ok(_) | Err(AppendFault::StorageFull)));
    }
    eventually("recovery", async || store.trouble().is_none()).await;
    let known = log(&store).await.unwrap().len() as u64;
    assert!(known < 4);
    let next = store.append(write("e", vec![event(6)])).await.unwrap();
    assert_eq!(next.position, Position(known + 1));
}

#[tokio::test]
async fn a_failed_sync_ends_the_writer_before_anybody_is_answered() {
    let place = Place::new();
    let (lost, reports) = mpsc::channel();
    let report = move |why: &str| lost.send(why.to_owned()).unwrap();
    let clock = Arc::new(place.clock.clone());
    let store = Sqlite::open_with(&place.config(), clock, Box::new(report)).unwrap();
    store.append(write("a", vec![event(1)])).await.unwrap();
    // From now on the log's file takes every write and fails every sync.
    redirect(&place.wal(), "/dev/null");
    let unanswered = store.append(write("a", vec![event(2)])).await;
    assert!(matches!(unanswered, Err(AppendFault::Unavailable(_))), "{unanswered:?}");
    let why = reports.try_recv().expect("the end of the process comes before the answer");
    assert!(why.contains("I/O"), "{why}");
    let later = store.append(write("a", vec![event(3)])).await;
    assert!(matches!(later, Err(AppendFault::Unavailable(_))), "{later:?}");
    assert!(matches!(store.trouble(), Some(AppendFault::Unavailable(_))));
    assert_eq!(*store.head().borrow(), Position(1));
    // What is on the disk decides.
    let crashed = place.crashed();
    assert_eq!(log(&crashed.open(&crashed.config())).await.unwrap().len(), 1);
}

/// Lets this process's descriptors of one file lead elsewhere.
fn redirect(file: &Path, to: &str) {
    let device = std::fs::OpenOptions::new().read(true).write(true).open(to).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap().path();
        if std::fs::read_link(&entry).is_ok_and(|target| target == file) {
            let descriptor: RawFd = entry.file_name().unwrap().to_str().unwrap().parse().unwrap();
            // SAFETY: both descriptors are open, and SQLite keeps using the number, which is the point.
            #[allow(unsafe_code)]
            let outcome = unsafe { libc::dup2(device.as_raw_fd(), descriptor) };
            assert_eq!(outcome, descriptor);
            count += 1;
        }
    }
    assert!(count > 0, "{} is not open", file.display());
}
