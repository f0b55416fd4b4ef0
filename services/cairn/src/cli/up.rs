//! `cairn up`: the whole suite in one process, until it is asked to stop.

use std::path::PathBuf;

use super::output::Output;
use super::serve;
use crate::suite::{Engines, Roles, config};

#[derive(Debug, clap::Args)]
pub struct Command {
    /// The data folder. It is made if there is none.
    #[arg(long)]
    data: Option<PathBuf>,

    #[command(flatten)]
    settings: config::Flags,
}

pub async fn run(output: Output, engines: &Engines, command: Command) -> anyhow::Result<()> {
    let loaded = config::load(&command.settings, command.data.as_ref())?;
    serve::until_stopped(output, engines, &Roles::all(), &loaded).await
}
