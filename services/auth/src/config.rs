use cairn_kernel::Secret;

cairn_kernel::settings! {
    /// Who is let in.
    pub struct Config: "auth" checked by problems {
        /// Ask nobody who they are: everybody is an administrator. For trying things out on one machine; refused unless
        /// every address is a loopback one.
        disabled: bool = false, env "CAIRN_AUTH_DISABLED", "MLRUN_AUTH_DISABLED";
        /// The first administrator's key: any text of 16 characters or more, without spaces. Absent: one is made at
        /// first start, shown once, and written to `boot.key` in the data folder.
        bootstrap_key: Option<Secret> = None, env "CAIRN_API_KEY", "MLRUN_API_KEY";
        /// Accept a new `bootstrap_key` even though somebody else administers the deployment by now, or it was revoked:
        /// the way back in for an operator who lost every key.
        bootstrap_always_allowed: bool = false;
        /// From this age on, in milliseconds, a replica of access refuses changes.
        stale_writes_refused_after_ms: u64 = 5_000;
        /// From this age on, in milliseconds, a replica of access refuses everything.
        stale_refused_after_ms: u64 = 60_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if config.bootstrap_key.as_ref().is_some_and(|key| !crate::bootstrap::is_fit(key.expose())) {
        problems.push("bootstrap_key must be 16 characters or more, at most 512, without spaces".to_owned());
    }
    if config.stale_writes_refused_after_ms < 2_000 {
        problems.push("stale_writes_refused_after_ms must be at least 2000, twice the heartbeat".to_owned());
    }
    if config.stale_refused_after_ms < config.stale_writes_refused_after_ms {
        problems.push("stale_refused_after_ms must not be less than stale_writes_refused_after_ms".to_owned());
    }
    problems
}
