//! What a store says that cannot be opened, and what it finds when it can.

use std::time::{Duration, Instant};

use cairn_eventstore_postgres::{Config, OpenFault};
use futures::future::join_all;

use crate::place::{Place, append, client, log, reached};

#[tokio::test]
async fn a_wrong_password_fails_at_once_with_its_reason_and_without_the_password_s1_60() {
    let place = Place::new();
    let started = Instant::now();
    let fault = place.try_open(&Config::at(place.server.url_of("cairn", "hunter2", "postgres"))).await.err().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    assert!(matches!(fault, OpenFault::Refused { .. }), "{fault:?}");
    let said = format!("{fault} {fault:?}");
    assert!(said.contains("DB_AUTH_FAILED") && said.contains("password authentication failed"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let logged = std::fs::read_to_string(place.server.folder().join("log")).unwrap();
    assert_eq!(logged.matches("password authentication failed").count(), 1, "it was tried again: {logged}");

    let nobody = place.try_open(&Config::at(place.server.url_of("nobody", "x", "postgres"))).await.err().unwrap();
    assert!(matches!(nobody, OpenFault::Refused { .. }), "{nobody:?}");
    let silent = format!("postgres://cairn@127.0.0.1:{}/postgres", place.server.port());
    let silent = place.try_open(&Config::at(silent)).await.err().unwrap();
    assert!(matches!(silent, OpenFault::Refused { .. }), "{silent:?}");
}

#[tokio::test]
async fn what_is_not_there_or_does_not_answer_is_named_within_seconds() {
    let place = Place::new();
    let missing =
        place.try_open(&Config::at(place.server.url_of("cairn", "correct-horse", "none"))).await.err().unwrap();
    assert!(missing.to_string().contains(r#"database "none" does not exist"#), "{missing}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for url in
        [format!("postgres://ada:hunter2@127.0.0.1:{port}/db"), "postgres://ada:hunter2@127.0.0.1:1/db".to_owned()]
    {
        let started = Instant::now();
        let config = Config { connect_timeout_ms: 500, ..Config::at(url) };
        let fault = place.try_open(&config).await.err().unwrap();
        assert!(matches!(fault, OpenFault::Unreachable { .. }), "{fault:?}");
        assert!(fault.to_string().starts_with("DB_UNREACHABLE: ada@127.0.0.1:"), "{fault}");
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[tokio::test]
async fn many_who_open_an_empty_database_at_once_make_one_log() {
    let place = Place::new();
    let config = place.config();
    let stores = join_all((0..8).map(|_| place.try_open(&config))).await;
    let stores: Vec<_> = stores.into_iter().map(Result::unwrap).collect();
    assert!(stores.iter().all(|store| store.log() == stores[0].log()));
    for (n, store) in (0..).zip(&stores) {
        append(&**store, "a", [n]).await.unwrap();
    }
    reached(&*stores[0], 8).await;
    assert_eq!(log(&*stores[0]).await.len(), 8);
}

#[tokio::test]
async fn a_log_of_a_newer_version_is_refused_and_left_as_it_is() {
    let place = Place::new();
    let store = place.opened().await;
    append(&*store, "a", [1]).await.unwrap();
    let client = place.client().await;
    client.batch_execute("UPDATE cairn_events.head SET version = 2").await.unwrap();
    let fault = place.try_open(&place.config()).await.err().unwrap();
    assert!(matches!(fault, OpenFault::TooNew { found: 2, known: 1, .. }), "{fault:?}");
    // Whoever has it open already does not write beside the newer ones.
    let refused = append(&*store, "a", [2]).await.unwrap_err();
    assert!(refused.to_string().contains("version 2"), "{refused}");
    client.batch_execute("UPDATE cairn_events.head SET version = 1").await.unwrap();
    assert_eq!(append(&*place.opened().await, "a", [2]).await.unwrap().0, 2);
}

#[tokio::test]
async fn tables_of_somebody_else_are_refused_and_left_as_they_are() {
    let place = Place::new();
    let client = place.client().await;
    client.batch_execute("CREATE SCHEMA theirs; CREATE TABLE theirs.head (one int)").await.unwrap();
    let config = Config { schema: "theirs".to_owned(), ..place.config() };
    let fault = place.try_open(&config).await.err().unwrap();
    assert!(matches!(fault, OpenFault::NotOurs { .. }), "{fault:?}");
    let tables = client.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'theirs'", &[]).await.unwrap();
    assert_eq!(tables.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_user_who_may_make_nothing_uses_what_was_made_for_it() {
    let place = Place::new();
    drop(place.opened().await);
    let admin = place.client().await;
    admin
        .batch_execute(
            "CREATE ROLE clerk LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA cairn_events TO clerk;
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cairn_events TO clerk",
        )
        .await
        .unwrap();
    let config = Config::at(place.server.url_of("clerk", "p", "postgres"));
    let store = place.try_open(&config).await.unwrap();
    assert_eq!(append(&*store, "a", [1]).await.unwrap().0, 1);
    let elsewhere = Config { schema: "elsewhere".to_owned(), ..config };
    let fault = place.try_open(&elsewhere).await.err().unwrap();
    assert!(fault.to_string().contains("permission denied"), "{fault}");
}

#[tokio::test]
async fn logs_of_several_schemas_are_apart() {
    let place = Place::new();
    let one = place.opened().await;
    let two = place.try_open(&Config { schema: "other".to_owned(), ..place.config() }).await.unwrap();
    assert_ne!(one.log(), two.log());
    append(&*one, "a", [1, 2]).await.unwrap();
    assert_eq!(append(&*two, "a", [1]).await.unwrap().0, 1);
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let place = Place::new();
    let admin = place.client().await;
    admin.batch_execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await.unwrap();
    let url = place.server.url_of("cairn", "correct-horse", "latin");
    let fault = place.try_open(&Config::at(&url)).await.err().unwrap();
    assert!(fault.to_string().contains("it must be UTF8"), "{fault}");
    client(&url).await.batch_execute("SELECT 1").await.unwrap();
}
