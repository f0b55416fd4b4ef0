//! `cairn config`: what is in force, where it comes from, and what there is.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use super::output::line;
use crate::suite::config::{load, reference, registry};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints every setting in force and where it comes from. Secrets are hidden.
    Print,
    /// Says everything that is wrong with the configuration; exit code 1 if anything is.
    Check,
    /// Explains one key: its value, its origin, its default, and how to set it.
    Explain { key: String },
    /// Prints the reference of all settings.
    Doc,
}

pub fn run(file: Option<PathBuf>, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Print => line(registry().print(&load(file, None)?).trim_end()),
        Command::Check => {
            load(file, None)?;
            line("the configuration is right")
        }
        Command::Explain { key } => {
            let text = registry().explain(&load(file, None)?, &key);
            line(text.with_context(|| format!("there is no key {key}; `cairn config doc` lists them all"))?.trim_end())
        }
        Command::Doc => line(reference().trim_end()),
    }
}
