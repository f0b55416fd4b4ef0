//! What a database that is away, or not for us, comes to; and rows that it cannot have.

use std::time::Duration;

use cairn_eventstore::Memory;
use cairn_mirror::MirrorState;
use cairn_testkit::postgres::PASSWORD;
use tokio::time::{Instant, sleep};

use crate::equality::{become_equal, link, one};
use crate::shapes::{Replica, SCHEMA, config, postgres, say};

async fn state_where(replica: &Replica, is_so: impl Fn(&MirrorState) -> bool) -> MirrorState {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let state = replica.mirror.as_ref().unwrap().state();
        if is_so(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "{state:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_keeps_the_copy_behind_and_the_view_as_it_is() {
    let (mut server, store) = (postgres(), Memory::new());
    let replica = Replica::new(&store).copies_to(&config(server.url()));
    say(&store, &["INSERT INTO plain VALUES (1, 'one', 1.5, NULL)"]).await;
    become_equal(&server, &replica.model).await;
    for crash in [false, true] {
        if crash {
            server.crash()
        } else {
            server.stop()
        }
        let mut last = cairn_kernel::Position::START;
        for id in 10..60 {
            last =
                say(&store, &[&format!("INSERT OR REPLACE INTO plain VALUES ({id}, 'name {id} {crash}', 1.5, NULL)")])
                    .await;
        }
        replica.reaches(last).await;
        let state = state_where(&replica, |state| state.trouble.is_some() && state.lag >= 50).await;
        assert_eq!(state.openly, Some("the database does not answer as it should"));
        server.start_again();
        become_equal(&server, &replica.model).await;
        state_where(&replica, |state| state.trouble.is_none() && state.lag == 0 && state.writes).await;
    }
    let desk = link(&server).await;
    let filled = "SELECT update_time > fill_time FROM cairn_shapes.checkpoint";
    assert_eq!(one(&desk, filled).await, "true", "it went on from where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_as_such_and_without_it() {
    let (server, store) = (postgres(), Memory::new());
    let replica = Replica::new(&store).copies_to(&config(server.url_of("cairn", "hunter2", "postgres")));
    let state = state_where(&replica, |state| state.trouble.is_some()).await;
    assert_eq!(state.openly, Some("DB_AUTH_FAILED"));
    let why = state.trouble.unwrap();
    assert!(
        why.starts_with("DB_AUTH_FAILED: cairn@127.0.0.1:") && why.contains("password authentication failed"),
        "{why}"
    );
    assert!(!why.contains("hunter2") && !why.contains(PASSWORD), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_another_deployment_and_of_a_newer_program_are_left_alone() {
    let (server, store) = (postgres(), Memory::new());
    let ours = config(server.url());
    let replica = Replica::new(&store).copies_to(&ours);
    say(&store, &["INSERT INTO plain VALUES (1, 'one', 1.5, NULL)"]).await;
    become_equal(&server, &replica.model).await;
    drop(replica);
    let other_store = Memory::new();
    let theirs = cairn_mirror::Config { deployment: "theirs".to_owned(), ..ours.clone() };
    let other = Replica::new(&other_store).copies_to(&theirs);
    let state = state_where(&other, |state| state.trouble.is_some()).await;
    assert_eq!(state.openly, Some("READ_MODELS_FOREIGN"));
    let desk = link(&server).await;
    assert_eq!(one(&desk, &format!("SELECT count(*) FROM {SCHEMA}.plain")).await, "1");
    desk.batch_execute(&format!("UPDATE {SCHEMA}.writer SET version = 99")).await.unwrap();
    let again = Replica::new(&store).copies_to(&ours);
    assert_eq!(state_where(&again, |state| state.trouble.is_some()).await.openly, Some("READ_MODELS_TOO_NEW"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_not_what_its_table_says_is_refused_and_named() {
    let (server, store) = (postgres(), Memory::new());
    let replica = Replica::new(&store).copies_to(&config(server.url()));
    say(&store, &["INSERT INTO bare VALUES ('a note', 'not a number')"]).await;
    let state = state_where(&replica, |state| state.trouble.is_some()).await;
    assert_eq!(state.trouble.as_deref(), Some("bare.amount is INTEGER and holds Text"));
    say(&store, &["UPDATE bare SET amount = 7"]).await;
    become_equal(&server, &replica.model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_noted_down_of_what_is_not_copied_any_more() {
    let store = Memory::new();
    let replica = Replica::new(&store);
    let notes = || {
        replica.model.query(|connection| {
            let sql =
                "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'cairn_changed_*' AND type IN ('table', 'trigger')";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0))
        })
    };
    assert_eq!(notes().await.unwrap(), 0);
    replica.view.record_changes().unwrap().unwrap();
    assert_eq!(notes().await.unwrap(), 8 * 5);
    replica.view.forget_changes().unwrap();
    assert_eq!(notes().await.unwrap(), 0);
}
