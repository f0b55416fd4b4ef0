use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cairn_experiments::metrics::{Followed, MetricFault, MetricStore, conformance};
use cairn_kernel::Time;
use cairn_points::{Engine, EngineFault};
use cairn_points_clickhouse::{Address, ClickHousePoints, Place, Shards};
use cairn_testkit::clickhouse::ClickHouse;
use tokio::time::Instant;

use super::{
    Logged, PATIENCE, batch, one_of_two_processes_stores_and_the_other_takes_over_when_it_ends, values,
    what_was_made_from_another_log_is_left_alone, whoever_was_taken_over_from_stores_nothing_more,
};
use crate::support::{metrics, points};

fn engine_with(server: &ClickHouse, database: &str, patience: Duration) -> Arc<dyn Engine> {
    Arc::new(ClickHousePoints::new(Address::parse(&server.url(database)).unwrap(), patience).unwrap())
}

fn engine(server: &ClickHouse, database: &str) -> Arc<dyn Engine> {
    engine_with(server, database, Duration::from_secs(5))
}

/// One store over several servers, in this order.
fn shards(servers: &[&ClickHouse]) -> Arc<dyn Engine> {
    let shard = |(number, server): (usize, &&ClickHouse)| {
        let place = Place { number, of: servers.len(), cluster: Some("all".to_owned()) };
        ClickHousePoints::at(Address::parse(&server.url("one")).unwrap(), place, Duration::from_secs(5)).unwrap()
    };
    Arc::new(Shards::new(servers.iter().enumerate().map(shard).collect()))
}

/// The summary, and the same from the points themselves: by run and name, how many, and numbers that are exact in binary.
fn is_summed(server: &ClickHouse, database: &str) {
    let summary = "SELECT run, name, count, min, max, last, mean FROM metrics_summary_values ORDER BY run, name";
    let number = |what: &str| format!("if(countIf(NOT isNaN(value)) = 0, nan, {what}If(value, NOT isNaN(value)))");
    let recomputed = format!(
        "SELECT run, name, count(), {}, {}, argMax(value, tuple(step, time, toUInt8(NOT isNaN(value)), value)), {} \
         FROM metrics GROUP BY run, name ORDER BY run, name",
        number("min"),
        number("max"),
        number("avg")
    );
    assert_eq!(server.query(database, summary), server.query(database, &recomputed));
}

fn count(server: &ClickHouse, database: &str) -> i64 {
    server.query(database, "SELECT count() FROM metrics")[0].parse().unwrap()
}

/// As if the process had ended before it could store the last checkpoint.
fn forget_checkpoint(server: &ClickHouse, database: &str, position: u64) {
    let kept = "SELECT * FROM metrics_checkpoint";
    server.query(database, &format!("CREATE TABLE kept ENGINE = TinyLog AS {kept} WHERE position < {position}"));
    server.query(database, "TRUNCATE TABLE metrics_checkpoint");
    server.query(database, "INSERT INTO metrics_checkpoint SELECT * FROM kept");
    server.query(database, "DROP TABLE kept");
}

#[tokio::test]
async fn clickhouse_does_what_every_store_of_points_does() {
    let (server, next) = (ClickHouse::started(), AtomicUsize::new(0));
    conformance::all(|log| {
        let engine = engine(&server, &format!("part_{}", next.fetch_add(1, Ordering::Relaxed)));
        async move { Arc::new(Followed::start(engine, log)) as Arc<dyn MetricStore> }
    })
    .await;
}

#[tokio::test]
async fn whoever_was_taken_over_from_stores_nothing_more_in_clickhouse() {
    let server = ClickHouse::started();
    whoever_was_taken_over_from_stores_nothing_more(engine(&server, "one"), engine(&server, "one")).await;
    assert_eq!(count(&server, "one"), 3);
    is_summed(&server, "one");
}

#[tokio::test]
async fn of_two_processes_one_stores_in_clickhouse() {
    let server = ClickHouse::started();
    one_of_two_processes_stores_and_the_other_takes_over_when_it_ends(|| engine(&server, "one")).await;
    assert_eq!(count(&server, "one"), 160);
    is_summed(&server, "one");
}

#[tokio::test]
async fn points_of_another_log_are_left_alone_in_clickhouse() {
    let server = ClickHouse::started();
    what_was_made_from_another_log_is_left_alone(|| engine(&server, "one")).await;
    assert_eq!(count(&server, "one"), 25);
}

