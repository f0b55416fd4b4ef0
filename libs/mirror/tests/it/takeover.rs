//! One process writes; another takes over when it ends, and whoever wrote before cannot any more.

use std::time::{Duration, Instant};

use cairn_eventstore::Memory;

use crate::equality::{become_equal, link, one};
use crate::shapes::{Replica, SCHEMA, config, limits, postgres, say};

async fn turn(link: &cairn_postgres::Link) -> String {
    one(link, &format!("SELECT turn FROM {SCHEMA}.writer")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_takes_over_within_seconds_and_goes_on_from_where_the_copy_is() {
    let (server, store) = (postgres(), Memory::new());
    let config = config(server.url());
    let first = Replica::new(&store).copies_to(&config);
    say(&store, &["INSERT INTO plain VALUES (1, 'one', 1.5, NULL)"]).await;
    become_equal(&server, &first.model).await;
    let second = Replica::new(&store).copies_to(&config);
    let last =
        say(&store, &["INSERT INTO plain VALUES (2, 'two', NULL, x'00')", "DELETE FROM plain WHERE id = 1"]).await;
    become_equal(&server, &first.model).await;
    second.reaches(last).await;
    assert!(first.mirror.as_ref().unwrap().state().writes);
    assert!(!second.mirror.as_ref().unwrap().state().writes);
    let desk = link(&server).await;
    let (of_first, filled) =
        (turn(&desk).await, one(&desk, &format!("SELECT fill_time FROM {SCHEMA}.checkpoint")).await);

    let began = Instant::now();
    drop(first);
    say(&store, &["INSERT INTO plain VALUES (3, 'three', 3, NULL)"]).await;
    second.view.caught_up(tokio::time::Instant::now() + Duration::from_secs(5)).await.unwrap();
    become_equal(&server, &second.model).await;
    assert!(began.elapsed() < limits().lease + Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(second.mirror.as_ref().unwrap().state().writes);
    assert_ne!(turn(&desk).await, of_first);
    // All that changed since was noted down in the other's own file.
    assert_eq!(one(&desk, &format!("SELECT fill_time FROM {SCHEMA}.checkpoint")).await, filled);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_ends_its_turn_at_once_and_leaves_nothing_out() {
    let (server, store) = (postgres(), Memory::new());
    let config = config(server.url());
    let first = Replica::new(&store).copies_to(&config);
    let last = say(&store, &["INSERT INTO plain VALUES (1, 'one', 1.5, NULL)"]).await;
    become_equal(&server, &first.model).await;
    let last = say(&store, &["INSERT INTO plain VALUES (2, 'two', 1.5, NULL)"]).await.max(last);
    first.reaches(last).await;
    first.mirror.as_ref().unwrap().stop(Duration::from_secs(5)).await;
    let desk = link(&server).await;
    assert_eq!(one(&desk, &format!("SELECT count(*) FROM {SCHEMA}.plain")).await, "2");
    assert_eq!(one(&desk, &format!("SELECT until < now() FROM {SCHEMA}.writer")).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lost_its_turn_writes_nothing() {
    let (server, store) = (postgres(), Memory::new());
    let first = Replica::new(&store).copies_to(&config(server.url()));
    say(&store, &["INSERT INTO plain VALUES (1, 'one', 1.5, NULL)"]).await;
    become_equal(&server, &first.model).await;
    let desk = link(&server).await;
    // Somebody who has a turn for a long time, and writes nothing.
    let taken =
        format!("UPDATE {SCHEMA}.writer SET turn = turn + 1, holder = 'other', until = now() + interval '1 hour'");
    desk.batch_execute(&taken).await.unwrap();
    let last = say(&store, &["INSERT INTO plain VALUES (2, 'two', 1.5, NULL)"]).await;
    first.reaches(last).await;
    tokio::time::sleep(limits().lease * 3).await;
    assert_eq!(one(&desk, &format!("SELECT count(*) FROM {SCHEMA}.plain")).await, "1");
    let state = first.mirror.as_ref().unwrap().state();
    assert!(!state.writes && state.trouble.is_none() && state.lag > 0, "{state:?}");
    desk.batch_execute(&format!("UPDATE {SCHEMA}.writer SET until = now()")).await.unwrap();
    become_equal(&server, &first.model).await;
}
