use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Config, HealthCheck, State};

/// How much of its memory this process has used: of its control group's limit (version 2 or 1), or of the machine's.
pub struct MemoryCheck {
    /// `/sys/fs/cgroup`, and `/proc`; others in tests.
    cgroups: PathBuf,
    proc: PathBuf,
    warning_share: f64,
}

/// Bytes used, and the most there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    used: u64,
    limit: u64,
}

impl MemoryCheck {
    /// With the configured threshold.
    pub fn new(config: &Config) -> Self {
        Self { cgroups: "/sys/fs/cgroup".into(), proc: "/proc".into(), warning_share: config.memory_warning_share }
    }

    fn usage(&self) -> Option<Usage> {
        self.unified().or_else(|| self.legacy()).or_else(|| self.machine())
    }

    /// Version 2: the nearest group upwards that has a limit.
    fn unified(&self) -> Option<Usage> {
        let groups = fs::read_to_string(self.proc.join("self/cgroup")).ok()?;
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mut folder = self.cgroups.join(group);
        while folder.starts_with(&self.cgroups) {
            if let Some(limit) = number(&folder.join("memory.max")) {
                let used = number(&folder.join("memory.current"))?;
                return Some(Usage { used: used.saturating_sub(reclaimable(&folder, "inactive_file")), limit });
            }
            folder.pop();
        }
        None
    }

    /// Version 1: the nearest group upwards that has a limit. In a container the path may be that of the host, which is
    /// not there; then the container's own group is the topmost.
    fn legacy(&self) -> Option<Usage> {
        let groups = fs::read_to_string(self.proc.join("self/cgroup")).ok()?;
        let group = groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(":/")?;
            controllers.split(',').any(|controller| controller == "memory").then_some(path)
        })?;
        let most = self.machine()?.limit;
        let mut folder = self.cgroups.join("memory").join(group);
        while folder.starts_with(self.cgroups.join("memory")) {
            // Without a limit it says the largest number of pages there could be.
            if let Some(limit) = number(&folder.join("memory.limit_in_bytes")).filter(|limit| *limit < most) {
                let used = number(&folder.join("memory.usage_in_bytes"))?;
                return Some(Usage { used: used.saturating_sub(reclaimable(&folder, "total_inactive_file")), limit });
            }
            folder.pop();
        }
        None
    }

    fn machine(&self) -> Option<Usage> {
        let text = fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let kibibytes = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        };
        let (total, available) = (kibibytes("MemTotal")? << 10, kibibytes("MemAvailable")? << 10);
        Some(Usage { used: total.saturating_sub(available), limit: total })
    }
}

#[async_trait]
impl HealthCheck for MemoryCheck {
    fn name(&self) -> &str {
        "memory"
    }

    async fn check(&self) -> (State, String) {
        let Some(Usage { used, limit }) = self.usage() else {
            return (State::Warning, "how much memory is used cannot be read".to_owned());
        };
        metrics::gauge!("cairn_memory_used_bytes").set(used as f64);
        metrics::gauge!("cairn_memory_limit_bytes").set(limit as f64);
        let share = used as f64 / limit.max(1) as f64;
        let state = if share >= self.warning_share { State::Warning } else { State::Healthy };
        (state, format!("{} of {} MiB used", used >> 20, limit >> 20))
    }

    /// Never more than a warning.
    fn gates_readiness(&self) -> bool {
        false
    }
}

/// A file that holds one number. `max` is none.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Cache of files that the kernel gives up before it runs out: not what a limit kills for.
fn reclaimable(folder: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A machine with 16 GiB, of which 4 are available, and these files.
    fn machine(files: &[(&str, String)]) -> (TempDir, MemoryCheck) {
        let root = TempDir::new().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n".to_owned());
        for (path, text) in files.iter().cloned().chain([meminfo]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (cgroups, proc) = (root.path().join("cgroup"), root.path().join("proc"));
        (root, MemoryCheck { cgroups, proc, warning_share: 0.75 })
    }

    fn unified(used: u64) -> Vec<(&'static str, String)> {
        vec![
            ("proc/self/cgroup", "0::/pods/cairn\n".to_owned()),
            ("cgroup/pods/cairn/memory.max", "max\n".to_owned()),
            ("cgroup/pods/memory.max", format!("{}\n", 256 * MIB)),
            ("cgroup/pods/memory.current", format!("{used}\n")),
            ("cgroup/pods/memory.stat", format!("anon 1\ninactive_file {}\n", 20 * MIB)),
        ]
    }

    #[tokio::test]
    async fn memory_warns_at_its_share_of_the_groups_limit() {
        let (_root, check) = machine(&unified(211 * MIB));
        assert_eq!(check.check().await, (State::Healthy, "191 of 256 MiB used".to_owned()));
        let (_root, check) = machine(&unified(212 * MIB));
        assert_eq!(check.check().await, (State::Warning, "192 of 256 MiB used".to_owned()));
    }

    #[test]
    fn an_older_kernels_group_has_its_limit_elsewhere() {
        let files = |limit: u64| {
            vec![
                ("proc/self/cgroup", "4:memory:/pods\n".to_owned()),
                ("cgroup/memory/memory.limit_in_bytes", limit.to_string()),
                ("cgroup/memory/memory.usage_in_bytes", (100 * MIB).to_string()),
                ("cgroup/memory/memory.stat", format!("total_inactive_file {}\n", 10 * MIB)),
            ]
        };
        let (_root, limited) = machine(&files(200 * MIB));
        assert_eq!(limited.usage(), Some(Usage { used: 90 * MIB, limit: 200 * MIB }), "the host's path is not there");
        let own = [
            ("cgroup/memory/pods/memory.limit_in_bytes", (150 * MIB).to_string()),
            ("cgroup/memory/pods/memory.usage_in_bytes", (50 * MIB).to_string()),
        ];
        let (_root, nearest) = machine(&[files(200 * MIB), own.to_vec()].concat());
        assert_eq!(nearest.usage(), Some(Usage { used: 50 * MIB, limit: 150 * MIB }));
        let (_root, unlimited) = machine(&files(9_223_372_036_854_771_712));
        assert_eq!(unlimited.usage().unwrap().limit, 16 << 30);
    }

    #[test]
    fn without_a_limit_the_machines_memory_counts() {
        let (_root, check) = machine(&[("proc/self/cgroup", "0::/\n".to_owned())]);
        assert_eq!(check.usage(), Some(Usage { used: 12 << 30, limit: 16 << 30 }));
    }
}
