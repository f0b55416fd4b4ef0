//! What became of it all.

use std::collections::BTreeMap;

use anyhow::bail;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::cli::output::{Output, line};

/// Most things that were left out and are told one by one.
const LISTED_MAX: usize = 1000;

/// What there is of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Experiments,
    Runs,
    Points,
    LoggedModels,
    Files,
    Models,
    Versions,
    Aliases,
}

/// What became of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Imported,
    /// It was there.
    Unchanged,
}

#[derive(Default)]
pub struct Report {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    counts: BTreeMap<Kind, Count>,
    left_out: Vec<(String, String)>,
    left_out_count: u64,
}

#[derive(Default)]
struct Count {
    imported: u64,
    unchanged: u64,
    found: u64,
}

impl Report {
    pub fn count(&self, kind: Kind, outcome: Outcome, many: usize) {
        let mut inner = self.inner.lock();
        let count = inner.counts.entry(kind).or_default();
        match outcome {
            Outcome::Imported => count.imported += many as u64,
            Outcome::Unchanged => count.unchanged += many as u64,
        }
    }

    /// Counts what a rehearsal sees.
    pub fn found(&self, kind: Kind, many: usize) {
        self.inner.lock().counts.entry(kind).or_default().found += many as u64;
    }

    /// Something is not taken over, and why.
    pub fn leave_out(&self, what: impl Into<String>, why: impl std::fmt::Display) {
        let mut inner = self.inner.lock();
        inner.left_out_count += 1;
        if inner.left_out.len() < LISTED_MAX {
            inner.left_out.push((what.into(), why.to_string()));
        }
    }

    /// Tells it. Fails if anything was left out, so that a script notices.
    pub fn close(self, output: Output, source: &str, project: &str, is_dry: bool) -> anyhow::Result<()> {
        let Inner { counts, left_out, left_out_count } = self.inner.into_inner();
        if output.is_json {
            let counts: serde_json::Map<String, Value> = counts
                .iter()
                .map(|(kind, count)| {
                    let told = match is_dry {
                        true => json!({"found": count.found}),
                        false => json!({"imported": count.imported, "unchanged": count.unchanged}),
                    };
                    (kind.word().to_owned(), told)
                })
                .collect();
            let listed: Vec<Value> = left_out.iter().map(|(what, why)| json!({"what": what, "reason": why})).collect();
            output.json(&json!({
                "source": source, "project": project, "dry_run": is_dry, "counts": counts, "left_out": listed,
                "left_out_count": left_out_count,
            }))?;
        } else {
            line(&format!("{source} → {project}{}", if is_dry { " (nothing was written)" } else { "" }))?;
            for (kind, count) in &counts {
                let words = kind.word().replace('_', " ");
                line(&match is_dry {
                    true => format!("  {words}: {}", count.found),
                    false => format!("  {words}: {} imported, {} were there", count.imported, count.unchanged),
                })?;
            }
            for (what, why) in &left_out {
                line(&super::super::output::printable(&format!("  left out: {what}: {why}")))?;
            }
        }
        if left_out_count > 0 {
            bail!("{left_out_count} things were left out; the report says which and why");
        }
        Ok(())
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Experiments => "experiments",
            Self::Runs => "runs",
            Self::Points => "metric_points",
            Self::LoggedModels => "logged_models",
            Self::Files => "artifacts",
            Self::Models => "registered_models",
            Self::Versions => "model_versions",
            Self::Aliases => "aliases",
        }
    }
}
