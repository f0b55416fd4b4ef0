//! This service through its commands and queries, over a log in memory and real read models.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

mod artifacts;
mod batches;
mod door;
mod experiments;
mod limits;
mod logs;
mod metric_stores;
mod metrics;
mod quotas;
mod runs;
mod search;
mod support;
mod views;
