use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Where the event log is kept and how much it may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The database file. Its folder is created; a `-wal`, a `-shm` and a `.lock` file appear beside it.
    pub path: PathBuf,
    /// Appends that may wait for the writer; beyond it, they are refused with a delay.
    pub waiting_appends_max: usize,
    /// Bytes of events that may wait for the writer.
    pub waiting_bytes_max: usize,
    /// Events committed together at most. One append is never split.
    pub batch_events_max: usize,
    /// Streams whose last revision is kept in memory, so that appending to them needs no lookup.
    pub cached_heads_max: usize,
    /// Page cache of the writer, in bytes.
    pub writer_cache_bytes: usize,
    /// Page cache of each reader, in bytes.
    pub reader_cache_bytes: usize,
    /// Connections for reading; as many reads run at once.
    pub readers: usize,
    /// Recent events kept in memory for live subscriptions.
    pub ring_events_max: usize,
    /// Bytes of recent events kept in memory.
    pub ring_bytes_max: usize,
    /// Snapshots that may wait to be written, in bytes; beyond it, they are dropped.
    pub waiting_snapshots_bytes_max: usize,
    /// Size of the write-ahead log, in bytes, from which the writer moves it into the database.
    pub checkpoint_bytes: u64,
    /// How often the writer looks for events that are no longer to be kept, in milliseconds.
    pub sweep_interval_ms: u64,
    /// Largest size of the database file, in bytes; beyond it, appends are refused as on a full disk. 0: no limit.
    pub database_bytes_max: u64,
    /// Free space of the disk, in bytes, below which appends are refused as on a full disk, so that what was appended can
    /// still be taken in by the views beside it. 0: appends go on to the last byte.
    pub free_bytes_min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: "data/events.db".into(),
            waiting_appends_max: 16_384,
            waiting_bytes_max: 256 << 20,
            batch_events_max: 4_096,
            cached_heads_max: 50_000,
            writer_cache_bytes: 32 << 20,
            reader_cache_bytes: 4 << 20,
            readers: 4,
            ring_events_max: 8_192,
            ring_bytes_max: 16 << 20,
            waiting_snapshots_bytes_max: 16 << 20,
            checkpoint_bytes: 16 << 20,
            sweep_interval_ms: 5_000,
            database_bytes_max: 0,
            free_bytes_min: 8 << 20,
        }
    }
}

impl Config {
    /// The defaults, at another place.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Everything that is wrong, at once.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = vec![];
        if self.path.file_name().is_none() {
            problems.push(format!("path: {:?} does not name a file", self.path));
        }
        let at_least_one = [
            ("waiting_appends_max", self.waiting_appends_max),
            ("waiting_bytes_max", self.waiting_bytes_max),
            ("batch_events_max", self.batch_events_max),
            ("cached_heads_max", self.cached_heads_max),
            ("readers", self.readers),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                problems.push(format!("{field}: must be at least 1"));
            }
        }
        if self.readers > 64 {
            problems.push(format!("readers: {} connections are more than the 64 that could be of use", self.readers));
        }
        if self.sweep_interval_ms == 0 {
            problems.push("sweep_interval_ms: must be at least 1".to_owned());
        }
        if self.checkpoint_bytes < 1 << 20 {
            problems.push("checkpoint_bytes: must be at least 1 MiB, or the disk only checkpoints".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    pub(crate) fn sweep_interval(&self) -> Duration {
        Duration::from_millis(self.sweep_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let config =
            Config { readers: 0, batch_events_max: 0, checkpoint_bytes: 1, path: "/".into(), ..Config::default() };
        let problems = config.validate().unwrap_err();
        for field in ["path", "readers", "batch_events_max", "checkpoint_bytes"] {
            assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field} is missing in {problems:?}");
        }
    }
}
