//! A log carried between engines is the same log: every position, revision, id, time and byte, and what comes next.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_carry::{CarryFault, carry, compare, digest};
use cairn_eventstore::{AppendFault, Carried, Direction, EventStore, Filter, NewEvent, Retention, Write};
use cairn_eventstore_jsonl::Copied;
use cairn_eventstore_postgres::Postgres;
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::{Expected, Position, Revision, SimClock, StreamName};
use cairn_testkit::postgres::Postgres as Server;
use tempfile::TempDir;
use uuid::Uuid;

fn stream(id: u64) -> StreamName {
    StreamName::of("test.carried", id.to_string())
}

fn event(n: u64) -> NewEvent {
    NewEvent {
        id: Uuid::from_u128(u128::from(n) << 64 | 0x8000),
        kind: format!("cairn.test.events.v1.Kind{}", n % 7).into(),
        payload: Bytes::from(n.to_be_bytes().repeat(n as usize % 40)),
        metadata: Bytes::from(format!(r#"{{"principal":"users/{n}"}}"#)),
    }
}

fn sqlite(folder: &Path, name: &str, clock: &SimClock) -> Sqlite {
    let config = cairn_eventstore_sqlite::Config {
        cached_heads_max: 8,
        sweep_interval_ms: 10,
        ..cairn_eventstore_sqlite::Config::at(folder.join(name))
    };
    Sqlite::open(&config, Arc::new(clock.clone())).unwrap()
}

async fn postgres(server: &Server, schema: &str, clock: &SimClock) -> Postgres {
    let config = cairn_eventstore_postgres::Config {
        schema: schema.to_owned(),
        ..cairn_eventstore_postgres::Config::at(server.url())
    };
    Postgres::open(&config, Arc::new(clock.clone())).await.unwrap()
}

fn copied(folder: &Path, name: &str) -> Copied {
    Copied::create(&folder.join(name), Arc::new(|_, _| None)).unwrap()
}

/// Appends in batches of many sizes, to many streams, with time passing; two streams keep little, and have lost some.
async fn fill(store: &Sqlite, clock: &SimClock) {
    let counted = Retention { max_count: Some(3), ..Retention::default() };
    let aged = Retention { max_age: Some(Duration::from_secs(60)), ..Retention::default() };
    for round in 0..200_u64 {
        clock.advance(Duration::from_millis(round % 3));
        let writes = (0..=round % 4).map(|part| {
            let events = (0..=(round + part) % 5).map(|at| event(round * 100 + part * 10 + at)).collect();
            Write::new(stream((round * 7 + part) % 40 * 4 + part), Expected::Any, events)
        });
        store.append(writes.collect()).await.unwrap();
    }
    for (id, retention) in [(0, counted), (5, aged)] {
        store
            .append(vec![Write::new(stream(id), Expected::Any, (0..9).map(|n| event(90_000 + id * 100 + n)).collect())])
            .await
            .unwrap();
        store.retain(&stream(id), retention).await.unwrap();
    }
    clock.advance(Duration::from_secs(120));
    store.append(vec![Write::new(stream(777), Expected::NoStream, vec![event(99_999)])]).await.unwrap();
    // Until what is not kept is gone: then positions have holes.
    let kept = async |id| {
        let all = store.held(Position::START, usize::MAX >> 1).await.unwrap();
        all.iter().filter(|event| event.stream == stream(id)).count()
    };
    while kept(0).await > 3 || kept(5).await > 1 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Carries, compares, and says so.
async fn arrives(from: &dyn Carried, to: &dyn Carried) {
    let before = digest(from, |_| ()).await.unwrap();
    let reached = carry(from, to, |_| ()).await.unwrap();
    assert_eq!(reached, from.end().await.unwrap());
    assert_eq!(compare(from, to, |_| ()).await.unwrap(), before);
    assert_eq!(digest(to, |_| ()).await.unwrap(), before);
    let mut retentions = [from.retentions().await.unwrap(), to.retentions().await.unwrap()];
    retentions.iter_mut().for_each(|all| all.sort_by_key(|(stream, _)| stream.to_string()));
    assert_eq!(retentions[0], retentions[1]);
    // Once more does nothing.
    assert_eq!(carry(from, to, |_| ()).await.unwrap(), reached);
}

/// What is shown of a log, and where it goes on.
async fn goes_on_alike(one: &dyn EventStore, other: &dyn EventStore) {
    let shown = async |store: &dyn EventStore| {
        let (mut events, mut from) = (vec![], Position::START);
        loop {
            let page = store.read_all(from, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
            events.extend(page.events);
            from = page.considered;
            if page.is_end {
                return events;
            }
        }
    };
    assert_eq!(shown(one).await, shown(other).await);
    for id in [0, 5, 8, 777, 4_711] {
        let next = vec![Write::new(stream(id), Expected::Any, vec![event(200_000 + id)])];
        assert_eq!(one.append(next.clone()).await.unwrap(), other.append(next).await.unwrap(), "stream {id}");
    }
    // An event that was there before is known to be a repeat.
    let known = vec![Write::new(stream(777), Expected::Any, vec![event(99_999)])];
    let (repeat, same) = (one.append(known.clone()).await.unwrap(), other.append(known).await.unwrap());
    assert!(repeat.is_repeat, "{repeat:?}");
    assert_eq!(repeat, same);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_carried_to_a_file_and_back() {
    let (home, clock) = (TempDir::new().unwrap(), SimClock::default());
    let first = sqlite(home.path(), "first.db", &clock);
    fill(&first, &clock).await;
    let file = copied(home.path(), "log.jsonl");
    arrives(&first, &file).await;
    drop(file);
    let file = Copied::open(&home.path().join("log.jsonl"), Arc::new(|_, _| None)).unwrap();
    let second = sqlite(home.path(), "second.db", &clock);
    arrives(&file, &second).await;
    goes_on_alike(&first, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_carried_to_postgresql_and_back() {
    let server = Server::started(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let (home, clock) = (TempDir::new().unwrap(), SimClock::default());
    let first = sqlite(home.path(), "first.db", &clock);
    fill(&first, &clock).await;
    let database = postgres(&server, "carried", &clock).await;
    arrives(&first, &database).await;
    let second = sqlite(home.path(), "second.db", &clock);
    arrives(&database, &second).await;
    let third = postgres(&server, "carried_again", &clock).await;
    arrives(&second, &third).await;
    // Its writer takes up where the events of another log end.
    database.head().wait_for(|head| head.0 >= third.head().borrow().0).await.unwrap();
    goes_on_alike(&first, &database).await;
    goes_on_alike(&second, &third).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_broken_off_goes_on_and_nothing_of_it_is_taken_on_trust() {
    let (home, clock) = (TempDir::new().unwrap(), SimClock::default());
    let first = sqlite(home.path(), "first.db", &clock);
    fill(&first, &clock).await;
    let part = first.held(Position::START, 120).await.unwrap();
    let (whole, other) = (sqlite(home.path(), "part.db", &clock), sqlite(home.path(), "other.db", &clock));
    whole.take_over(part.clone()).await.unwrap();
    arrives(&first, &whole).await;
    // A log that begins otherwise, at its end or before.
    other.append(vec![Write::new(stream(1), Expected::Any, vec![event(1)])]).await.unwrap();
    assert!(matches!(carry(&first, &other, |_| ()).await, Err(CarryFault::OfAnother(Position(1)))));
    let forged = sqlite(home.path(), "forged.db", &clock);
    let mut changed = part.clone();
    let mut one = (*changed[40]).clone();
    one.payload = Bytes::from_static(b"another");
    changed[40] = Arc::new(one);
    forged.take_over(changed).await.unwrap();
    carry(&first, &forged, |_| ()).await.unwrap();
    let found = compare(&first, &forged, |_| ()).await;
    assert!(matches!(found, Err(CarryFault::Differs(at)) if at == part[40].position), "{found:?}");
    let short = sqlite(home.path(), "short.db", &clock);
    let missing: Vec<_> = part.iter().filter(|event| event.position != part[60].position).cloned().collect();
    short.take_over(missing).await.unwrap();
    carry(&first, &short, |_| ()).await.unwrap();
    let found = compare(&first, &short, |_| ()).await;
    assert!(matches!(found, Err(CarryFault::Missing(at)) if at == part[60].position), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_do_not_follow_are_refused_whole() {
    let (home, clock) = (TempDir::new().unwrap(), SimClock::default());
    let first = sqlite(home.path(), "first.db", &clock);
    fill(&first, &clock).await;
    let part = first.held(Position::START, 10).await.unwrap();
    let target = sqlite(home.path(), "target.db", &clock);
    let mut again = part.clone();
    again.push(Arc::clone(&part[3]));
    assert!(matches!(target.take_over(again).await, Err(AppendFault::Invalid(_))), "a position twice");
    let mut revision = part.clone();
    let mut one = (*part[9]).clone();
    (one.stream, one.revision) = (part[0].stream.clone(), Revision(0));
    revision[9] = Arc::new(one);
    assert!(matches!(target.take_over(revision).await, Err(AppendFault::Invalid(_))), "a revision twice");
    assert_eq!(target.end().await.unwrap(), Position::START);
    assert_eq!(digest(&target, |_| ()).await.unwrap().events, 0);
    target.take_over(part).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_breaks_off_is_not_read_and_is_gone_on_with() {
    let (home, clock) = (TempDir::new().unwrap(), SimClock::default());
    let first = sqlite(home.path(), "first.db", &clock);
    fill(&first, &clock).await;
    arrives(&first, &copied(home.path(), "log.jsonl")).await;
    let path = home.path().join("log.jsonl");
    let text = std::fs::read(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 700]).unwrap();
    assert!(Copied::open(&path, Arc::new(|_, _| None)).is_err());
    arrives(&first, &copied(home.path(), "log.jsonl")).await;
    // A byte that is not what was written is found at its line.
    let text = std::fs::read(&path).unwrap();
    let mut flipped = text.clone();
    let at = text.len() / 2;
    flipped[at] = if text[at] == b'0' { b'1' } else { b'0' };
    std::fs::write(&path, &flipped).unwrap();
    let line = text[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let refused = Copied::open(&path, Arc::new(|_, _| None)).err().unwrap().to_string();
    assert!(refused.contains(&format!("line {line}")), "{refused}");
}
