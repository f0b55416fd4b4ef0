//! The chassis from outside.

mod config;
