//! `cairn serve`: some roles of the suite as one process among others, until it is asked to stop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::json;

use cairn_auth::FirstKey;
use cairn_service::config::Loaded;
use cairn_service::shutdown::Shutdown;
use cairn_service::telemetry::Telemetry;

use super::output::{Output, line};
use crate::suite::{Engines, Role, Roles, Running, config};

#[derive(Debug, clap::Args)]
pub struct Command {
    /// What this process is. All of them share one event log, and one keyring (`server.keyring_file`).
    #[arg(required = true, value_enum)]
    roles: Vec<Role>,

    /// Stops when its standard input ends: with whoever started it.
    #[arg(long, hide = true)]
    until_input_ends: bool,

    /// The data folder of this process alone. It is made if there is none.
    #[arg(long)]
    data: Option<PathBuf>,

    #[command(flatten)]
    settings: config::Flags,
}

pub async fn run(output: Output, engines: &Engines, command: Command) -> anyhow::Result<()> {
    let loaded = config::load(&command.settings, command.data.as_ref())?;
    let shutdown = Shutdown::on_signals()?;
    if command.until_input_ends {
        let shutdown = shutdown.clone();
        // A thread of its own: one of the runtime's is waited for at the end, and this one may read for ever.
        std::thread::spawn(move || {
            // Nothing is said there; whatever it is, it ends.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            shutdown.begin();
        });
    }
    until_stopped(output, engines, &command.roles.into_iter().collect(), &loaded, shutdown).await
}

/// Runs roles until somebody asks for the end.
pub async fn until_stopped(
    output: Output,
    engines: &Engines,
    roles: &Roles,
    loaded: &Loaded,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let telemetry = Telemetry::start(&loaded.get(), "cairn")?;
    let mut suite = tokio::select! {
        started = Running::start(loaded, engines, roles, telemetry.metrics(), shutdown.clone()) => started?,
        // A long log may take minutes to read. What was read so far is kept.
        () = shutdown.begun() => bail!("stopped before it was ready"),
    };
    announce(output, roles, &suite)?;
    let ended = suite.ended().await;
    suite.stop().await;
    telemetry.stop().await;
    ended
}

/// Says where it listens. Printed once it is ready, so that whoever waits for the line need not poll.
fn announce(output: Output, roles: &Roles, suite: &Running) -> anyhow::Result<()> {
    let (folder, at) = (&suite.core().folder, suite.addresses);
    let (http, grpc) = (reachable(suite.scheme, at.http), at.grpc.map(|grpc| reachable(suite.scheme, grpc)));
    if !roles.is_all() {
        let peers = at.peers.map(|peers| reachable("http", peers));
        let eventstore = at.eventstore.map(|at| at.to_string());
        if output.is_json {
            let said = json!({
                "roles": roles.names(), "http": http, "grpc": grpc, "peers": peers, "eventstore": eventstore,
                "data": folder.path()
            });
            return line(&said.to_string());
        }
        line(&format!("{} ready.\n\n  HTTP   {http}   (health: {http}/api/v1/health)", roles.names().join(", ")))?;
        for (name, address) in [("gRPC ", grpc), ("peers", peers), ("event store", eventstore)] {
            address.map_or(Ok(()), |address| line(&format!("  {name}  {address}")))?;
        }
        return line(&format!("  data   {}\n\nCtrl-C stops it.", folder.path().display()));
    }
    let at = At { http, grpc: grpc.unwrap_or_default(), eventstore: at.eventstore.map(|at| at.to_string()) };
    ready(output, folder.path(), &folder.first_key(), &at, &suite.first_key)
}

/// Where a whole suite is reached.
pub struct At {
    pub http: String,
    pub grpc: String,
    pub eventstore: Option<String>,
}

/// Says how a whole suite is reached.
pub fn ready(
    output: Output,
    data: &Path,
    key: &Path,
    At { http, grpc, eventstore }: &At,
    first_key: &FirstKey,
) -> anyhow::Result<()> {
    if output.is_json {
        let key = key.exists().then_some(key);
        let said = json!({"http": http, "grpc": grpc, "eventstore": eventstore, "data": data, "key_file": key});
        return line(&said.to_string());
    }
    line(&format!(
        "Cairn is ready.\n\n  HTTP  {http}   (API reference: {http}/docs)\n  gRPC  {grpc}\n  data  {}",
        data.display()
    ))?;
    if let Some(eventstore) = eventstore {
        line(&format!("  event store  {eventstore}"))?;
    }
    if let FirstKey::Made(secret) = first_key {
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
