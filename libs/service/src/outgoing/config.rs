crate::settings! {
    /// Calls to other processes.
    pub struct Config: "outgoing" checked by problems {
        /// How long a call without a deadline may take, in milliseconds.
        deadline_ms_default: u64 = 10_000;
        /// How often one call is tried, the first time included.
        attempts_max: u32 = 4;
        /// Shortest pause before a call is tried again, in milliseconds.
        pause_ms_min: u64 = 25;
        /// Longest pause before a call is tried again, in milliseconds.
        pause_ms_max: u64 = 2_000;
        /// Share of calls that may be tried again, so that retries cannot keep an overloaded process down.
        retry_share_max: f64 = 0.2;
        /// Retries allowed in each second whatever their share.
        retries_per_second_min: u32 = 5;
        /// Largest request, in bytes, that is kept to be sent again; larger ones are tried once.
        retry_bytes_max: usize = 4 * 1024 * 1024;
        /// After so many failures in a row no call is tried for a while.
        circuit_failures_max: u32 = 5;
        /// How long no call is tried then, in milliseconds, before one is let through to see.
        circuit_open_ms: u64 = 5_000;
        /// How often the processes of a role are asked how they are, in milliseconds.
        health_interval_ms: u64 = 2_000;
        /// After how long a read that is not answered is sent to another process too, in milliseconds, whichever answers
        /// first. Counts as a retry. 0: never.
        hedge_after_ms: u64 = 0;
        /// How long it may take to connect, in milliseconds.
        connect_timeout_ms: u64 = 2_000;
        /// How often an idle connection is asked whether it is still there, in milliseconds.
        keep_alive_ms: u64 = 20_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if config.attempts_max == 0 {
        problems.push("attempts_max must be at least 1".to_owned());
    }
    if config.pause_ms_min == 0 || config.pause_ms_min > config.pause_ms_max {
        problems.push("pause_ms_min must be between 1 and pause_ms_max".to_owned());
    }
    if !(0.0..=1.0).contains(&config.retry_share_max) {
        problems.push("retry_share_max must lie between 0 and 1".to_owned());
    }
    if config.health_interval_ms == 0 {
        problems.push("health_interval_ms must be greater than 0".to_owned());
    }
    if config.circuit_failures_max == 0 {
        problems.push("circuit_failures_max must be at least 1".to_owned());
    }
    problems
}
