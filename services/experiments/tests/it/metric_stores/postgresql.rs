use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_experiments::metrics::{Followed, MetricFault, MetricStore, conformance};
use cairn_points::{Engine, EngineFault};
use cairn_points_postgres::{Config, PostgresPoints};
use cairn_testkit::postgres::Postgres;
use futures::future::join_all;
use tokio::time::Instant;

use super::{
    Logged, PATIENCE, batch, one_of_two_processes_stores_and_the_other_takes_over_when_it_ends, values,
    what_was_made_from_another_log_is_left_alone, whoever_was_taken_over_from_stores_nothing_more,
};

fn server() -> Postgres {
    Postgres::started(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

fn config(server: &Postgres, schema: &str) -> Config {
    Config {
        url: server.url(),
        schema: schema.to_owned(),
        connections: 2,
        overflow: 2,
        acquire: Duration::from_secs(5),
        patience: Duration::from_secs(5),
    }
}

fn engine(server: &Postgres, schema: &str) -> Arc<dyn Engine> {
    Arc::new(PostgresPoints::new(&config(server, schema)).unwrap())
}

#[tokio::test]
async fn postgresql_does_what_every_store_of_points_does() {
    let (server, next) = (server(), AtomicUsize::new(0));
    conformance::all(|log| {
        let schema = format!("part_{}", next.fetch_add(1, Ordering::Relaxed));
        let engine = engine(&server, &schema);
        async move { Arc::new(Followed::start(engine, log)) as Arc<dyn MetricStore> }
    })
    .await;
}

#[tokio::test]
async fn whoever_was_taken_over_from_stores_nothing_more_in_postgresql() {
    let server = server();
    whoever_was_taken_over_from_stores_nothing_more(engine(&server, "one"), engine(&server, "one")).await;
}

#[tokio::test]
async fn of_two_processes_one_stores_in_postgresql() {
    let server = server();
    one_of_two_processes_stores_and_the_other_takes_over_when_it_ends(|| engine(&server, "one")).await;
}

#[tokio::test]
async fn points_of_another_log_are_left_alone_in_postgresql() {
    let server = server();
    what_was_made_from_another_log_is_left_alone(|| engine(&server, "one")).await;
}

#[tokio::test]
async fn the_checkpoint_is_stored_with_the_points_or_neither_is() {
    let server = server();
    let engine = engine(&server, "one");
    engine.prepare().await.unwrap();
    let (tenure, from) = engine.take_over().await.unwrap();
    let mut torn = batch(from, 5, &[1.0]);
    // A text that this database cannot hold: the statements before it were run.
    torn.entries[0].metrics[0] = "a\0b".into();
    assert!(engine.write(tenure, &torn).await.is_err());
    assert_eq!(engine.checkpoint().await.unwrap(), from);
    assert!(values(&*engine).await.is_empty());
    engine.write(tenure, &batch(from, 5, &[1.0])).await.unwrap();
}

#[tokio::test]
async fn nothing_is_lost_when_postgresql_crashes_and_comes_again() {
    let mut server = server();
    let mut logged = Logged::new().await;
    let store = Followed::start(engine(&server, "one"), logged.log());
    for _ in 0..4 {
        for _ in 0..20 {
            logged.more(5).await;
        }
        server.crash();
        logged.more(5).await;
        let fault = store.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
        assert!(matches!(fault, MetricFault::Engine(EngineFault::Away(_))), "{fault:?}");
        server.start_again();
        logged.is_all_in(&store).await;
    }
}

#[tokio::test]
async fn whoever_finds_all_connections_to_postgresql_in_use_waits_so_long_and_no_longer_s0_87() {
    let server = server();
    let size = cairn_postgres::Size {
        kept: 10,
        overflow: 20,
        acquire: Duration::from_millis(500),
        statement: Duration::from_secs(30),
    };
    let dialer = Arc::new(cairn_postgres::Dialer::new(&server.socket_url(), Duration::from_secs(5)).unwrap());
    let pool = cairn_postgres::Pool::new(dialer, size, metrics::histogram!("test"));
    let slow = || pool.query("SELECT pg_sleep(2)", &[]);
    let last = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let began = Instant::now();
        (pool.query("SELECT 1", &[]).await.unwrap_err().to_string(), began.elapsed())
    };
    let (done, (said, waited)) = tokio::join!(join_all((0..30).map(|_| slow())), last);
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    assert_eq!(said, "POOL_EXHAUSTED: all 30 connections were in use for 500 ms");
    assert!(waited >= Duration::from_millis(500) && waited < Duration::from_millis(1500), "{waited:?}");
    // What was too much is closed again.
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cairn'";
    let deadline = Instant::now() + PATIENCE;
    loop {
        let open: i64 = pool.query(count, &[]).await.unwrap()[0].get(0);
        if open == 10 {
            break;
        }
        assert!(Instant::now() < deadline, "{open} are open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_wrong_password_for_postgresql_is_said_and_not_shown() {
    let server = server();
    let wrong = Config { url: server.url_of("cairn", "hunter2", "postgres"), ..config(&server, "one") };
    let logged = Logged::new().await;
    let store = Followed::start(Arc::new(PostgresPoints::new(&wrong).unwrap()), logged.log());
    let fault = store.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(&fault, MetricFault::Engine(EngineFault::Unsuitable(_))), "{fault:?}");
    let said = format!("{fault} {fault:?}");
    assert!(said.contains("password authentication failed") && !said.contains("hunter2"), "{said}");
}
