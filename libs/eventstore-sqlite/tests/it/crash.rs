//! What a crash leaves behind.

use std::fs::OpenOptions;

use cairn_eventstore::EventStore;
use cairn_eventstore::conformance::event;
use cairn_kernel::Revision;

use crate::support::{Place, log, sized, stream, write};

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_crash() {
    let place = Place::new();
    let store = place.open(&place.config());
    for n in 0..50 {
        store.append(write("a", vec![event(n)])).await.unwrap();
    }
    // Taken while the store is open: nobody had a chance to tidy up.
    let crashed = place.crashed();
    let found = log(&crashed.open(&crashed.config())).await.unwrap();
    assert_eq!(found, log(&store).await.unwrap());
    assert_eq!(found.len(), 50);
}

#[tokio::test]
async fn a_torn_write_ahead_log_loses_whole_appends_from_the_end_and_nothing_else() {
    let place = Place::new();
    let store = place.open(&place.config());
    for n in 0..12 {
        store.append(write("a", sized(n * 3..(n + 1) * 3, 700))).await.unwrap();
    }
    let whole = log(&store).await.unwrap();
    let size = written(&place);
    let mut lengths = vec![];
    for cut in (0..=16).map(|step| size * step / 16) {
        for is_garbled in [false, true] {
            let crashed = place.crashed();
            tear(&crashed, cut, is_garbled);
            let store = crashed.open(&crashed.config());
            let found = log(&store).await.unwrap();
            assert_eq!(found, whole[..found.len()], "cut at {cut} of {size}");
            assert_eq!(found.len() % 3, 0, "half an append was left by a cut at {cut} of {size}");
            let appended = store.append(write("a", sized(100..101, 10))).await.unwrap();
            assert_eq!(appended.revisions, [Some(Revision(found.len() as u64))]);
            lengths.push(found.len());
        }
    }
    assert!(lengths.windows(2).all(|pair| pair[0] <= pair[1]), "a longer log kept less: {lengths:?}");
    assert_eq!((lengths.first(), lengths.last()), (Some(&0), Some(&36)));
}

/// Bytes of the write-ahead log. What follows the last frame is only prepared.
pub fn written(place: &Place) -> u64 {
    std::fs::read(place.wal()).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

/// Cuts the write-ahead log, or overwrites what follows the cut, as a disk does that lost its last writes.
pub fn tear(place: &Place, cut: u64, is_garbled: bool) {
    let file = OpenOptions::new().write(true).open(place.wal()).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(cut).unwrap();
    if is_garbled {
        file.set_len(size).unwrap();
    }
}

#[tokio::test]
async fn what_was_accepted_is_finished_when_the_store_is_dropped() {
    let place = Place::new();
    let store = place.open(&place.config());
    let queued: Vec<_> = (0..500).map(|n| store.append(write("a", vec![event(n)]))).collect();
    drop(store);
    for appending in queued {
        appending.await.unwrap();
    }
    let store = place.open(&place.config());
    assert_eq!(
        store.read(&stream("a"), Revision(0), cairn_eventstore::Direction::Forwards, 999).await.unwrap().len(),
        500
    );
}
