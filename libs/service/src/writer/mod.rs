//! Who writes: an operation that somebody called, or Cairn by itself. The contract names the events of both.

mod checked;

use std::fmt;

use cairn_contract::cairn::options::v1::Process;
use cairn_contract::{EventType, Method};

pub use checked::Checked;

tokio::task_local! {
    /// On whose behalf this task runs.
    static WRITER: Writer;
}

/// On whose behalf events are appended.
#[derive(Clone, Copy, Debug)]
pub enum Writer {
    /// The operation that somebody called.
    Operation(&'static Method),
    /// What Cairn does by itself.
    Process(Process),
}

impl Writer {
    /// Runs work on this one's behalf, whatever it is part of. A task that it starts is on nobody's behalf.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> T {
        WRITER.scope(self, work).await
    }

    /// On whose behalf this runs.
    pub fn current() -> Option<Self> {
        WRITER.try_with(|writer| *writer).ok()
    }

    /// Whether the contract says that this one writes events of a kind.
    pub fn writes(self, event: &EventType) -> bool {
        match self {
            Self::Operation(method) => method.events.contains(&event.full_name),
            Self::Process(process) => event.by.contains(&process),
        }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(method) => f.write_str(method.path.trim_start_matches('/')),
            Self::Process(process) => f.write_str(process.as_str_name()),
        }
    }
}