#[tokio::test]
async fn the_tables_in_clickhouse_are_what_was_promised_s1_31() {
    let server = ClickHouse::started();
    engine(&server, "one").prepare().await.unwrap();
    let told = "SELECT name, engine, sorting_key, partition_key FROM system.tables WHERE database = 'one' \
         AND name IN ('metrics', 'metrics_summary') ORDER BY name";
    assert_eq!(
        server.query("one", told),
        [
            "metrics\tMergeTree\trun, name, time, step\ttoYYYYMM(logged, \\'UTC\\')",
            "metrics_summary\tMaterializedView\t\t"
        ]
    );
}

#[tokio::test]
async fn the_summary_in_clickhouse_is_what_the_points_come_to_s1_32() {
    let server = ClickHouse::started();
    let logged = Logged::new().await;
    let store = Followed::start(engine(&server, "one"), logged.log());
    let mut expected = BTreeMap::new();
    for (at, name) in ["loss", "auc", "nothing"].into_iter().enumerate() {
        let mut values: Vec<(i64, f64)> =
            (0..500).map(|step| ((step * 7919) % 500, (step as f64) / 8.0 - at as f64)).collect();
        if name == "nothing" {
            values.iter_mut().for_each(|(_, value)| *value = f64::NAN);
        }
        values.push((250, f64::NAN));
        for part in values.chunks(37) {
            logged.service.log(&logged.run, metrics(points(name, part))).await;
        }
        let numbers = || values.iter().map(|(_, value)| *value).filter(|value| !value.is_nan());
        let fold = |f: fn(f64, f64) -> f64| numbers().reduce(f).unwrap_or(f64::NAN);
        let last = values.iter().filter(|(step, _)| *step == 499).map(|(_, value)| *value).next_back().unwrap();
        let mean = numbers().sum::<f64>() / numbers().count() as f64;
        expected.insert(name, [fold(f64::min), fold(f64::max), last, mean, values.len() as f64]);
    }
    store.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap();
    is_summed(&server, "one");
    for line in server.query("one", "SELECT name, min, max, last, mean, count FROM metrics_summary_values") {
        let (name, numbers) = line.split_once('\t').unwrap();
        let numbers: Vec<f64> = numbers.split('\t').map(|number| number.parse().unwrap()).collect();
        for (found, wanted) in numbers.iter().zip(expected.remove(name).unwrap()) {
            assert!((found.is_nan() && wanted.is_nan()) || (found - wanted).abs() < 1e-9, "{line}");
        }
    }
    assert!(expected.is_empty());
}

#[tokio::test]
async fn a_block_in_clickhouse_whose_checkpoint_was_not_stored_is_found_and_not_stored_again() {
    let server = ClickHouse::started();
    let engine = engine(&server, "one");
    engine.prepare().await.unwrap();
    let (tenure, from) = engine.take_over().await.unwrap();
    let (first, second) = (batch(from, 5, &[1.0, 2.0]), batch(batch(from, 5, &[]).to, 9, &[4.0]));
    engine.write(tenure, &first).await.unwrap();
    engine.write(tenure, &second).await.unwrap();
    forget_checkpoint(&server, "one", 9);
    assert_eq!(engine.checkpoint().await.unwrap(), first.to);
    let (tenure, from) = engine.take_over().await.unwrap();
    assert_eq!(from.position, second.to.position);
    assert_eq!((count(&server, "one"), values(&*engine).await.len()), (3, 3));
    is_summed(&server, "one");

    // The server ended between the points and their summary.
    server.query("one", "DETACH TABLE metrics_summary");
    engine.write(tenure, &batch(from, 11, &[8.0, f64::NAN])).await.unwrap();
    server.query("one", "ATTACH TABLE metrics_summary");
    assert_eq!(server.query("one", "SELECT count FROM metrics_summary_values"), ["3"]);
    forget_checkpoint(&server, "one", 11);
    for _ in 0..2 {
        engine.take_over().await.unwrap();
        assert_eq!(count(&server, "one"), 5);
        is_summed(&server, "one");
        forget_checkpoint(&server, "one", 11);
    }
}

#[tokio::test]
async fn a_batch_over_the_end_of_a_month_is_a_block_of_clickhouse_for_each() {
    let server = ClickHouse::started();
    let engine = engine(&server, "one");
    engine.prepare().await.unwrap();
    let (tenure, from) = engine.take_over().await.unwrap();
    let (mut both, mut later) = (batch(from, 5, &[1.0]), batch(from, 6, &[2.0]));
    both.entries[0].time = Time::parse("2026-11-30T23:59:59.9Z").unwrap();
    later.entries[0].time = Time::parse("2026-12-01T00:00:00Z").unwrap();
    both.entries.append(&mut later.entries);
    both.to = later.to;
    engine.write(tenure, &both).await.unwrap();
    let parts = "SELECT partition, sum(rows) FROM system.parts WHERE active AND database = 'one' AND table = 'metrics' \
         GROUP BY partition ORDER BY partition";
    assert_eq!(server.query("one", parts), ["202611\t1", "202612\t1"]);
    assert_eq!(engine.checkpoint().await.unwrap(), both.to);
}

