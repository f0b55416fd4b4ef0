use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cairn_eventstore::EventStore;
use tokio::sync::Mutex;

use super::{HealthCheck, State};

const PROBE: &str = ".health-probe";

/// Whether events and files can be written: what the event store says of itself, and a file written to the data folder
/// and made durable.
pub struct StorageCheck {
    store: Arc<dyn EventStore>,
    folder: PathBuf,
    /// Held by the probe that is under way: a disk that hangs gets one thread, not one for each round.
    probing: Arc<Mutex<()>>,
}

impl StorageCheck {
    /// For a store, and the folder it keeps its files in.
    pub fn new(store: Arc<dyn EventStore>, folder: impl Into<PathBuf>) -> Self {
        Self { store, folder: folder.into(), probing: Arc::default() }
    }
}

#[async_trait]
impl HealthCheck for StorageCheck {
    fn name(&self) -> &str {
        "storage"
    }

    async fn check(&self) -> (State, String) {
        if let Some(trouble) = self.store.trouble() {
            return (State::Unhealthy, trouble.to_string());
        }
        let Ok(probing) = Arc::clone(&self.probing).try_lock_owned() else {
            return (State::Unhealthy, "the data folder has not answered the last probe yet".to_owned());
        };
        let folder = self.folder.clone();
        let probed = tokio::task::spawn_blocking(move || {
            let _probing = probing;
            probe(&folder)
        });
        match probed.await {
            Ok(Ok(())) => (State::Healthy, String::new()),
            Ok(Err(fault)) => (State::Unhealthy, format!("the data folder cannot be written: {fault}")),
            Err(fault) => (State::Unhealthy, format!("the data folder could not be probed: {fault}")),
        }
    }
}

fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(PROBE);
    let mut file = File::create(&path)?;
    file.write_all(b"written by the health check\n")?;
    file.sync_all()?;
    std::fs::remove_file(path)
}
