//! What a search costs must not grow with how much is registered. Counted in steps of SQLite's machine, which do not
//! depend on the load of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, params};

use super::models::{self, ModelSearch};
use super::versions::{self, VersionSearch};
use super::{RARE_ROWS_MAX, Visible};
use crate::model::ProjectName;
use crate::search::{model_filter, model_order, version_filter, version_order};

const FEW: i64 = 3 * RARE_ROWS_MAX;
const MANY: i64 = 10 * FEW;
const PAGE: usize = 100;
/// Steps may grow a little: trees are deeper, and one row more or less may be found.
const GROWTH_MAX: f64 = 1.3;
const GROWTH_STEPS_MAX: f64 = 1_000.0;

/// Models and versions, one of each, whose every value differs, but for the tag `few`, which half of them share.
fn filled(count: i64) -> Connection {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch(include_str!("../projection/schema.sql")).unwrap();
    db.execute_batch("BEGIN").unwrap();
    for id in 1..=count {
        // Spread out, so that no order is that of the rows.
        let spread = id.wrapping_mul(7919) % count;
        let name = format!("m{spread:08}");
        db.prepare_cached("INSERT INTO model VALUES (?1, 'p', ?2, ?2, '', 0, ?3, ?3, 'u', 1)")
            .unwrap()
            .execute(params![id, name, spread])
            .unwrap();
        let stage = if id <= 20 { "Production" } else { "None" };
        db.prepare_cached("INSERT INTO version VALUES (?1, 'p', ?1, 1, ?2, '', 0, ?3, '', '', x'', ?4, ?4, 'u', 1)")
            .unwrap()
            .execute(params![id, stage, format!("r{spread:08}"), spread])
            .unwrap();
        for table in ["model_tag", "version_tag"] {
            let sql = format!("INSERT INTO {table} VALUES ('p', ?1, ?2, ?3)");
            let mut insert = db.prepare_cached(&sql).unwrap();
            insert.execute(params![id, "own", format!("v{spread:08}")]).unwrap();
            insert.execute(params![id, "half", id % 2]).unwrap();
        }
    }
    db.execute_batch("COMMIT").unwrap();
    db
}

/// Steps that something takes.
fn steps(db: &Connection, something: impl FnOnce()) -> u64 {
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    let count = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        false
    };
    db.progress_handler(1, Some(count)).unwrap();
    something();
    db.progress_handler(1, None::<fn() -> bool>).unwrap();
    steps.load(Ordering::Relaxed)
}

fn terms(order: &str) -> Vec<String> {
    [order].into_iter().filter(|order| !order.is_empty()).map(str::to_owned).collect()
}

fn project() -> ProjectName {
    "projects/p".parse().unwrap()
}

/// Steps for a first page of models and the one after it.
fn of_models(db: &Connection, filter: &str, order: &str) -> u64 {
    let (filter, prompts) = model_filter(filter).unwrap();
    let order = model_order(&terms(order)).unwrap();
    let visible = Visible::all();
    let search =
        ModelSearch { project: project(), visible, filter, prompts, order, limit: PAGE, page_token: String::new() };
    steps(db, || {
        let first = models::hits(db, &search, None).unwrap();
        assert!(!first.is_empty(), "the filter {:?} finds nothing", search.filter);
        if let Some((_, _, marks)) = first.last() {
            models::hits(db, &search, Some(marks)).unwrap();
        }
    })
}

/// Steps for a first page of versions and the one after it.
fn of_versions(db: &Connection, filter: &str, order: &str) -> u64 {
    let (filter, prompts) = version_filter(filter).unwrap();
    let search = VersionSearch {
        project: project(),
        model: None,
        visible: Visible::all(),
        filter,
        prompts,
        order: version_order(&terms(order)).unwrap(),
        limit: PAGE,
        page_token: String::new(),
    };
    steps(db, || {
        let first = versions::hits(db, &search, None).unwrap();
        assert!(!first.is_empty(), "the filter {:?} finds nothing", search.filter);
        if let Some((_, _, marks)) = first.last() {
            versions::hits(db, &search, Some(marks)).unwrap();
        }
    })
}

#[test]
fn no_page_of_models_or_versions_costs_more_because_there_are_more_of_them() {
    let (few, many) = (filled(FEW), filled(MANY));
    let mut grown = vec![];
    let mut judge = |what: &str, filter: &str, order: &str, steps: &dyn Fn(&Connection) -> u64| {
        let (before, after) = (steps(&few), steps(&many));
        if after as f64 > before as f64 * GROWTH_MAX + GROWTH_STEPS_MAX {
            grown.push(format!("{what}, {filter:?} by {order:?}: {before} -> {after}"));
        }
    };
    for order in ["", "name DESC", "creation_timestamp", "last_updated_timestamp DESC"] {
        for filter in ["", "name = 'm00000010'", "tags.own = 'v00000009'", "tags.half = '1'"] {
            judge("models", filter, order, &|db| of_models(db, filter, order));
        }
    }
    for order in ["", "last_updated_timestamp", "last_updated_timestamp DESC"] {
        for filter in [
            "",
            "name = 'm00000010'",
            "run_id = 'r00000010'",
            "stage = 'Production'",
            "tags.own = 'v00000009'",
            "tags.half = '1'",
        ] {
            judge("versions", filter, order, &|db| of_versions(db, filter, order));
        }
    }
    assert!(grown.is_empty(), "{} searches grow:\n{}", grown.len(), grown.join("\n"));
}
