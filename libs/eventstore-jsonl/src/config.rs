use std::path::PathBuf;

cairn_kernel::settings! {
    /// The event log where it is kept as JSON Lines (`server.event_store = "jsonl"`).
    pub struct Config: "events_jsonl" checked by problems {
        /// The file; its folder is created. Empty: `events/events.jsonl` below the data folder.
        path: PathBuf = PathBuf::new();
        /// Size of the file, in bytes, from which appends are refused as on a full disk. The log is held in memory as well.
        bytes_max: u64 = 1 << 30;
        /// Appends that may wait for the writer; beyond it, they are refused with a delay.
        waiting_appends_max: usize = 4_096;
        /// Bytes of events that may wait for the writer.
        waiting_bytes_max: usize = 256 << 20;
        /// Appends that share one sync at most.
        batch_appends_max: usize = 1_024;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let at_least_one = [
        ("waiting_appends_max", config.waiting_appends_max),
        ("waiting_bytes_max", config.waiting_bytes_max),
        ("batch_appends_max", config.batch_appends_max),
    ];
    let zeros = at_least_one.into_iter().filter(|(_, value)| *value == 0);
    zeros.map(|(field, _)| format!("{field} must be at least 1")).collect()
}

impl Config {
    /// The defaults, at another place.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}
