use std::path::PathBuf;
use std::sync::Arc;

use cairn_access::Access;
use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::Clock;
use cairn_projection::View;
use tonic::service::Routes;

/// What a process gives every service it runs.
#[derive(Clone)]
pub struct Deps {
    pub store: Arc<dyn EventStore>,
    pub commands: Commands,
    pub access: Arc<Access>,
    pub clock: Arc<dyn Clock>,
    /// Folder for this process's read models; each service opens `<folder>/<service>.sqlite`.
    pub views_folder: PathBuf,
    /// Whether read models keep their past ([`AsOfReads`](crate::AsOfReads)).
    pub keeps_past: bool,
}

/// What a service gives the process that runs it.
pub struct Mounted {
    /// Its role, e.g. `experiments`.
    pub role: &'static str,
    /// Its gRPC services, without the guard; the chassis puts it in front.
    pub routes: Routes,
    /// Its views: their lag decides readiness, and shutdown waits for them.
    pub views: Vec<View>,
}
