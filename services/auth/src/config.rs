use cairn_kernel::Secret;

cairn_kernel::settings! {
    /// How the first administrator comes in.
    pub struct Config: "auth" checked by problems {
        /// The first administrator's key: any text of 16 characters or more, without spaces. Absent: one is made at
        /// first start, shown once, and written to `boot.key` in the data folder.
        bootstrap_key: Option<Secret> = None, env "CAIRN_API_KEY", "MLRUN_API_KEY";
        /// Accept a new `bootstrap_key` even though somebody else administers the deployment by now, or it was revoked:
        /// the way back in for an operator who lost every key.
        bootstrap_always_allowed: bool = false;
        /// Most roles and denials of one principal or group.
        bindings_max: usize = 1_000;
        /// Most groups of one organization.
        groups_max: usize = 1_000;
        /// Most members of one group.
        group_members_max: usize = 5_000;
        /// Most groups that one user, service account or group is in, directly.
        groups_of_member_max: usize = 100;
        /// Most roles that one organization makes for itself.
        roles_max: usize = 200;
        /// Most guardrails of one organization.
        guardrails_max: usize = 100;
        /// Most bytes that the policies of one organization's guardrails have together.
        guardrails_bytes_max: usize = 65_536;
        /// How long somebody who declares an emergency waits before they may take the break-glass role without a second
        /// person, in milliseconds. Watch `cairn_auth_break_glass_total` meanwhile.
        break_glass_delay_ms: u64 = 600_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if config.bootstrap_key.as_ref().is_some_and(|key| !crate::bootstrap::is_fit(key.expose())) {
        problems.push("bootstrap_key must be 16 characters or more, at most 512, without spaces".to_owned());
    }
    for (key, value) in [
        ("bindings_max", config.bindings_max),
        ("groups_max", config.groups_max),
        ("group_members_max", config.group_members_max),
        ("groups_of_member_max", config.groups_of_member_max),
        ("roles_max", config.roles_max),
        ("guardrails_max", config.guardrails_max),
        ("guardrails_bytes_max", config.guardrails_bytes_max),
    ] {
        if value == 0 {
            problems.push(format!("{key} must be at least 1"));
        }
    }
    problems
}
