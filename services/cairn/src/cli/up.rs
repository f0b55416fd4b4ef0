//! `cairn up`: the whole suite in one process, until it is asked to stop.

use std::path::PathBuf;

use serde_json::json;

use cairn_auth::FirstKey;
use cairn_service::shutdown::Shutdown;
use cairn_service::telemetry::Telemetry;

use super::output::{Output, line};
use crate::suite::{Running, config};

#[derive(Debug, clap::Args)]
pub struct Command {
    /// The data folder. It is made if there is none.
    #[arg(long)]
    data: Option<PathBuf>,
}

pub async fn run(output: Output, file: Option<PathBuf>, command: Command) -> anyhow::Result<()> {
    let loaded = config::load(file, command.data.as_deref())?;
    let telemetry = Telemetry::start(&loaded.get(), "cairn")?;
    let suite = Running::start(&loaded, telemetry.metrics(), Shutdown::on_signals()?).await?;
    announce(output, &suite)?;
    suite.asked_to_stop().await;
    suite.stop().await;
    telemetry.stop().await;
    Ok(())
}

/// Says where the suite listens. Printed once it is ready, so that whoever waits for the line need not poll.
fn announce(output: Output, suite: &Running) -> anyhow::Result<()> {
    let folder = &suite.core().folder;
    let key = folder.first_key();
    let (http, grpc) = (format!("http://{}", suite.http), format!("http://{}", suite.grpc));
    if output.is_json {
        return line(
            &json!({"http": http, "grpc": grpc, "data": folder.path(), "key_file": key.exists().then_some(&key)})
                .to_string(),
        );
    }
    line(&format!(
        "Cairn is ready.\n\n  HTTP  {http}   (API reference: {http}/docs)\n  gRPC  {grpc}\n  data  {}",
        folder.path().display()
    ))?;
    if let FirstKey::Made(secret) = &suite.first_key {
        line(&format!("  key   {secret}\n        (shown once; it is also in {})", key.display()))?;
    }
    if key.exists() {
        let token = format!("$(cat {})", key.display());
        line(&format!("\n  export MLFLOW_TRACKING_URI={http}\n  export MLFLOW_TRACKING_TOKEN={token}"))?;
    }
    line("\nCtrl-C stops it.")
}
