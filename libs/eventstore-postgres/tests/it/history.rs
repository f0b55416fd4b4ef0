//! Two hundred writers at once, and a checker of the history that they leave.
//!
//! A stream whose writers name the revision that they build on is a register with compare-and-set whose value only grows. Its
//! history is linearizable (Herlihy and Wing, 1990) exactly if every answer fits a moment between its question and itself:
//! revisions are won once each, nobody sees fewer events than were acknowledged before he asked, and nobody more than were asked
//! for before he was answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_eventstore::{AppendFault, Direction, EventStore};
use cairn_kernel::{Expected, Revision};
use futures::future::join_all;

use crate::place::{Place, assert_whole, log, stream, write};

const WRITERS: u64 = 200;
const ROUNDS: u64 = 20;
const STREAMS: u64 = 5;

/// What somebody asked of one stream, and what he was told.
#[derive(Clone, Debug)]
struct Deed {
    stream: u64,
    asked: u64,
    answered: u64,
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// He won this revision.
    Won(u64),
    /// There are so many events: an append behind another revision was refused, or he read.
    Saw(u64),
}

/// Everything in a history that cannot have been.
fn anomalies(deeds: &[Deed]) -> Vec<String> {
    let mut found = vec![];
    let mut streams: HashMap<u64, Vec<&Deed>> = HashMap::new();
    for deed in deeds {
        streams.entry(deed.stream).or_default().push(deed);
    }
    for (stream, deeds) in streams {
        let wins = |deed: &&&Deed| match deed.told {
            Told::Won(revision) => Some(revision),
            Told::Saw(_) => None,
        };
        let mut won: Vec<u64> = deeds.iter().filter_map(|deed| wins(&deed)).collect();
        won.sort_unstable();
        if won != (0..won.len() as u64).collect::<Vec<_>>() {
            found.push(format!("stream {stream}: revisions were won that are no row: {won:?}"));
        }
        for deed in &deeds {
            let count = match deed.told {
                Told::Won(revision) => revision,
                Told::Saw(count) => count,
            };
            let acknowledged =
                deeds.iter().filter(|other| other.answered < deed.asked).filter_map(|other| wins(&other));
            let least = acknowledged.max().map_or(0, |revision| revision + 1);
            let begun = deeds.iter().filter(|other| other.asked < deed.answered).filter_map(|other| wins(&other));
            let most = begun.max().map_or(0, |revision| revision + 1);
            if count < least || count > most {
                found.push(format!("stream {stream}: {deed:?} where there were {least} to {most}"));
            }
        }
        // What one saw, nobody sees fewer of who asks afterwards.
        let mut by_answer = deeds.clone();
        by_answer.sort_unstable_by_key(|deed| deed.answered);
        for deed in &deeds {
            let before = by_answer.iter().take_while(|other| other.answered < deed.asked);
            let seen = before.map(|other| match other.told {
                Told::Won(revision) => revision + 1,
                Told::Saw(count) => count,
            });
            let count = match deed.told {
                Told::Won(revision) => revision,
                Told::Saw(count) => count,
            };
            if seen.max().is_some_and(|seen| count < seen) {
                found.push(format!("stream {stream}: {deed:?} after somebody had seen more"));
            }
        }
    }
    found
}

#[test]
fn the_checker_finds_what_cannot_have_been() {
    let deed = |asked, answered, told| Deed { stream: 1, asked, answered, told };
    let sound =
        [deed(1, 4, Told::Won(0)), deed(2, 5, Told::Saw(1)), deed(6, 9, Told::Won(1)), deed(7, 8, Told::Saw(1))];
    assert_eq!(anomalies(&sound), [""; 0]);
    for (what, unsound) in [
        ("a revision won twice", vec![deed(1, 4, Told::Won(0)), deed(2, 5, Told::Won(0))]),
        ("a lost update", vec![deed(1, 2, Told::Won(0)), deed(3, 4, Told::Won(2))]),
        ("a stale read", vec![deed(1, 2, Told::Won(0)), deed(3, 4, Told::Saw(0))]),
        ("a read of the future", vec![deed(1, 2, Told::Saw(1)), deed(3, 4, Told::Won(0))]),
        ("time that runs back", vec![deed(1, 9, Told::Won(0)), deed(2, 3, Told::Saw(1)), deed(4, 5, Told::Saw(0))]),
    ] {
        assert!(!anomalies(&unsound).is_empty(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_writers_over_postgresql_leave_a_history_without_anomalies_s4_61() {
    let place = Place::new();
    let config = place.config();
    let stores = join_all((0..3).map(|_| async { place.try_open(&config).await.unwrap() })).await;
    let clock = Arc::new(AtomicU64::new(0));
    let writers = (0..WRITERS).map(|writer| {
        let (store, clock) = (Arc::clone(&stores[writer as usize % 3]), Arc::clone(&clock));
        tokio::spawn(async move {
            let (mut deeds, mut known) = (vec![], [0_u64; STREAMS as usize]);
            for round in 0..ROUNDS {
                let at = (writer + round) % STREAMS;
                let count = &mut known[at as usize];
                let asked = clock.fetch_add(1, Ordering::SeqCst);
                let expected = Expected::after(count.checked_sub(1).map(Revision));
                let told = match store.append(vec![write(&format!("s{at}"), expected, [writer * ROUNDS + round])]).await
                {
                    Ok(appended) => Told::Won(appended.revisions[0].unwrap().0),
                    Err(AppendFault::WrongRevision { actual, .. }) => Told::Saw(actual.map_or(0, |last| last.0 + 1)),
                    Err(fault) => panic!("{fault}"),
                };
                let answered = clock.fetch_add(1, Ordering::SeqCst);
                deeds.push(Deed { stream: at, asked, answered, told });
                *count = match told {
                    Told::Won(revision) => revision + 1,
                    Told::Saw(count) => count,
                };
            }
            deeds
        })
    });
    let deeds: Vec<Deed> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(deeds.len() as u64, WRITERS * ROUNDS);
    assert_eq!(anomalies(&deeds), [""; 0]);
    let won = deeds.iter().filter(|deed| matches!(deed.told, Told::Won(_))).count();
    assert!(won > ROUNDS as usize, "somebody got somewhere");
    let events = log(&*stores[0]).await;
    assert_whole(&events);
    assert_eq!(events.len(), won, "what was acknowledged is there, and nothing else");
    for at in 0..STREAMS {
        let last =
            stores[1].read(&stream(&format!("s{at}")), Revision(u64::MAX), Direction::Backwards, 1).await.unwrap();
        let count = deeds.iter().filter(|deed| deed.stream == at && matches!(deed.told, Told::Won(_))).count();
        assert_eq!(last.first().map_or(0, |event| event.revision.0 + 1), count as u64);
    }
}
