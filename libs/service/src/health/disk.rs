use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;

use super::{Config, HealthCheck, State};

/// How full the disk below a folder is.
pub struct DiskCheck {
    path: PathBuf,
    thresholds: DiskThresholds,
}

/// When a disk is full. Cheap to clone; what is set on one is set on all.
#[derive(Clone)]
pub struct DiskThresholds(Arc<RwLock<Thresholds>>);

struct Thresholds {
    warning_share: f64,
    critical_share: f64,
    plenty_bytes: u64,
}

impl DiskThresholds {
    fn new(config: &Config) -> Self {
        let (warning_share, critical_share) = (config.disk_warning_share, config.disk_critical_share);
        let thresholds = Thresholds { warning_share, critical_share, plenty_bytes: config.disk_plenty_bytes };
        Self(Arc::new(RwLock::new(thresholds)))
    }

    /// Takes over those of another configuration.
    pub fn set(&self, config: &Config) {
        let Thresholds { warning_share, critical_share, plenty_bytes } = &mut *self.0.write();
        (*warning_share, *critical_share) = (config.disk_warning_share, config.disk_critical_share);
        *plenty_bytes = config.disk_plenty_bytes;
    }
}

impl DiskCheck {
    /// For the disk that holds `path`, with the configured thresholds.
    pub fn new(path: impl Into<PathBuf>, config: &Config) -> Self {
        Self { path: path.into(), thresholds: DiskThresholds::new(config) }
    }

    /// Its thresholds, to change them later.
    pub fn thresholds(&self) -> DiskThresholds {
        self.thresholds.clone()
    }

    fn judge(&self, total: u64, available: u64) -> (State, String) {
        let Thresholds { warning_share, critical_share, plenty_bytes } = *self.thresholds.0.read();
        let used = 1.0 - available as f64 / total.max(1) as f64;
        let state = match used {
            // The last twentieth of a large disk is more than all of a small one.
            _ if plenty_bytes > 0 && available >= plenty_bytes => State::Healthy,
            used if used >= critical_share => State::Unhealthy,
            used if used >= warning_share => State::Warning,
            _ => State::Healthy,
        };
        (state, format!("{:.1} % used, {} MiB available", used * 100.0, available >> 20))
    }
}

#[async_trait]
impl HealthCheck for DiskCheck {
    fn name(&self) -> &str {
        "disk"
    }

    async fn check(&self) -> (State, String) {
        match rustix::fs::statvfs(&self.path) {
            Ok(disk) => {
                let (total, available) = (disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize);
                metrics::gauge!("cairn_disk_available_bytes").set(available as f64);
                self.judge(total, available)
            }
            Err(fault) => (State::Unhealthy, format!("{}: {fault}", self.path.display())),
        }
    }

    /// Reads go on when the disk is full, and writes are refused one by one.
    fn gates_readiness(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fills_is_first_a_warning_and_then_unhealthy() {
        let config = Config { disk_warning_share: 0.8, disk_critical_share: 0.95, ..Config::default() };
        let state = |available: u64| DiskCheck::new("/", &config).judge(1000 << 20, available << 20).0;
        assert_eq!(
            [state(500), state(200), state(100), state(50), state(0)],
            [State::Healthy, State::Warning, State::Warning, State::Unhealthy, State::Unhealthy]
        );
    }

    #[test]
    fn a_large_disk_with_plenty_left_is_well() {
        let check = DiskCheck::new("/", &Config::default());
        assert_eq!(check.judge(1 << 40, 5 << 30).0, State::Healthy);
        assert_eq!(check.judge(1 << 40, 3 << 30).0, State::Unhealthy);
        let by_share = DiskCheck::new("/", &Config { disk_plenty_bytes: 0, ..Config::default() });
        assert_eq!(by_share.judge(1 << 40, 5 << 30).0, State::Unhealthy, "nothing is plenty");
    }

    #[tokio::test]
    async fn a_path_that_is_gone_is_unhealthy() {
        let (state, message) = DiskCheck::new("/nonexistent/folder", &Config::default()).check().await;
        assert_eq!(state, State::Unhealthy);
        assert!(message.contains("/nonexistent/folder"), "{message}");
        assert_ne!(DiskCheck::new("/", &Config::default()).check().await.1, "");
    }
}
