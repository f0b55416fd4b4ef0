use std::net::{Ipv4Addr, SocketAddr};

use cairn_eventstore::limits::{APPEND_BYTES_MAX, EVENT_BYTES_MAX};

cairn_service::settings! {
    /// The event store for other programs, which speak KurrentDB's protocol. It is encrypted as the gateway's ports are
    /// (`gateway.tls_certificate_file`).
    pub struct Config: "eventstore" checked by problems {
        /// Address that clients of KurrentDB reach, e.g. `0.0.0.0:2113`. Absent: `cairn up` has no such door, and `cairn serve
        /// eventstore` has it on 127.0.0.1:2113. Port 0 takes a free one.
        listen: Option<SocketAddr> = None;
        /// Lets `listen` be an address that others on the network reach without encryption: where something else encrypts.
        plain: bool = false;
        /// Host and port as clients reach them, e.g. `events.example.org:2113`, where that is not what they say themselves.
        advertised: String = String::new();
        /// What the names of streams begin with that programs may write. Nothing that the platform calls its own may be
        /// among them.
        writable_prefixes: Vec<String> = vec!["app.".to_owned()];
        /// Largest event, in bytes: its data, its metadata and its type.
        event_bytes_max: usize = 4 << 20;
        /// Largest append, in bytes of its events.
        append_bytes_max: usize = 16 << 20;
        /// How long an append of a batch may take, in milliseconds, whatever its client says.
        append_timeout_ms: u64 = 10_000;
        /// Subscriptions open at once in this process.
        subscriptions_max: usize = 1_000;
        /// Subscriptions open at once on one connection.
        subscriptions_per_connection_max: usize = 100;
        /// Events read ahead for one reader or subscriber. Who is slower than the log reads on from what is stored.
        ahead_events_max: usize = 128;
        /// Steps that matching one name against a pattern of a client's may take.
        pattern_steps_max: usize = 100_000;
    }
}

/// Where an event store is that nobody says anything of.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2113);
/// What an event of the log has beside what a program says: names, and who appended it.
const AROUND_BYTES: usize = 64 << 10;

impl Config {
    /// Where a process listens that is an event store whatever the settings say.
    pub fn address(&self) -> SocketAddr {
        self.listen.unwrap_or(LISTEN)
    }

    /// Largest message of a client: a batch is one.
    pub fn message_bytes_max(&self) -> usize {
        self.append_bytes_max + (2 << 20)
    }
}

fn problems(config: &Config) -> Vec<String> {
    let numbers = [
        ("event_bytes_max", config.event_bytes_max, EVENT_BYTES_MAX - AROUND_BYTES),
        ("append_bytes_max", config.append_bytes_max, APPEND_BYTES_MAX / 2),
        ("append_timeout_ms", usize::try_from(config.append_timeout_ms).unwrap_or(usize::MAX), 300_000),
        ("subscriptions_max", config.subscriptions_max, 1 << 20),
        ("subscriptions_per_connection_max", config.subscriptions_per_connection_max, 1 << 20),
        ("ahead_events_max", config.ahead_events_max, 4_096),
        ("pattern_steps_max", config.pattern_steps_max, 100_000_000),
    ];
    let mut problems: Vec<String> = numbers
        .iter()
        .filter(|(_, value, max)| *value == 0 || value > max)
        .map(|(name, _, max)| format!("{name} must be 1 to {max}"))
        .collect();
    for prefix in &config.writable_prefixes {
        if prefix.is_empty() || prefix.starts_with('$') || crate::names::could_be_ours(prefix) {
            problems.push(format!("writable_prefixes: {prefix:?} could be the beginning of a stream of the platform"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_platform_can_be_made_writable() {
        let said = |prefixes: &[&str]| {
            problems(&Config {
                writable_prefixes: prefixes.iter().map(|text| (*text).to_owned()).collect(),
                ..Config::default()
            })
        };
        assert_eq!(said(&["app.", "orders-", "kurrent"]), [""; 0]);
        for prefix in ["", "$", "auth.", "auth.project-x", "registry", "a", "serving.orders-"] {
            assert_eq!(said(&[prefix]).len(), 1, "{prefix:?}");
        }
    }

    #[test]
    fn limits_that_the_log_does_not_have_are_refused() {
        assert_eq!(problems(&Config::default()), [""; 0]);
        let large = Config { event_bytes_max: EVENT_BYTES_MAX, append_bytes_max: 0, ..Config::default() };
        assert_eq!(problems(&large).len(), 2);
    }
}
