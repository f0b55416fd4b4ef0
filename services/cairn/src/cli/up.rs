//! `cairn up`: the whole suite in one process, until it is asked to stop.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use cairn_auth::FirstKey;
use cairn_service::shutdown::Shutdown;
use cairn_service::telemetry::Telemetry;

use super::output::{Output, line};
use crate::suite::{Engines, Running, config};

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
    let telemetry = Telemetry::start(&loaded.get(), "cairn")?;
    let shutdown = Shutdown::on_signals()?;
    let mut suite = tokio::select! {
        started = Running::start(&loaded, engines, telemetry.metrics(), shutdown.clone()) => started?,
        // A long log may take minutes to read. What was read so far is kept.
        () = shutdown.begun() => bail!("stopped before it was ready"),
    };
    announce(output, &suite)?;
    let ended = suite.ended().await;
    suite.stop().await;
    telemetry.stop().await;
    ended
}

/// Says where the suite listens. Printed once it is ready, so that whoever waits for the line need not poll.
fn announce(output: Output, suite: &Running) -> anyhow::Result<()> {
    let folder = &suite.core().folder;
    let key = folder.first_key();
    let (http, grpc) = (reachable(suite.scheme, suite.http), reachable(suite.scheme, suite.grpc));
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
        line("\nFor MLflow, and for this command line:\n")?;
        line(&format!("  export MLFLOW_TRACKING_URI={http}\n  export MLFLOW_TRACKING_TOKEN={token}"))?;
        line(&format!("  export CAIRN_URL={http} CAIRN_KEY_FILE={}", key.display()))?;
    }
    line("\nCtrl-C stops it.")
}

/// An address under which this machine reaches the suite: where it listens, unless it listens everywhere.
fn reachable(scheme: &str, mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("{scheme}://{address}")
}
