use std::time::Duration;

use cairn_kernel::Secret;
use cairn_postgres::Address;

cairn_kernel::settings! {
    /// The event log where it is kept in PostgreSQL, by one process or by many.
    pub struct Config: "events_postgres" checked by problems {
        /// The database: `postgres://user:password@host:5432/name?sslmode=verify-full`. A secret, because the password is in it.
        /// Say `pgbouncer=true` in it where a pooler in transaction mode stands between. docs/postgres.md has the rest.
        url: Secret = Secret::default(), env "DATABASE_URL";
        /// The same database past the pooler, to hear of other processes' events at once. Without it and with `pgbouncer=true`
        /// in `url`, they are polled for.
        direct_url: Secret = Secret::default();
        /// The schema that the log's tables are in; it is made if it is not there. Each log has one of its own.
        schema: String = "cairn_events".to_owned();
        /// Connections for reading; as many reads run at once. Beside them, a process has one for writing and one to listen on.
        connections_max: usize = 8;
        /// How long a read waits for one of them, in milliseconds, before it fails with `POOL_EXHAUSTED`.
        acquire_timeout_ms: u64 = 5_000;
        /// How long connecting may take, in milliseconds.
        connect_timeout_ms: u64 = 4_000;
        /// How long one statement may take, and how long appends wait for another process's, in milliseconds.
        statement_timeout_ms: u64 = 15_000;
        /// How long appends wait for a database that has just gone away, in milliseconds, before they are refused. Those that
        /// come while it is known to be away are refused at once.
        outage_ms: u64 = 2_000;
        /// How often the end of the log is asked for, in milliseconds, where other processes' events are polled for.
        poll_interval_ms: u64 = 100;
        /// The same where they are heard of at once and polling only makes sure.
        listening_poll_interval_ms: u64 = 1_000;
        /// Appends that may wait for the writer; beyond it, they are refused with a delay.
        waiting_appends_max: usize = 16_384;
        /// Bytes of events that may wait for the writer.
        waiting_bytes_max: usize = 256 << 20;
        /// Events committed together at most. One append is never split.
        batch_events_max: usize = 4_096;
        /// Streams whose last revision is kept in memory, so that appending to them needs no lookup.
        cached_heads_max: usize = 50_000;
        /// Recent events kept in memory for live subscriptions.
        ring_events_max: usize = 8_192;
        /// Bytes of recent events kept in memory.
        ring_bytes_max: usize = 16 << 20;
        /// Snapshots that may wait to be written, in bytes; beyond it, they are dropped.
        waiting_snapshots_bytes_max: usize = 16 << 20;
        /// How often this process looks for events that are no longer to be kept, in milliseconds.
        sweep_interval_ms: u64 = 5_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    for (field, url) in [("url", &config.url), ("direct_url", &config.direct_url)] {
        if !url.expose().is_empty() {
            problems.extend(Address::parse(url.expose()).err().map(|problem| format!("{field} {problem}")));
        }
    }
    let at_least_one = [
        ("connections_max", config.connections_max as u64),
        ("acquire_timeout_ms", config.acquire_timeout_ms),
        ("connect_timeout_ms", config.connect_timeout_ms),
        ("statement_timeout_ms", config.statement_timeout_ms),
        ("poll_interval_ms", config.poll_interval_ms),
        ("listening_poll_interval_ms", config.listening_poll_interval_ms),
        ("waiting_appends_max", config.waiting_appends_max as u64),
        ("waiting_bytes_max", config.waiting_bytes_max as u64),
        ("batch_events_max", config.batch_events_max as u64),
        ("cached_heads_max", config.cached_heads_max as u64),
        ("sweep_interval_ms", config.sweep_interval_ms),
    ];
    let zeros = at_least_one.into_iter().filter(|(_, value)| *value == 0);
    problems.extend(zeros.map(|(field, _)| format!("{field} must be at least 1")));
    if !is_schema_name(&config.schema) {
        problems.push(format!(
            "schema {:?} must begin with a small letter and go on with small letters, digits or _, 40 at most",
            config.schema
        ));
    }
    problems
}

/// Names that need no quotes and leave room for what is made of them.
fn is_schema_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

impl Config {
    /// The defaults, for a database.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into().into(), ..Self::default() }
    }

    /// Everything that is wrong, at once.
    pub fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = problems(self);
        if self.url.expose().is_empty() {
            problems.push("url must name a database: postgres://user:password@host/name".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_once_a_database_is_named() {
        assert_eq!(Config::at("postgres://ada:secret@localhost/cairn").validate(), Ok(()));
        assert!(Config::default().validate().is_err());
    }

    #[test]
    fn every_problem_is_reported_at_once_and_no_password() {
        let config = Config {
            connections_max: 0,
            schema: "Robert'); DROP".to_owned(),
            direct_url: "mysql://ada:hunter2@host".to_owned().into(),
            ..Config::at("postgres://ada:hunter2@host/db?sslmode=maybe")
        };
        let problems = config.validate().unwrap_err();
        for field in ["url", "direct_url", "connections_max", "schema"] {
            assert!(problems.iter().any(|problem| problem.starts_with(field)), "{field} is missing in {problems:?}");
        }
        assert!(!format!("{problems:?} {config:?}").contains("hunter2"));
    }
}
