//! `cairn up micro`: every role as a process of its own on this machine, looked after by this one.

mod child;
mod plan;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use cairn_service::config::Loaded;
use cairn_service::shutdown::{self, Shutdown};
use cairn_service::telemetry::Telemetry;
use futures::future::{join_all, try_join_all};
use serde_json::Value;
use tokio::time::sleep;
use tracing::{info, warn};

use self::child::Process;
use self::plan::Plan;
use crate::suite::{Config, Engines, Folder, NOT_SHARED, Role, lock_shared};

/// Pause before a process that ended is started again.
const PAUSE: Duration = Duration::from_millis(500);
/// What a process may take to stop beyond the time that its own work may take.
const SLACK: Duration = Duration::from_secs(5);

/// Runs all roles until somebody asks for the end. `ready` is told the data folder, where the key of the first administrator
/// may be found, and what the gateway says when it is ready.
pub async fn run(
    loaded: &Loaded,
    flags: Vec<OsString>,
    ready: impl FnOnce(&Path, &Path, Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !Engines::is_shared(loaded)? {
        bail!("{NOT_SHARED}");
    }
    let telemetry = Telemetry::start(&loaded.get(), "cairn")?;
    let shutdown = Shutdown::on_signals()?;
    let data = loaded.get::<Config>().data;
    let folder = Folder::open(&data).with_context(|| format!("cannot use the data folder {}", data.display()))?;
    let _lock = lock_shared(&folder)?;
    let data = folder.path().to_owned();
    let plan = Plan::new(loaded, folder, flags)?;
    let patience = Duration::from_millis(loaded.get::<shutdown::Config>().grace_ms) + SLACK;
    let (processes, said) = tokio::select! {
        started = all(&plan) => started?,
        () = shutdown.begun() => bail!("stopped before it was ready"),
    };
    ready(&data, &Folder::open(&plan.folder(Role::Auth))?.first_key(), said)?;
    let processes = join_all(processes.into_iter().map(|process| looked_after(&plan, process, &shutdown))).await;
    stop(processes.into_iter().flatten().collect(), patience).await;
    telemetry.stop().await;
    Ok(())
}

/// Starts what is behind the gateway, and then the gateway.
async fn all(plan: &Plan) -> anyhow::Result<(Vec<Process>, Value)> {
    let services = try_join_all(Plan::services().map(|role| Process::start(plan, role))).await?;
    let mut processes: Vec<_> = services.into_iter().map(|(process, _)| process).collect();
    let (gateway, said) = Process::start(plan, Role::Gateway).await?;
    processes.push(gateway);
    Ok((processes, said))
}

/// Starts a process again whenever it ends, until somebody asks for the end. `None`: it was away then.
async fn looked_after(plan: &Plan, mut process: Process, shutdown: &Shutdown) -> Option<Process> {
    let role = process.role;
    loop {
        let status = tokio::select! {
            () = shutdown.begun() => return Some(process),
            status = process.ended() => status,
        };
        warn!(%role, status, "a process ended by itself and is started again");
        process = tokio::select! {
            () = shutdown.begun() => return None,
            process = started_again(plan, role) => process,
        };
        info!(%role, "a process is back");
    }
}

/// Starts a process, as often as it takes.
async fn started_again(plan: &Plan, role: Role) -> Process {
    loop {
        sleep(PAUSE).await;
        match Process::start(plan, role).await {
            Ok((process, _)) => return process,
            Err(fault) => warn!(%role, %fault, "a process could not be started"),
        }
    }
}

/// The gateway first, so that nothing comes in any more.
async fn stop(processes: Vec<Process>, patience: Duration) {
    let (gateway, services): (Vec<_>, Vec<_>) =
        processes.into_iter().partition(|process| process.role == Role::Gateway);
    join_all(gateway.into_iter().map(|process| process.stop(patience))).await;
    join_all(services.into_iter().map(|process| process.stop(patience))).await;
}
