//! `cairn up`: the whole suite, in one process or each role as one, until it is asked to stop.

use std::path::{Path, PathBuf};

use cairn_auth::FirstKey;
use cairn_service::shutdown::Shutdown;

use super::output::Output;
use super::serve;
use crate::micro;
use crate::suite::{Engines, Roles, config};

#[derive(Debug, clap::Args)]
pub struct Command {
    /// `micro`: each role is a process of its own, as `cairn serve` runs it. Without: all of them are one.
    #[arg(value_enum)]
    shape: Option<Shape>,

    /// The data folder. It is made if there is none.
    #[arg(long)]
    data: Option<PathBuf>,

    #[command(flatten)]
    settings: config::Flags,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shape {
    Micro,
}

pub async fn run(output: Output, engines: &Engines, command: Command) -> anyhow::Result<()> {
    let loaded = config::load(&command.settings, command.data.as_ref())?;
    match command.shape {
        None => serve::until_stopped(output, engines, &Roles::all(), &loaded, Shutdown::on_signals()?).await,
        Some(Shape::Micro) => {
            let ready = |data: &Path, key: &Path, said: serde_json::Value| {
                let at = |door: &str| said[door].as_str().unwrap_or_default().to_owned();
                let at = serve::At { http: at("http"), grpc: at("grpc"), eventstore: None };
                serve::ready(output, data, key, &at, &FirstKey::Unchanged)
            };
            micro::run(&loaded, command.settings.arguments(), ready).await
        }
    }
}
