//! What a search costs must not grow with how many runs there are. Counted in steps of SQLite's machine, which do not
//! depend on the load of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, params};

use super::LifecycleFilter;
use super::run_plan::hits;
use super::run_search::{RunSearch, Scope};
use crate::model::ProjectName;
use crate::search::{run_filter, run_order};

const FEW: i64 = 2_000;
const MANY: i64 = 20_000;
const EXPERIMENTS: i64 = 4;
const PAGE: usize = 101;
/// Steps may grow a little: trees are deeper, and one run more or less may be found.
const GROWTH_MAX: f64 = 1.3;
const GROWTH_STEPS_MAX: f64 = 1_000.0;

/// Runs whose every value differs, but for the param `few`, which half of them share.
fn filled(runs: i64) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(include_str!("../projection/schema.sql")).unwrap();
    for word in ["metric", "param", "tag"] {
        db.execute("INSERT INTO word (text) VALUES (?1)", [word]).unwrap();
    }
    for id in 1..=EXPERIMENTS {
        let sql = "INSERT INTO experiment VALUES (?1, 'p', ?1, ?1, '', 0, 1, 0, 0, 'u', 1)";
        db.execute(sql, [id]).unwrap();
    }
    db.execute_batch("BEGIN").unwrap();
    for id in 1..=runs {
        // Spread out, so that no order is that of the rows.
        let spread = id.wrapping_mul(7919) % runs;
        let parent = (id <= 20).then_some("parent");
        db.prepare_cached(
            "INSERT INTO run VALUES (?1, 'p', ?2, ?3, ?4, 'FINISHED', 'u', ?5, NULL, ?6, 1, '', ?7, ?7, 0, 0, 0, NULL,
             'u', 1)",
        )
        .unwrap()
        .execute(params![
            id,
            id % EXPERIMENTS + 1,
            format!("{spread:08}"),
            format!("n{spread:08}"),
            spread,
            parent,
            id % 3 == 0
        ])
        .unwrap();
        let experiment = id % EXPERIMENTS + 1;
        db.prepare_cached("INSERT INTO metric VALUES (?1, 1, ?2, ?3, 1, 1, 0, 1, 1)")
            .unwrap()
            .execute(params![id, experiment, spread as f64])
            .unwrap();
        for (table, key) in [("param", 2), ("tag", 3)] {
            db.prepare_cached(&format!("INSERT INTO {table} VALUES (?1, ?2, ?3, ?4)"))
                .unwrap()
                .execute(params![id, key, experiment, format!("v{spread:08}")])
                .unwrap();
        }
    }
    db.execute_batch("COMMIT").unwrap();
    db
}

/// Steps that a search takes for its first page and the one after it.
fn steps(db: &Connection, search: &RunSearch, scope: &Scope) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    db.progress_handler(
        1,
        Some(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        }),
    )
    .unwrap();
    let first = hits(db, search, scope, None, PAGE).unwrap();
    if let Some(last) = first.last() {
        hits(db, search, scope, Some(&last.marks), PAGE).unwrap();
    }
    db.progress_handler(1, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

#[test]
fn no_page_of_runs_costs_more_because_there_are_more_runs() {
    let (few, many) = (filled(FEW), filled(MANY));
    let one = Scope { experiments: vec![2], is_project: false };
    let some = Scope { experiments: vec![1, 2, 3], is_project: false };
    let project = Scope { experiments: (1..=EXPERIMENTS).collect(), is_project: true };
    let mut grown = vec![];
    for (scope_name, scope) in [("one experiment", &one), ("some experiments", &some), ("the project", &project)] {
        for lifecycle in [LifecycleFilter::Active, LifecycleFilter::Deleted, LifecycleFilter::All] {
            for order in [
                "",
                "start_time",
                "start_time DESC",
                "metrics.metric",
                "metrics.metric DESC",
                "params.param",
                "params.param DESC",
                "tags.tag",
                "tags.tag DESC",
                "run_name",
                "run_name DESC",
            ] {
                for filter in [
                    "",
                    "metrics.metric > 10",
                    "metrics.metric = 7",
                    "params.param = 'v00000009'",
                    "run_name = 'n00000010'",
                ] {
                    let terms: Vec<String> =
                        [order].into_iter().filter(|order| !order.is_empty()).map(str::to_owned).collect();
                    let project: ProjectName = "projects/p".parse().unwrap();
                    let search = RunSearch {
                        lifecycle,
                        filter: run_filter(filter).unwrap(),
                        order: run_order(&terms).unwrap(),
                        // So few that what many runs satisfy never drives.
                        driver_rows_max: 100,
                        ..RunSearch::new(project)
                    };
                    let (before, after) = (steps(&few, &search, scope), steps(&many, &search, scope));
                    if after as f64 > before as f64 * GROWTH_MAX + GROWTH_STEPS_MAX {
                        grown
                            .push(format!("{scope_name}, {lifecycle:?}, {filter:?} by {order:?}: {before} -> {after}"));
                    }
                }
            }
        }
    }
    assert!(grown.is_empty(), "{} searches grow:\n{}", grown.len(), grown.join("\n"));
}
