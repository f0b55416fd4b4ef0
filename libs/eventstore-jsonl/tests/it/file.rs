//! What stands in the file, and what becomes of a file that a crash or a hand has changed.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use cairn_eventstore::conformance::event;
use cairn_eventstore::{AppendFault, EventStore, NewEvent, Write};
use cairn_eventstore_jsonl::{Config, Jsonl, OpenFault};
use cairn_kernel::{Expected, Position, StreamName};
use serde_json::Value;

use crate::place::Place;

async fn append(store: &Jsonl, stream: &str, events: Vec<NewEvent>) -> Result<Position, AppendFault> {
    let write = Write::new(StreamName::of("test.count", stream), Expected::Any, events);
    store.append(vec![write]).await.map(|appended| appended.position)
}

fn head(store: &Jsonl) -> u64 {
    store.head().borrow().0
}

/// Three appends of two events each, one sync after the other.
async fn filled(place: &Place) {
    let store = place.opened();
    for n in 0..3 {
        append(&store, "a", vec![event(2 * n), event(2 * n + 1)]).await.unwrap();
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_line_says_what_happened_in_words_and_holds_it_to_the_byte() {
    let place = Place::new();
    let odd =
        NewEvent { metadata: Bytes::from_static(b"{\n}\xff"), payload: Bytes::from_static(b"\0\xfe"), ..event(7) };
    append(&place.opened(), "a", vec![event(1), odd.clone()]).await.unwrap();
    let lines = place.lines();
    assert_eq!(lines.len(), 1);
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    let first = &line["events"][0];
    assert_eq!((&first["position"], &first["revision"]), (&1.into(), &0.into()));
    assert_eq!(
        (first["stream"].as_str(), first["time"].as_str()),
        (Some("test.count-a"), Some("2027-01-15T08:00:00Z"))
    );
    assert_eq!(first["metadata"]["principal"], "users/1");
    assert_eq!(first["data"]["says"], "payload 1");
    let found = place.opened().find(odd.id).await.unwrap().unwrap();
    assert_eq!((&found.metadata, &found.payload), (&odd.metadata, &odd.payload));
}

#[tokio::test]
async fn an_append_that_a_crash_cut_off_never_was_wherever_it_was_cut() {
    let place = Place::new();
    filled(&place).await;
    let whole = fs::read(place.path()).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for end in last..whole.len() {
        change(&place.path(), |bytes| *bytes = whole[..end].to_vec());
        let store = place.opened();
        assert_eq!(head(&store), 4, "cut at {end}");
        assert_eq!(append(&store, "a", vec![event(9)]).await, Ok(Position(5)));
        drop(store);
        assert_eq!(head(&place.opened()), 5);
    }
}

#[tokio::test]
async fn what_was_changed_among_what_was_synced_is_refused_and_left_as_it_is() {
    let place = Place::new();
    filled(&place).await;
    let whole = fs::read(place.path()).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let end = second + whole[second..].iter().position(|byte| *byte == b'\n').unwrap();
    for at in (second..end).step_by(7) {
        let damaged: Vec<u8> =
            whole.iter().enumerate().map(|(n, byte)| if n == at { byte ^ 1 } else { *byte }).collect();
        change(&place.path(), |bytes| bytes.clone_from(&damaged));
        let refused = place.try_open(&Config::at(place.path())).err().unwrap();
        assert!(matches!(refused, OpenFault::Damaged { line: 2, .. }), "byte {at}: {refused}");
        assert_eq!(fs::read(place.path()).unwrap(), damaged);
    }
    // A line that is gone, and two that changed places.
    for lines in [[0, 2].as_slice(), &[0, 2, 1], &[1, 2]] {
        let all: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        change(&place.path(), |bytes| *bytes = lines.iter().flat_map(|line| all[*line].to_vec()).collect());
        assert!(matches!(place.try_open(&Config::at(place.path())), Err(OpenFault::Damaged { .. })), "{lines:?}");
    }
}

#[tokio::test]
async fn a_file_has_one_writer() {
    let place = Place::new();
    let store = place.opened();
    let refused = place.try_open(&Config::at(place.path())).err().unwrap();
    assert!(matches!(refused, OpenFault::InUse { .. }), "{refused}");
    drop(store);
    place.opened();
}

#[tokio::test]
async fn a_file_that_is_as_long_as_it_may_be_takes_no_more_and_is_still_read() {
    let place = Place::new();
    let narrow = Config { bytes_max: 1_000, ..Config::at(place.path()) };
    let store = place.try_open(&narrow).unwrap();
    let mut count = 0;
    while store.trouble().is_none() {
        append(&store, "a", vec![event(count)]).await.unwrap();
        count += 1;
    }
    assert!(count > 1);
    assert_eq!(append(&store, "a", vec![event(99)]).await, Err(AppendFault::StorageFull));
    assert!(store.find(event(0).id).await.unwrap().is_some());
    drop(store);
    assert_eq!(head(&place.opened()), count);
}

#[tokio::test]
async fn a_file_of_something_else_is_not_touched() {
    let place = Place::new();
    fs::create_dir_all(place.path().parent().unwrap()).unwrap();
    let mut file = fs::File::create(place.path()).unwrap();
    writeln!(file, "name,age\nada,36").unwrap();
    assert!(matches!(place.try_open(&Config::at(place.path())), Err(OpenFault::NotOurs { .. })));
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "name,age\nada,36\n");
}
