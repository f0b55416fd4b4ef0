cairn_kernel::settings! {
    /// How much is kept of what the programs of runs print.
    pub struct Config: "run_logs" checked by problems {
        /// Longest line, in bytes. A longer one is refused; the command line breaks it into several.
        line_bytes_max: u64 = 16 << 10;
        /// Most lines that one request adds.
        batch_lines_max: u64 = 10_000;
        /// Longest log of one run, in bytes; lines beyond it are refused.
        run_bytes_max: u64 = 256 << 20;
        /// How many days the log of a deleted run is kept: a run that is restored later has none.
        deleted_days_max: u64 = 30;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let limits = [
        ("line_bytes_max", config.line_bytes_max, 80, 1 << 20),
        ("batch_lines_max", config.batch_lines_max, 1, 100_000),
        ("run_bytes_max", config.run_bytes_max, 1 << 10, 1 << 40),
        ("deleted_days_max", config.deleted_days_max, 0, 36_500),
    ];
    limits
        .into_iter()
        .filter(|(_, value, min, max)| value < min || value > max)
        .map(|(name, _, min, max)| format!("{name} must be {min} to {max}"))
        .collect()
}
