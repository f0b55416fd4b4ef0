use std::path::PathBuf;
use std::time::Duration;

cairn_kernel::settings! {
    /// The event log: where it is kept and how much it may take.
    pub struct Config: "events" checked by problems {
        /// The database file; its folder is created, and a `-wal`, a `-shm` and a `.lock` file appear beside it. Empty:
        /// `events/events.db` below the data folder.
        path: PathBuf = PathBuf::new();
        /// Appends that may wait for the writer; beyond it, they are refused with a delay.
        waiting_appends_max: usize = 16_384;
        /// Bytes of events that may wait for the writer.
        waiting_bytes_max: usize = 256 << 20;
        /// Events committed together at most. One append is never split.
        batch_events_max: usize = 4_096;
        /// Streams whose last revision is kept in memory, so that appending to them needs no lookup.
        cached_heads_max: usize = 50_000;
        /// Page cache of the writer, in bytes.
        writer_cache_bytes: usize = 32 << 20;
        /// Page cache of each reader, in bytes.
        reader_cache_bytes: usize = 4 << 20;
        /// Connections for reading; as many reads run at once.
        readers: usize = 4;
        /// Recent events kept in memory for live subscriptions.
        ring_events_max: usize = 8_192;
        /// Bytes of recent events kept in memory.
        ring_bytes_max: usize = 16 << 20;
        /// Snapshots that may wait to be written, in bytes; beyond it, they are dropped.
        waiting_snapshots_bytes_max: usize = 16 << 20;
        /// Size of the write-ahead log, in bytes, from which the writer moves it into the database.
        checkpoint_bytes: u64 = 16 << 20;
        /// How often the writer looks for events that are no longer to be kept, in milliseconds.
        sweep_interval_ms: u64 = 5_000;
        /// Largest size of the database file, in bytes; beyond it, appends are refused as on a full disk. 0: no limit.
        database_bytes_max: u64 = 0;
        /// Free space of the disk, in bytes, below which appends are refused as on a full disk, so that what was appended
        /// can still be taken in by the views beside it. 0: appends go on to the last byte.
        free_bytes_min: u64 = 8 << 20;
    }
}

/// What is wrong wherever the file is.
fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    let at_least_one = [
        ("waiting_appends_max", config.waiting_appends_max),
        ("waiting_bytes_max", config.waiting_bytes_max),
        ("batch_events_max", config.batch_events_max),
        ("cached_heads_max", config.cached_heads_max),
        ("readers", config.readers),
    ];
    for (field, value) in at_least_one {
        if value == 0 {
            problems.push(format!("{field} must be at least 1"));
        }
    }
    if config.readers > 64 {
        problems
            .push(format!("readers must be at most 64; {} connections are more than could be of use", config.readers));
    }
    if config.sweep_interval_ms == 0 {
        problems.push("sweep_interval_ms must be at least 1".to_owned());
    }
    if config.checkpoint_bytes < 1 << 20 {
        problems.push("checkpoint_bytes must be at least 1 MiB, or the disk only checkpoints".to_owned());
    }
    problems
}

impl Config {
    /// The defaults, at another place.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Everything that is wrong, at once.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = problems(self);
        if self.path.file_name().is_none() {
            problems.push(format!("path {:?} does not name a file", self.path));
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
        assert_eq!(Config::at("events.db").validate(), Ok(()));
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
