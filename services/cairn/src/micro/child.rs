//! One role as a process of its own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;
use tracing::warn;

use super::plan::Plan;
use crate::suite::Role;

pub struct Process {
    pub role: Role,
    child: Child,
    /// Ends with this process, however that ends, and the child with it.
    input: Option<ChildStdin>,
}

impl Process {
    /// Starts it, and waits until it says that it is ready. Gives what it said.
    pub async fn start(plan: &Plan, role: Role) -> anyhow::Result<(Self, Value)> {
        let program = std::env::current_exe().context("cannot find this program itself")?;
        let mut child = Command::new(program)
            .args(plan.arguments(role))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C is for us; children are told when it is their turn.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {role}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut lines = BufReader::new(output.context("its output is piped")?).lines();
        let Some(said) = lines.next_line().await? else {
            let status = child.wait().await?;
            bail!("{role} ended before it was ready: {status}");
        };
        let said = serde_json::from_str(&said).with_context(|| format!("{role} said {said:?}"))?;
        Ok((Self { role, child, input }, said))
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(fault) => fault.to_string(),
        }
    }

    /// Asks it to stop, and waits so long.
    pub async fn stop(mut self, patience: Duration) {
        drop(self.input.take());
        if timeout(patience, self.child.wait()).await.is_err() {
            warn!(role = %self.role, "a process did not stop in time and is killed");
        }
    }
}
