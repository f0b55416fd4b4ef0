//! `cairn up micro`: every role as a process of its own on this machine, looked after by this one.

mod child;
mod plan;

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, bail};
use cairn_service::config::Loaded;
use cairn_service::shutdown::{self, Shutdown};
use cairn_service::telemetry::Telemetry;
use futures::FutureExt;
use futures::future::{join_all, select_all, try_join_all};
use serde_json::Value;
use tokio::time::sleep;
use tracing::{info, warn};

use self::child::Process;
use self::plan::Plan;
use crate::suite::{Config, Engines, Folder, NOT_SHARED, Role};

/// Pause before a process that ended is started again.
const PAUSE: Duration = Duration::from_millis(500);
/// What a process may take to stop beyond the time that its own work may take.
const SLACK: Duration = Duration::from_secs(5);

/// Runs all roles until somebody asks for the end. `ready` is told what the gateway says when it is, and where the key of
/// the first administrator may be found.
pub async fn run(
    loaded: &Loaded,
    flags: Vec<OsString>,
    ready: impl FnOnce(&Folder, Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !Engines::is_shared(loaded)? {
        bail!("{NOT_SHARED}");
    }
    let telemetry = Telemetry::start(&loaded.get(), "cairn")?;
    let shutdown = Shutdown::on_signals()?;
    let data = loaded.get::<Config>().data;
    let folder = Folder::open(&data).with_context(|| format!("cannot use the data folder {}", data.display()))?;
    let plan = Plan::new(loaded, folder, flags)?;
    let patience = Duration::from_millis(loaded.get::<shutdown::Config>().grace_ms) + SLACK;
    let (processes, said) = tokio::select! {
        started = all(&plan) => started?,
        () = shutdown.begun() => bail!("stopped before it was ready"),
    };
    ready(&Folder::open(&plan.folder(Role::Auth))?, said)?;
    let processes = looked_after(&plan, processes, &shutdown).await;
    stop(processes, patience).await;
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

/// Starts what ends again, until somebody asks for the end.
async fn looked_after(plan: &Plan, mut processes: Vec<Process>, shutdown: &Shutdown) -> Vec<Process> {
    loop {
        let ended = select_all(processes.iter_mut().map(|process| process.ended().boxed()));
        let (status, at) = tokio::select! {
            () = shutdown.begun() => break,
            (status, at, _) = ended => (status, at),
        };
        let role = processes[at].role;
        warn!(%role, status, "a process ended by itself and is started again");
        loop {
            tokio::select! {
                () = shutdown.begun() => return processes,
                () = sleep(PAUSE) => {}
            }
            match Process::start(plan, role).await {
                Ok((process, _)) => {
                    processes[at] = process;
                    info!(%role, "a process is back");
                    break;
                }
                Err(fault) => warn!(%role, %fault, "a process could not be started"),
            }
        }
    }
    processes
}

/// The gateway first, so that nothing comes in any more.
async fn stop(processes: Vec<Process>, patience: Duration) {
    let (gateway, services): (Vec<_>, Vec<_>) =
        processes.into_iter().partition(|process| process.role == Role::Gateway);
    join_all(gateway.into_iter().map(|process| process.stop(patience))).await;
    join_all(services.into_iter().map(|process| process.stop(patience))).await;
}