#[tokio::test]
async fn nothing_is_lost_nor_stored_twice_when_clickhouse_is_killed_while_it_stores() {
    let mut server = ClickHouse::started();
    let mut logged = Logged::new().await;
    let store = Followed::start(engine(&server, "one"), logged.log());
    logged.is_all_in(&store).await;
    for round in 0..5 {
        for _ in 0..20 {
            logged.more(50).await;
            tokio::time::sleep(Duration::from_millis(3 + round)).await;
        }
        server.kill();
        logged.more(5).await;
        let fault = store.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
        assert!(matches!(fault, MetricFault::Engine(EngineFault::Away(_))), "{fault:?}");
        server.start_again();
        logged.is_all_in(&store).await;
        assert_eq!(count(&server, "one"), logged.steps);
        is_summed(&server, "one");
    }
}

#[tokio::test]
async fn a_clickhouse_that_stands_still_is_given_up_in_time_and_goes_on_later() {
    let mut server = ClickHouse::started();
    let mut logged = Logged::new().await;
    let store = Followed::start(engine_with(&server, "one", Duration::from_secs(1)), logged.log());
    logged.more(10).await;
    logged.is_all_in(&store).await;
    server.pause();
    let began = Instant::now();
    logged.more(10).await;
    let fault = store.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(fault, MetricFault::Engine(EngineFault::Away(_))), "{fault:?}");
    assert!(store.history(&logged.run, "m", None, 10).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.go_on();
    logged.is_all_in(&store).await;
    assert_eq!(count(&server, "one"), logged.steps);
    is_summed(&server, "one");
}

#[tokio::test]
async fn a_wrong_password_for_clickhouse_is_said_and_not_shown() {
    let server = ClickHouse::started();
    let url = server.url("one").replace("correct-horse", "hunter2");
    let engine = ClickHousePoints::new(Address::parse(&url).unwrap(), Duration::from_secs(5)).unwrap();
    let logged = Logged::new().await;
    let store = Followed::start(Arc::new(engine), logged.log());
    let fault = store.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(&fault, MetricFault::Engine(EngineFault::Unsuitable(_))), "{fault:?}");
    let said = format!("{fault} {fault:?}");
    assert!(said.contains("Code: 193") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn two_clickhouses_share_the_points_and_together_have_what_one_has_s1_66() {
    let mut servers = ClickHouse::cluster(2);
    let single = ClickHouse::started();
    let mut logged = Logged::new().await;
    let all = Followed::start(shards(&servers.iter().collect::<Vec<_>>()), logged.log());
    let alone = Followed::start(engine(&single, "one"), logged.log());
    let experiment = logged.service.experiment("b").await;
    let mut runs = vec![];
    for at in 0..20 {
        let run = logged.service.run(&experiment).await;
        let rows: Vec<_> = (0..=at).map(|step| (step, (step * at) as f64)).collect();
        logged.service.log(&run, metrics(points("m", &rows))).await;
        runs.push(run);
    }
    logged.more(100).await;
    logged.is_all_in(&all).await;
    logged.is_all_in(&alone).await;

    // One of them ends for a while: the other must not be given anything twice.
    servers[1].kill();
    for run in &runs {
        logged.service.log(run, metrics(points("late", &[(1, 1.0)]))).await;
    }
    let fault = all.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(matches!(fault, MetricFault::Engine(EngineFault::Away(_))), "{fault:?}");
    servers[1].start_again();
    logged.is_all_in(&all).await;
    logged.is_all_in(&alone).await;

    let shares: Vec<i64> = servers.iter().map(|server| count(server, "one")).collect();
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    assert_eq!(shares.iter().sum::<i64>(), count(&single, "one"));
    let by_run =
        |table| format!("SELECT run, name, count(), sum(value) FROM {table} GROUP BY run, name ORDER BY run, name");
    let wanted = single.query("one", &by_run("metrics"));
    for server in &servers {
        assert_eq!(server.query("one", &by_run("metrics_everywhere")), wanted);
        is_summed(server, "one");
    }
    for run in &runs {
        let [there, here] = [&all, &alone].map(|store| store.history(run, "m", None, 100));
        assert_eq!(there.await.unwrap().rows, here.await.unwrap().rows);
    }
    // In another order, a run would be looked for where it is not.
    let swapped = Followed::start(shards(&[&servers[1], &servers[0]]), logged.log());
    let fault = swapped.reached(logged.end(), Instant::now() + PATIENCE).await.unwrap_err();
    assert!(fault.to_string().contains("it has been number 1 of 2 and is named as 0 of 2"), "{fault}");
}
