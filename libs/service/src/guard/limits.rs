use cairn_eventstore::limits::EVENT_BYTES_MAX;

use crate::allowance::rules;

crate::settings! {
    /// What one call may take.
    pub struct Limits: "limits" checked by problems {
        /// Largest request message, in bytes, decompressed. What one message says becomes one event, which holds 8 MiB.
        message_bytes_max: usize = 7 * 1024 * 1024;
        /// How long a caller that sets no deadline waits, in milliseconds.
        deadline_ms_default: u64 = 30_000;
        /// How long any caller may wait, in milliseconds.
        deadline_ms_max: u64 = 300_000;
        /// How long a call that streams in may take, in milliseconds: an upload lasts as long as its bytes do.
        upload_ms_max: u64 = 6 * 3_600_000;
        /// How many verified principal tokens are remembered.
        tokens_max: u64 = 10_000;
        /// Largest request, in bytes, whose text is kept in the audit log; of larger ones it keeps the digest.
        audit_text_bytes_max: usize = 64 * 1024;
        /// Requests per second for each project (tenant), whoever sends them; what lies in no project counts for its
        /// caller.
        project_rate_max: u32 = 100_000;
        /// How many seconds' worth of a project's requests may come at once.
        project_burst_seconds: u32 = 2;
        /// Projects with a quota of their own, each as `projects/fraud rate=50 burst=100`: requests per second, and how
        /// many may come at once.
        projects: Vec<String> = vec![];
        /// Calls that run at once in this process, streams apart. When there are more, projects take turns.
        calls_at_once_max: usize = 1_024;
        /// How many calls of one project may wait for their turn.
        project_waiting_max: usize = 10_000;
        /// How many addresses and reasons of refused strangers are counted apart in one minute.
        strangers_max: usize = 1_000;
    }
}

/// What of an event a message may take: the rest is for what the log says of the event itself.
const MESSAGE_BYTES_LIMIT: usize = EVENT_BYTES_MAX - (1 << 20);

fn problems(limits: &Limits) -> Vec<String> {
    let mut problems = vec![];
    if !(1024..=MESSAGE_BYTES_LIMIT).contains(&limits.message_bytes_max) {
        problems.push(format!("message_bytes_max must be 1024 to {MESSAGE_BYTES_LIMIT}"));
    }
    if limits.deadline_ms_default == 0 || limits.deadline_ms_default > limits.deadline_ms_max {
        problems.push("deadline_ms_default must be between 1 and deadline_ms_max".to_owned());
    }
    let numbers = [
        ("project_rate_max", limits.project_rate_max as usize),
        ("project_burst_seconds", limits.project_burst_seconds as usize),
        ("calls_at_once_max", limits.calls_at_once_max),
        ("project_waiting_max", limits.project_waiting_max),
    ];
    problems.extend(numbers.iter().filter(|(_, number)| *number == 0).map(|(key, _)| format!("{key} must not be 0")));
    match rules(&limits.projects) {
        Err(faults) => problems.extend(faults.into_iter().map(|fault| format!("projects: {fault}"))),
        Ok(rules) => {
            let costs = rules.iter().filter(|(_, rule)| rule.cost.is_some());
            problems
                .extend(costs.map(|(project, _)| format!("projects: {project} has a cost: calls have, not projects")));
            let others = rules.keys().filter(|project| !project.starts_with("projects/"));
            problems.extend(others.map(|project| format!("projects: {project:?} does not begin with projects/")));
        }
    }
    problems
}
