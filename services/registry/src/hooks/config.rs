use std::time::Duration;

use cairn_outbound::Allowed;

cairn_kernel::settings! {
    /// Where hooks may reach, and how patiently.
    pub struct Config: "hooks" checked by problems {
        /// Private addresses that hooks may reach all the same: networks (`10.1.0.0/16`), addresses, or names of hosts.
        /// Empty: no hook reaches this machine, its network or its cloud's metadata.
        allowed_private: Vec<String> = vec![];
        /// How long an expression may take, in milliseconds. What takes longer is refused.
        expression_timeout_ms: u64 = 1_000;
        /// How often something is delivered before it is given up and becomes a dead letter.
        attempts_max: u64 = 12;
        /// Wait before the second attempt, in milliseconds. It doubles with each further one.
        backoff_ms: u64 = 1_000;
        /// Longest wait between two attempts, in milliseconds.
        backoff_ms_max: u64 = 3_600_000;
        /// Deliveries on their way at the same time.
        in_flight_max: u64 = 32;
        /// Of these, for one hook: a slow receiver holds up nobody else's.
        in_flight_per_hook_max: u64 = 4;
        /// Deliveries of one hook that wait. What comes beyond is a dead letter at once.
        pending_per_hook_max: u64 = 10_000;
        /// Deliveries of one hook that are remembered once they were taken, and as many that were given up.
        kept_per_hook_max: u64 = 1_000;
    }
}

impl Config {
    /// What private addresses may be reached.
    pub(super) fn allowed(&self) -> Allowed {
        // What does not read was said when the settings were loaded; here it allows nothing.
        Allowed::parse(self.allowed_private.iter().map(String::as_str)).unwrap_or_default()
    }

    pub(super) fn expression_timeout(&self) -> Duration {
        Duration::from_millis(self.expression_timeout_ms)
    }
}

fn problems(config: &Config) -> Vec<String> {
    let read = Allowed::parse(config.allowed_private.iter().map(String::as_str));
    let mut problems: Vec<String> = read.err().map(|fault| format!("allowed_private: {fault}")).into_iter().collect();
    let limits = [
        ("expression_timeout_ms", config.expression_timeout_ms, 1, 60_000),
        ("attempts_max", config.attempts_max, 1, 100),
        ("backoff_ms", config.backoff_ms, 1, 86_400_000),
        ("backoff_ms_max", config.backoff_ms_max, config.backoff_ms, 86_400_000),
        ("in_flight_max", config.in_flight_max, 1, 1_000),
        ("in_flight_per_hook_max", config.in_flight_per_hook_max, 1, 1_000),
        ("pending_per_hook_max", config.pending_per_hook_max, 1, 1_000_000),
        ("kept_per_hook_max", config.kept_per_hook_max, 1, 1_000_000),
    ];
    let wrong = limits.into_iter().filter(|(_, value, min, max)| value < min || value > max);
    problems.extend(wrong.map(|(name, _, min, max)| format!("{name} must be {min} to {max}")));
    problems
}
