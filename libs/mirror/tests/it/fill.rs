//! A copy that cannot go on is made anew, and nobody sees half of it.

use std::time::Duration;

use cairn_eventstore::Memory;

use crate::equality::{become_equal, link, one};
use crate::shapes::{LaterShapes, Replica, SCHEMA, config, postgres, say};

/// Rows of a hundred statements each.
fn hundreds(from: usize, to: usize) -> Vec<String> {
    let row = |id| format!("INSERT INTO plain (id, name, score) VALUES ({id}, 'name {id}', {id})");
    (from..to).map(|hundred| (hundred * 100..hundred * 100 + 100).map(row).collect::<Vec<_>>().join(";")).collect()
}

async fn say_all(store: &Memory, statements: &[String]) -> cairn_kernel::Position {
    say(store, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_the_old_copy_until_the_new_one_is_whole() {
    let (server, store) = (postgres(), Memory::new());
    let config = config(server.url());
    let mut replica = Replica::new(&store).copies_to(&config);
    say_all(&store, &hundreds(0, 100)).await;
    become_equal(&server, &replica.model).await;
    let desk = link(&server).await;
    let watched = link(&server).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let watching = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut looks = 0;
            while !stop.is_cancelled() {
                // The view for people and the table, each on its own.
                assert_eq!(one(&watched, &format!("SELECT count(*) FROM {SCHEMA}.scores")).await, "10000");
                assert_eq!(one(&watched, &format!("SELECT count(*) FROM {SCHEMA}.plain")).await, "10000");
                looks += 1;
            }
            looks
        }
    });
    for _ in 0..3 {
        let filled = one(&desk, &format!("SELECT fill_time FROM {SCHEMA}.checkpoint")).await;
        replica.view.rebuild().await.unwrap();
        replica.copy(&config);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while one(&desk, &format!("SELECT fill_time FROM {SCHEMA}.checkpoint")).await == filled {
            assert!(tokio::time::Instant::now() < deadline, "{:?}", replica.mirror.as_ref().unwrap().state());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.cancel();
    assert!(watching.await.unwrap() > 10);
    become_equal(&server, &replica.model).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_other_tables_takes_the_place_of_the_old_copy_and_keeps_who_may_read() {
    let (server, store) = (postgres(), Memory::new());
    let config = config(server.url());
    let replica = Replica::new(&store).copies_to(&config);
    say_all(&store, &hundreds(0, 2)).await;
    become_equal(&server, &replica.model).await;
    let desk = link(&server).await;
    desk.batch_execute(&format!(
        "CREATE ROLE reader; GRANT SELECT ON {SCHEMA}.plain, {SCHEMA}.scores TO reader;
         CREATE SCHEMA theirs; CREATE VIEW theirs.best AS SELECT max(score) AS best FROM {SCHEMA}.scores"
    ))
    .await
    .unwrap();

    // Made anew with the same columns: what stands on the view for people stays.
    replica.view.rebuild().await.unwrap();
    let filled = one(&desk, &format!("SELECT fill_time FROM {SCHEMA}.checkpoint")).await;
    let replica = replica.restart(true, crate::shapes::Shapes).await.copies_to(&config);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while one(&desk, &format!("SELECT fill_time FROM {SCHEMA}.checkpoint")).await == filled {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(one(&desk, "SELECT best FROM theirs.best").await, "199");

    let mut replica = replica.restart(true, LaterShapes).await;
    replica.copy(&config);
    let columns = format!(
        "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '{SCHEMA}.plain'::regclass AND attnum > 0"
    );
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while one(&desk, &columns).await != "id,score,name,data" {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", replica.mirror.as_ref().unwrap().state());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(one(&desk, &format!("SELECT count(*) FROM {SCHEMA}.scores WHERE id >= 0")).await, "200");
    let tables =
        format!("SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = '{SCHEMA}'");
    assert_eq!(one(&desk, &tables).await, "checkpoint,plain,writer", "what is copied no longer goes");
    assert_eq!(one(&desk, &format!("SELECT string_agg(view, ',') FROM {SCHEMA}.checkpoint")).await, "test.shapes.v2");
    let may = format!("SELECT has_table_privilege('reader', '{SCHEMA}.plain', 'SELECT')");
    assert_eq!(one(&desk, &may).await, "true");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_log_that_was_set_back_is_made_anew() {
    let (server, store) = (postgres(), Memory::new());
    let config = config(server.url());
    let replica = Replica::new(&store).copies_to(&config);
    say(&store, &["INSERT INTO plain VALUES (1, 'one', 1, NULL)", "INSERT INTO plain VALUES (2, 'lost', 1, NULL)"])
        .await;
    become_equal(&server, &replica.model).await;
    drop(replica);
    // The same deployment, with a log that was restored and went on otherwise: as long, and longer.
    for more in [0, 3] {
        let other = Memory::new();
        say(
            &other,
            &["INSERT INTO plain VALUES (1, 'one', 1, NULL)", "INSERT INTO plain VALUES (2, 'other', 1, NULL)"],
        )
        .await;
        say_all(&other, &hundreds(1, 1 + more)).await;
        let replica = Replica::new(&other).copies_to(&config);
        replica.view.caught_up(tokio::time::Instant::now() + Duration::from_secs(5)).await.unwrap();
        become_equal(&server, &replica.model).await;
        let shorter = Memory::new();
        let restored = Replica::new(&shorter).copies_to(&config);
        drop(replica);
        become_equal(&server, &restored.model).await;
    }
}
