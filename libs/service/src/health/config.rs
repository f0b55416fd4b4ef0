crate::settings! {
    /// When this process calls itself well.
    pub struct Config: "health" checked by problems {
        /// How often each part is checked, in milliseconds.
        interval_ms: u64 = 5_000;
        /// How long a check may take before the part counts as unhealthy, in milliseconds.
        check_timeout_ms: u64 = 3_000;
        /// How many good checks in a row it takes until a part that was worse counts as better.
        recover_after: u32 = 2;
        /// Share of the memory there is, beyond which memory is a warning.
        memory_warning_share: f64 = 0.85;
        /// Share of the data folder's disk, beyond which it is a warning.
        disk_warning_share: f64 as reloadable = 0.85;
        /// Share of the data folder's disk, beyond which it is unhealthy.
        disk_critical_share: f64 as reloadable = 0.95;
        /// With this many bytes available a disk is well, whatever share of it is used. 0: only the shares count.
        disk_plenty_bytes: u64 as reloadable = 4 * 1024 * 1024 * 1024;
        /// Largest lag of a view, in events, before this process is not ready.
        lag_max: u64 = 10_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if config.interval_ms == 0 || config.check_timeout_ms == 0 {
        problems.push("interval_ms and check_timeout_ms must be greater than 0".to_owned());
    }
    let is_share = |share: f64| (0.0..=1.0).contains(&share);
    if !is_share(config.memory_warning_share) {
        problems.push("memory_warning_share must lie between 0 and 1".to_owned());
    }
    if !is_share(config.disk_critical_share) || !(0.0..=config.disk_critical_share).contains(&config.disk_warning_share)
    {
        problems
            .push("disk_warning_share must not exceed disk_critical_share, and both lie between 0 and 1".to_owned());
    }
    problems
}
