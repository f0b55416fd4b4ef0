use serde::Deserialize;

/// The edge: limits on what comes in, how long it may take, and who may ask from a browser.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest body that is read whole (JSON and unary raw bodies), in plain bytes after decompression.
    pub body_bytes_max: usize,
    /// Largest streamed upload, in plain bytes after decompression.
    pub upload_bytes_max: u64,
    /// Largest answer taken from a service as one message.
    pub answer_bytes_max: usize,
    /// Largest request head: request line and all headers.
    pub head_bytes_max: usize,
    /// How long a client may take to send its request head.
    pub head_timeout_ms: u64,
    /// How long a client may pause while it sends a body, or refuse to take the next bytes of an answer.
    pub idle_timeout_ms: u64,
    /// How long a call that answers once may take, reading its body included. Streams have no such end.
    pub request_timeout_ms: u64,
    /// How long connections may finish their work once the process stops.
    pub drain_timeout_ms: u64,
    /// Connections served at once on each port; more wait to be accepted.
    pub connections_max: usize,
    /// Calls one HTTP/2 connection may have open at once.
    pub streams_per_connection_max: u32,
    /// How often a silent event stream says that it is alive.
    pub keep_alive_ms: u64,
    /// Proxies in front of this process that append to `X-Forwarded-For`. 0: the header is not believed.
    pub forwarded_hops: usize,
    /// Web origins that may call from a browser, e.g. `https://console.example.com`. Empty: none.
    pub cors_origins: Vec<String>,
    /// Write each request's message, its sensitive fields hidden, into the log at debug level.
    pub log_messages: bool,
    /// How many requests a caller may send.
    pub rates: Rates,
}

/// How many requests a caller may send: steadily per second, and at once after a pause.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Requests per second for each known caller.
    pub principal_per_second: u32,
    /// Requests per second for each known caller on each method.
    pub method_per_second: u32,
    /// Requests per second for each source network (IPv4 /24, IPv6 /48) without a valid credential.
    pub stranger_per_second: u32,
    /// Seconds' worth of requests that may come at once.
    pub burst_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            upload_bytes_max: 1 << 40,
            answer_bytes_max: 256 << 20,
            head_bytes_max: 64 << 10,
            head_timeout_ms: 30_000,
            idle_timeout_ms: 30_000,
            request_timeout_ms: 60_000,
            drain_timeout_ms: 30_000,
            connections_max: 10_000,
            streams_per_connection_max: 256,
            keep_alive_ms: 15_000,
            forwarded_hops: 0,
            cors_origins: vec![],
            log_messages: false,
            rates: Rates::default(),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self { principal_per_second: 20_000, method_per_second: 10_000, stranger_per_second: 50, burst_seconds: 2 }
    }
}

impl Config {
    /// Everything that is wrong with it.
    pub fn validate(&self) -> Vec<String> {
        let mut problems = vec![];
        let mut positive = |key: &str, value: u64| {
            if value == 0 {
                problems.push(format!("{key} must be greater than 0"));
            }
        };
        positive("body_bytes_max", self.body_bytes_max as u64);
        positive("upload_bytes_max", self.upload_bytes_max);
        positive("answer_bytes_max", self.answer_bytes_max as u64);
        positive("head_timeout_ms", self.head_timeout_ms);
        positive("idle_timeout_ms", self.idle_timeout_ms);
        positive("request_timeout_ms", self.request_timeout_ms);
        positive("connections_max", self.connections_max as u64);
        positive("streams_per_connection_max", u64::from(self.streams_per_connection_max));
        positive("keep_alive_ms", self.keep_alive_ms);
        positive("rates.principal_per_second", u64::from(self.rates.principal_per_second));
        positive("rates.method_per_second", u64::from(self.rates.method_per_second));
        positive("rates.stranger_per_second", u64::from(self.rates.stranger_per_second));
        positive("rates.burst_seconds", u64::from(self.rates.burst_seconds));
        if self.head_bytes_max < 8 << 10 {
            problems.push("head_bytes_max must be at least 8192".into());
        }
        for origin in &self.cors_origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', '?', '#', '@'])) {
                problems.push(format!("cors_origins: {origin:?} is not an origin such as https://console.example.com"));
            }
        }
        problems
    }
}
