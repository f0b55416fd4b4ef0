use std::path::PathBuf;
use std::time::Duration;

use cairn_kernel::Secret;
use eventstore::ClientSettings;

cairn_kernel::settings! {
    /// The event log where it is kept in KurrentDB, or by another Cairn that speaks its protocol.
    pub struct Config: "events_kurrentdb" checked by problems {
        /// Where it is: `kurrentdb://user:password@host:2113?tls=true`, with several hosts or `kurrentdb+discover://` for a
        /// cluster. A secret, because the password is in it. docs/kurrentdb.md has the rest.
        url: Secret = Secret::default(), env "KURRENTDB_URL";
        /// The stream there that is the log. Each log has one of its own; nobody else may write to it.
        stream: String = "cairn-log".to_owned();
        /// The copy of the log in this process. Empty: `events/events.kurrentdb` below the data folder. Its other settings are
        /// those of `[events]`.
        path: PathBuf = PathBuf::new();
        /// Bytes that the server takes in one append (`MaxAppendSize` there), all that goes with events included.
        append_bytes_max: usize = 1 << 20;
        /// How long one call may take, in milliseconds.
        request_timeout_ms: u64 = 5_000;
        /// How long an append tries again when the server has gone away or does not answer, in milliseconds, before it is
        /// refused.
        outage_ms: u64 = 5_000;
        /// How long to wait before the server is asked for its events again after it was not there, in milliseconds.
        pause_ms: u64 = 500;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if !config.url.expose().is_empty() && config.settings().is_err() {
        // What is wrong with it is not said: the client's words would repeat the password.
        problems.push("url must be a connection string: kurrentdb://user:password@host:2113?tls=true".to_owned());
    }
    if config.stream.is_empty() || config.stream.starts_with('$') {
        problems.push("stream must be a name that does not begin with $".to_owned());
    }
    if config.append_bytes_max < 64 << 10 {
        problems.push("append_bytes_max must be at least 64 KiB".to_owned());
    }
    let at_least_one = [
        ("request_timeout_ms", config.request_timeout_ms),
        ("outage_ms", config.outage_ms),
        ("pause_ms", config.pause_ms),
    ];
    let zero = at_least_one.iter().filter(|(_, value)| *value == 0);
    problems.extend(zero.map(|(field, _)| format!("{field} must be at least 1")));
    problems
}

impl Config {
    /// The defaults, with a server and a place for the copy.
    pub fn at(url: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { url: Secret::from(url.into()), path: path.into(), ..Self::default() }
    }

    pub(crate) fn settings(&self) -> Result<ClientSettings, String> {
        self.url.expose().parse().map_err(|_| "it cannot be read".to_owned())
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn outage(&self) -> Duration {
        Duration::from_millis(self.outage_ms)
    }

    pub(crate) fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_without_the_password() {
        let config =
            Config { append_bytes_max: 1, outage_ms: 0, ..Config::at("kurrentdb://ada:hunter2@:x?tls=9", "a") };
        let problems = problems(&Config { stream: "$log".into(), ..config }).join("; ");
        for field in ["url", "stream", "append_bytes_max", "outage_ms"] {
            assert!(problems.contains(field), "{field} is missing in {problems}");
        }
        assert!(!problems.contains("hunter2"), "{problems}");
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(super::problems(&Config::at("kurrentdb://ada:hunter2@localhost:2113?tls=false", "a")), [""; 0]);
    }
}
