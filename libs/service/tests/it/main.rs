//! The chassis from outside.

mod config;
mod health;
mod telemetry;
