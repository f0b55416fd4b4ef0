//! The project that is imported into, through the gateway as for anybody.

use std::time::Duration;

use cairn_client::Fault;
use serde_json::Value;

use crate::cli::session::Session;

/// How often a call is made before its object is left out, and the pause after the first time, which doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a server may ask for, in seconds.
const PAUSE_SECONDS_MAX: f64 = 60.0;

/// A project, and how it is written to.
pub struct Target {
    session: Session,
}

impl Target {
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// `projects/<project>`
    pub fn project(&self) -> String {
        self.session.project()
    }

    /// The connection itself, for files and lists.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Makes a call, again if it may pass: every one of them changes nothing when it has been made before.
    pub async fn call(&self, rpc: &str, request: Value) -> anyhow::Result<Value> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.session.call(rpc, request.clone()).await {
                Err(fault) if may_pass(&fault) => tokio::time::sleep(asked(&fault).unwrap_or(pause)).await,
                done => return done,
            }
            pause *= 2;
        }
        self.session.call(rpc, request).await
    }

    /// Reads something that may not be there.
    pub async fn find(&self, rpc: &str, request: Value) -> anyhow::Result<Option<Value>> {
        match self.call(rpc, request).await {
            Ok(found) => Ok(Some(found)),
            Err(fault) if matches!(fault.downcast_ref(), Some(Fault::Refused { status: 404, .. })) => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// Whether it is worth asking again: somebody was in the way, or the line broke.
pub fn may_pass(fault: &anyhow::Error) -> bool {
    match fault.downcast_ref::<Fault>() {
        Some(refused) if refused.is_over_quota() => false,
        Some(Fault::Refused { status, code, .. }) => matches!(status, 408 | 429 | 502 | 503 | 504) || code == "ABORTED",
        Some(Fault::Unreachable { .. }) => true,
        _ => false,
    }
}

/// Whether going on is of no use: nothing else will fare better.
pub fn is_fatal(fault: &anyhow::Error) -> bool {
    match fault.downcast_ref::<Fault>() {
        Some(refused) if refused.is_over_quota() => true,
        Some(Fault::Refused { status, .. }) => matches!(status, 401 | 403),
        Some(Fault::Unreachable { .. } | Fault::Invalid(_)) => true,
        _ => false,
    }
}

/// How long a server asks to be left alone.
fn asked(fault: &anyhow::Error) -> Option<Duration> {
    let Some(Fault::Refused { body, .. }) = fault.downcast_ref() else { return None };
    let details = body["error"]["details"].as_array()?;
    let text = details.iter().find_map(|detail| detail["retry_delay"].as_str())?;
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds.min(PAUSE_SECONDS_MAX)).ok()
}
