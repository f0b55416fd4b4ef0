//! Whatever is written, and whatever ends in between: in the end the copy is what the view is.

use cairn_eventstore::Memory;
use cairn_testkit::postgres::Postgres;
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};

use crate::equality::{become_equal, link};
use crate::shapes::{Replica, SCHEMA, Shapes, config, postgres, say};

/// Something that happens. Replicas are 0 and 1.
#[derive(Clone, Debug)]
enum Step {
    Say(Vec<String>),
    /// A process ends without a word, in the middle of whatever it did, and the one that is named begins.
    Crash(usize),
    /// The same for its view; with or without its file.
    Restart(usize, bool),
    /// The view is built anew and put in its own place.
    Rebuild(usize),
    /// The database ends all connections.
    Cut,
    /// Time passes.
    Wait(u64),
    /// What was said has been copied: so that what comes next is copied on its own, and not with all before it.
    Settle,
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "'[a-c]{0,2}'",
        1 => Just("'nul' || char(0) || 'inside'".to_owned()),
        1 => Just("char(9216) || '0'".to_owned()),
        1 => Just("char(0)".to_owned()),
        1 => Just("'Grüße, 世界, \"quoted\"; {}'".to_owned()),
    ]
}

fn real() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["NULL", "0.1", "-0.0", "3", "9e999", "-9e999", "1e-320", "9e999 - 9e999"][..])
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[0-9]", 1 => Just(i64::MAX.to_string()), 1 => Just("-9223372036854775808".to_owned())]
}

fn blob() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["x''", "x'00'", "x'00ff0a5c'", "zeroblob(3000)"][..])
}

/// Statements on all tables, in all ways of writing a row. One that breaks a rule is set aside by the view.
fn statement() -> impl Strategy<Value = String> {
    let or = || prop::sample::select(&["OR REPLACE", "OR IGNORE", ""][..]);
    prop_oneof![
        (or(), "[0-9]", text(), real(), blob()).prop_map(|(or, id, name, score, data)| format!(
            "INSERT {or} INTO plain VALUES ({id}, {name}, {score}, {data})"
        )),
        (number(), text(), real()).prop_map(|(id, name, score)| format!(
            "INSERT INTO plain VALUES ({id}, {name}, {score}, NULL) ON CONFLICT (id) DO UPDATE SET score = {score}"
        )),
        ("[0-9]", "[0-9]").prop_map(|(from, to)| format!("UPDATE OR REPLACE plain SET id = {to} WHERE id = {from}")),
        ("[0-9]", real()).prop_map(|(id, score)| format!("UPDATE plain SET score = {score} WHERE id < {id}")),
        "[0-9]".prop_map(|id| format!("DELETE FROM plain WHERE id > {id}")),
        (or(), number(), text(), text())
            .prop_map(|(or, b, a, value)| format!("INSERT {or} INTO pair VALUES ({b}, {a}, {value})")),
        (text(), text())
            .prop_map(|(from, to)| format!("UPDATE OR IGNORE pair SET a = {to}, value = NULL WHERE a = {from}")),
        text().prop_map(|a| format!("DELETE FROM pair WHERE a = {a}")),
        Just("DELETE FROM pair".to_owned()),
        (text(), number()).prop_map(|(note, amount)| format!("INSERT INTO bare VALUES ({note}, {amount})")),
        (number(), "[0-9]")
            .prop_map(|(amount, number)| format!("UPDATE bare SET amount = {amount} WHERE rowid = {number}")),
        "[0-9]".prop_map(|number| format!("DELETE FROM bare WHERE rowid = {number}")),
        (or(), real()).prop_map(|(or, v)| format!("INSERT {or} INTO loose VALUES (NULL, {v})")),
        (or(), text(), real()).prop_map(|(or, k, v)| format!("INSERT {or} INTO loose VALUES ({k}, {v})")),
        (or(), blob()).prop_map(|(or, x)| format!("INSERT {or} INTO only VALUES ({x})")),
        blob().prop_map(|x| format!("DELETE FROM only WHERE x = {x}")),
        (or(), number(), text()).prop_map(|(or, k, v)| format!("INSERT {or} INTO \"odd \"\"name\" VALUES ({k}, {v})")),
        (or(), "[0-9]", "[0-9]").prop_map(|(or, id, n)| format!("INSERT {or} INTO made (id, n) VALUES ({id}, {n})")),
        "[0-9]".prop_map(|n| format!("UPDATE made SET n = n + 1 WHERE n < {n}")),
        (or(), "[0-9]", text())
            .prop_map(|(or, id, shown)| format!("INSERT {or} INTO guarded VALUES ({id}, {shown}, x'5ec7e7')")),
        "[0-9]".prop_map(|id| format!("INSERT OR REPLACE INTO kept_here VALUES ({id}, x'5ec7e7')")),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(statement(), 1..30).prop_map(Step::Say),
        2 => (0..2usize).prop_map(Step::Crash),
        1 => (0..2usize, any::<bool>()).prop_map(|(replica, keeps_file)| Step::Restart(replica, keeps_file)),
        1 => (0..2usize).prop_map(Step::Rebuild),
        1 => Just(Step::Cut),
        3 => (0..40u64).prop_map(Step::Wait),
        8 => Just(Step::Settle),
    ]
}

async fn happens(server: &Postgres, steps: Vec<Step>) {
    let store = Memory::new();
    let mut config = config(server.url());
    config.limits.lease = std::time::Duration::from_millis(150);
    let desk = link(server).await;
    desk.batch_execute(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")).await.unwrap();
    let mut replicas = [Some(Replica::new(&store).copies_to(&config)), Some(Replica::new(&store))];
    let mut last = say(&store, &["INSERT INTO plain VALUES (0, 'first', 1, NULL)"]).await;
    for step in steps {
        match step {
            Step::Say(statements) => {
                last = say(&store, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
            }
            Step::Crash(next) => {
                replicas.iter_mut().flatten().for_each(|replica| replica.mirror = None);
                replicas[next].as_mut().unwrap().copy(&config);
            }
            Step::Restart(at, keeps_file) => {
                let replica = replicas[at].take().unwrap();
                let copied = replica.mirror.is_some();
                let again = replica.restart(keeps_file, Shapes).await;
                replicas[at] = Some(if copied { again.copies_to(&config) } else { again });
            }
            Step::Rebuild(at) => drop(replicas[at].as_ref().unwrap().view.rebuild().await.unwrap()),
            Step::Cut => {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                              AND backend_type = 'client backend'";
                desk.batch_execute(others).await.unwrap();
            }
            Step::Settle => {
                for replica in replicas.iter().flatten() {
                    replica.reaches(last).await;
                }
                become_equal(server, &replicas[0].as_ref().unwrap().model).await;
            }
            Step::Wait(millis) => tokio::time::sleep(std::time::Duration::from_millis(millis)).await,
        }
    }
    for replica in replicas.iter().flatten() {
        replica.reaches(last).await;
        become_equal(server, &replica.model).await;
    }
}

#[test]
fn whatever_happens_the_copy_becomes_what_the_view_is_s1_9() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = postgres();
    let runs = Runs { cases: 24, max_shrink_iters: 60, failure_persistence: None, ..Runs::default() };
    TestRunner::new(runs)
        .run(&prop::collection::vec(step(), 1..25), |steps| {
            let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(happens(&server, steps));
            }));
            happened.map_err(|panic| {
                let why = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".to_owned());
                TestCaseError::fail(why)
            })
        })
        .unwrap();
}
