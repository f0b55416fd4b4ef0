//! The chassis from outside.

mod config;
mod guard;
mod health;
mod telemetry;
mod zoo;
