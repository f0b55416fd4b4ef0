//! This service through its commands and queries, over a log in memory and real read models.

mod batches;
mod door;
mod experiments;
mod limits;
mod metrics;
mod runs;
mod search;
mod support;
mod views;
