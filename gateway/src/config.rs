use std::path::PathBuf;

use cairn_service::allowance::rules;
use cairn_service::tls;

cairn_service::settings! {
    /// The edge: limits on what comes in, how long it may take, how often, and who may ask from a browser.
    pub struct Config: "gateway" checked by problems {
        /// Largest body that is read whole (JSON and small raw bodies), in bytes, decompressed.
        body_bytes_max: usize = 16 * 1024 * 1024;
        /// Largest streamed upload, in bytes, decompressed.
        upload_bytes_max: u64 = 1 << 40;
        /// Largest answer taken from a service as one message, in bytes.
        answer_bytes_max: usize = 256 * 1024 * 1024;
        /// Largest request head (request line and all headers), in bytes.
        head_bytes_max: usize = 64 * 1024;
        /// How long a client may take to send a request head, in milliseconds; also how long a connection may be idle.
        head_timeout_ms: u64 = 60_000;
        /// How long a client may pause within a body, or take no bytes of an answer, in milliseconds.
        idle_timeout_ms: u64 = 30_000;
        /// How long a call that answers once may take, its body included, in milliseconds. Streams have no such end.
        request_timeout_ms: u64 = 60_000;
        /// How long a streamed upload may take, in milliseconds.
        upload_timeout_ms: u64 = 6 * 3_600_000;
        /// Connections served at once on each port; more wait to be accepted.
        connections_max: usize = 10_000;
        /// Calls one HTTP/2 connection may have open at once.
        streams_per_connection_max: u32 = 256;
        /// How often a silent stream says that it is alive, in milliseconds.
        keep_alive_ms: u64 = 15_000;
        /// Proxies in front of this process that append to X-Forwarded-For. 0: the header is not believed.
        forwarded_hops: usize = 0;
        /// Web origins that may call from a browser, e.g. https://console.example.com. Empty: none.
        cors_origins: Vec<String> = vec![];
        /// Whether pages of these origins may send cookies and the like along.
        cors_credentials: bool = false;
        /// Requests per second for each known caller.
        caller_rate_max: u32 as reloadable = 100_000;
        /// Requests per second for each known caller on each method.
        method_rate_max: u32 as reloadable = 50_000;
        /// Requests per second for each API key. 0: a key may send what its owner may.
        key_rate_max: u32 as reloadable = 0;
        /// Requests per second without a valid credential, for each source network (IPv4 /24, IPv6 /48).
        stranger_rate_max: u32 as reloadable = 200;
        /// How many seconds' worth of requests may come at once.
        burst_seconds: u32 as reloadable = 2;
        /// Callers with a quota of their own, each as `serviceAccounts/etl rate=500 burst=1000`: requests per second, and
        /// how many may come at once.
        callers: Vec<String> = vec![];
        /// Methods with a quota of their own, each as `cairn.experiments.v1.RunService/SearchRuns rate=20 burst=40 cost=5`,
        /// or `cairn.ledger.v1.LedgerService/* cost=10` for all of a service. The rate is each caller's on that method;
        /// the cost is how many ordinary calls one of them weighs, wherever it is counted at the edge.
        methods: Vec<String> = vec![];
        /// Calls that each known caller may have open at once, streams included.
        caller_calls_max: u32 as reloadable = 4_096;
        /// Calls without a valid credential that each source network may have open at once.
        stranger_calls_max: u32 as reloadable = 256;
        /// Callers' addresses that are remembered as sealed; of one that is not, the next request waits for auth to seal it.
        sealed_sources_max: u64 = 20_000;
        /// Certificate chain that both ports are served with, PEM, the server's own first. Without one they are plain, and
        /// something in front must encrypt.
        tls_certificate_file: Option<PathBuf> = None;
        /// Its private key, PEM.
        tls_key_file: Option<PathBuf> = None;
        /// How often it is looked whether these files have changed, in milliseconds.
        tls_reload_ms: u64 = 5_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let numbers = [
        ("body_bytes_max", config.body_bytes_max as u64),
        ("upload_bytes_max", config.upload_bytes_max),
        ("answer_bytes_max", config.answer_bytes_max as u64),
        ("head_timeout_ms", config.head_timeout_ms),
        ("idle_timeout_ms", config.idle_timeout_ms),
        ("request_timeout_ms", config.request_timeout_ms),
        ("upload_timeout_ms", config.upload_timeout_ms),
        ("connections_max", config.connections_max as u64),
        ("streams_per_connection_max", u64::from(config.streams_per_connection_max)),
        ("keep_alive_ms", config.keep_alive_ms),
        ("caller_rate_max", u64::from(config.caller_rate_max)),
        ("method_rate_max", u64::from(config.method_rate_max)),
        ("stranger_rate_max", u64::from(config.stranger_rate_max)),
        ("burst_seconds", u64::from(config.burst_seconds)),
        ("caller_calls_max", u64::from(config.caller_calls_max)),
        ("stranger_calls_max", u64::from(config.stranger_calls_max)),
        ("sealed_sources_max", config.sealed_sources_max),
        ("tls_reload_ms", config.tls_reload_ms),
    ];
    let mut problems: Vec<String> = numbers
        .iter()
        .filter(|(_, number)| *number == 0)
        .map(|(key, _)| format!("{key} must be greater than 0"))
        .collect();
    if config.head_bytes_max < 8 * 1024 {
        problems.push("head_bytes_max must be at least 8192".to_owned());
    }
    if config.tls_certificate_file.is_some() != config.tls_key_file.is_some() {
        problems.push("tls_certificate_file and tls_key_file must be given together".to_owned());
    }
    for subject in rules(&config.callers).unwrap_or_default().into_iter().filter(|(_, rule)| rule.cost.is_some()) {
        problems.push(format!("callers: {} has a cost: methods have, not callers", subject.0));
    }
    for origin in &config.cors_origins {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', '?', '#', '@'])) {
            problems.push(format!("cors_origins: {origin:?} is not an origin such as https://console.example.com"));
        }
    }
    problems
}

impl Config {
    /// The files that this gateway's ports are encrypted with, if they are.
    pub fn tls(&self) -> Option<tls::Files> {
        let (certificate, key) = (self.tls_certificate_file.clone()?, self.tls_key_file.clone()?);
        Some(tls::Files { certificate, key, trusted: None })
    }

    /// `https`, or `http` where something in front encrypts.
    pub fn scheme(&self) -> &'static str {
        if self.tls().is_some() { "https" } else { "http" }
    }
}
