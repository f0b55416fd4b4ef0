use std::time::Duration;

use crate::ACCESS_TOKEN_LIFE_MAX;

cairn_kernel::settings! {
    /// How access is decided: in each process, from a replica of auth's events.
    pub struct Config: "access" checked by problems {
        /// Ask nobody who they are: everybody is an administrator. For trying things out on one machine; refused unless
        /// every address is a loopback one.
        disabled: bool = false, env "CAIRN_AUTH_DISABLED", "MLRUN_AUTH_DISABLED";
        /// How often the replica asks whether it misses a change, in milliseconds.
        heartbeat_ms: u64 = 1_000;
        /// From this age on, in milliseconds, the replica refuses changes.
        writes_refused_after_ms: u64 = 5_000;
        /// From this age on, in milliseconds, the replica refuses everything.
        everything_refused_after_ms: u64 = 60_000;
        /// How long an access token works that a key was exchanged for, in milliseconds; at most ten minutes, since it
        /// outlives nothing but its own key's revocation.
        token_life_ms: u64 = 600_000;
        /// How many tokens are remembered whose signatures were made or checked, in each direction.
        tokens_remembered_max: u64 = 10_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if config.heartbeat_ms == 0 {
        problems.push("heartbeat_ms must be at least 1".to_owned());
    }
    if config.writes_refused_after_ms < 2 * config.heartbeat_ms {
        problems.push("writes_refused_after_ms must be at least twice heartbeat_ms".to_owned());
    }
    if config.everything_refused_after_ms < config.writes_refused_after_ms {
        problems.push("everything_refused_after_ms must not be less than writes_refused_after_ms".to_owned());
    }
    if !(1_000..=ACCESS_TOKEN_LIFE_MAX.as_millis()).contains(&u128::from(config.token_life_ms)) {
        problems.push(format!("token_life_ms must lie between 1000 and {}", ACCESS_TOKEN_LIFE_MAX.as_millis()));
    }
    problems
}

impl Config {
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    pub(crate) fn token_life(&self) -> Duration {
        Duration::from_millis(self.token_life_ms)
    }
}
