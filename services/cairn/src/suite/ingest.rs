//! How what runs log comes in, by what settings say.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use cairn_eventstore::EventStore;
use cairn_experiments::ingest::{Ingest, Settings};
use cairn_ingest_nats::{Address, Durability, NatsQueue};
use cairn_ingest_queue::{Limits, Queue};
use cairn_ingest_redis::RedisQueue;
use cairn_service::allowance;
use cairn_service::config::{Loaded, Secret};
use serde::{Deserialize, Serialize};

/// How what runs log reaches the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IngestMode {
    /// In the request that brings it.
    Direct,
    /// By way of a queue.
    Queued,
}

/// How large a deployment means to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    Small,
    Medium,
    Large,
}

/// What keeps a batch once it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keeping {
    /// The disk of its server.
    Synced,
    /// Three servers.
    Replicated,
}

cairn_service::settings! {
    /// How what runs log comes in. docs/ingest.md has more on the queue.
    pub struct Config: "ingest" checked by problems {
        /// `direct`: stored in the request that brings it, and readable when that is answered. `queued`: points are
        /// acknowledged when a queue keeps them, and are stored a moment later; a slow store holds up nobody who logs.
        mode: IngestMode = IngestMode::Direct, env "INGEST_MODE";
        /// How large this deployment means to be: `small`, `medium` or `large`. `large` does not start with `mode = direct`.
        profile: Profile = Profile::Small, env "CAIRN_PROFILE";
        /// The queue: `nats://user:password@host:4222`, several servers separated by commas, `tls://` for TLS; or
        /// `redis://user:password@host:6379/0`, `rediss://` for TLS. A secret, because a password may be in it. Empty: what
        /// `nats_url` says, else `shared_limits.redis_url`.
        queue_url: Secret = Secret::default();
        /// A NATS to queue in, instead of `queue_url`.
        nats_url: Option<Secret> = None, env "NATS_URL";
        /// A file of credentials for NATS, as `nsc` writes it.
        nats_credentials_file: Option<PathBuf> = None;
        /// Where each NATS server's monitoring is, separated by commas: it says whether the server writes to its disk before it
        /// acknowledges. Empty: port 8222 of each server.
        nats_monitoring_url: String = String::new();
        /// What keeps a batch that was acknowledged: `synced`, the disk of the queue's server, which is asked whether it
        /// writes before it acknowledges; or `replicated`, three servers of NATS that have a copy each.
        durability: Keeping = Keeping::Synced;
        /// What the names of its streams and keys begin with. Deployments that share a queue need one each.
        prefix: String = "cairn-ingest".to_owned();
        /// How many parts the queue has, which processors share among them. The batches of one run go through one of them.
        /// Fixed when the queue is made: another number is refused.
        partitions: u16 = 16;
        /// Whether a process of the role `experiments` also carries what is queued into the log.
        processor: bool = true;
        /// After how many milliseconds others take over the work of a processor that says nothing.
        lease_ms: u64 = 4_000;
        /// How long a read of a run, its points or a list of runs waits for what was queued before it, in milliseconds. Then it
        /// answers with what is there.
        read_wait_ms: u64 = 1_000;
        /// How long a batch that has points beside params or tags waits for points that were queued before, in milliseconds.
        /// Then it is refused with `INGEST_BEHIND`.
        write_wait_ms: u64 = 5_000;
        /// How long a batch is offered to a queue that does not answer, in milliseconds, before it is refused with
        /// `INGEST_QUEUE_UNAVAILABLE`.
        enqueue_timeout_ms: u64 = 5_000;
        /// Longest wait for one answer of the queue, in milliseconds.
        timeout_ms: u64 = 2_000;
        /// Bytes that a queued batch may have. Larger ones are stored in the request that brings them. NATS takes 1 MiB unless
        /// its `max_payload` says otherwise.
        message_bytes_max: usize = 1_000_000;
        /// Batches that may wait in one partition. What is beyond is refused with `INGEST_QUEUE_FULL`.
        depth_max: u64 = 100_000;
        /// When the oldest batch has waited so many seconds, the component `ingest-queue` warns.
        lag_warning_seconds: u64 = 30;
        /// When the oldest batch has waited so many seconds, the process takes no calls until there is less. 0: it always does.
        lag_max_seconds: u64 = 3_600;
    }
}

const PARTITIONS_MAX: u16 = 256;
const LEASE_MS: std::ops::RangeInclusive<u64> = 500..=60_000;

fn problems(config: &Config) -> Vec<String> {
    let mut problems = vec![];
    if config.partitions == 0 || config.partitions > PARTITIONS_MAX {
        problems.push(format!("partitions must be 1 to {PARTITIONS_MAX}"));
    }
    if !LEASE_MS.contains(&config.lease_ms) {
        problems.push(format!("lease_ms must be {} to {}", LEASE_MS.start(), LEASE_MS.end()));
    }
    for (name, value) in [
        ("timeout_ms", config.timeout_ms),
        ("enqueue_timeout_ms", config.enqueue_timeout_ms),
        ("message_bytes_max", config.message_bytes_max as u64),
        ("depth_max", config.depth_max),
        ("lag_warning_seconds", config.lag_warning_seconds),
    ] {
        if value == 0 {
            problems.push(format!("{name} must be at least 1"));
        }
    }
    let is_name = |text: &str| {
        (1..=40).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !is_name(&config.prefix) {
        problems.push(format!("prefix {:?} must be letters, digits, - and _, 40 at most", config.prefix));
    }
    match config.mode {
        // Whoever names a queue relies on it.
        IngestMode::Direct if config.nats_url.is_some() || !config.queue_url.expose().is_empty() => problems.push(
            "queue_url or nats_url (NATS_URL) names a queue, which is of no use without mode = queued (INGEST_MODE)"
                .to_owned(),
        ),
        IngestMode::Direct => {}
        IngestMode::Queued => {
            problems.extend(config.named().and_then(|url| url.map(|url| config.queue(&url)).transpose()).err())
        }
    }
    problems
}

impl Config {
    /// The queue that this section names, if it names one.
    fn named(&self) -> Result<Option<Secret>, String> {
        match (self.queue_url.expose(), &self.nats_url) {
            ("", None) => Ok(None),
            ("", Some(url)) if url.expose().starts_with("nats:") || url.expose().starts_with("tls:") => {
                Ok(Some(url.clone()))
            }
            ("", Some(_)) => Err("nats_url (NATS_URL) must begin with nats:// or tls://".to_owned()),
            (_, None) => Ok(Some(self.queue_url.clone())),
            (_, Some(_)) => Err("queue_url and nats_url (NATS_URL) both name a queue: unset one of them".to_owned()),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            depth_max: self.depth_max,
            message_bytes_max: self.message_bytes_max,
            patience: Duration::from_millis(self.timeout_ms),
        }
    }

    fn queue(&self, url: &Secret) -> Result<Arc<dyn Queue>, String> {
        let wrong = |problem: String| format!("queue_url {problem}");
        let scheme = url.expose().split(':').next().unwrap_or_default();
        match (scheme, self.durability) {
            ("nats" | "tls", keeping) => {
                let address = Address::parse(url, self.nats_credentials_file.clone(), &self.nats_monitoring_url);
                let durability = match keeping {
                    Keeping::Synced => Durability::Synced,
                    Keeping::Replicated => Durability::Replicated,
                };
                Ok(Arc::new(NatsQueue::new(address.map_err(wrong)?, &self.prefix, durability, self.limits())))
            }
            ("redis" | "rediss" | "redis+unix" | "unix", Keeping::Synced) => {
                Ok(Arc::new(RedisQueue::new(url, &self.prefix, self.limits()).map_err(wrong)?))
            }
            ("redis" | "rediss" | "redis+unix" | "unix", Keeping::Replicated) => {
                Err("durability = replicated is for NATS: a Redis acknowledges before its replicas have anything"
                    .to_owned())
            }
            // Without what it is: a password may be in it.
            _ => Err("queue_url must begin with nats://, tls://, redis:// or rediss://".to_owned()),
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            partitions: self.partitions,
            is_processor: self.processor,
            lease: Duration::from_millis(self.lease_ms),
            read_wait: Duration::from_millis(self.read_wait_ms),
            write_wait: Duration::from_millis(self.write_wait_ms),
            enqueue_max: Duration::from_millis(self.enqueue_timeout_ms),
            message_bytes_max: self.message_bytes_max,
            lag_warning: Duration::from_secs(self.lag_warning_seconds),
            lag_max: (self.lag_max_seconds > 0).then(|| Duration::from_secs(self.lag_max_seconds)),
        }
    }
}

/// Whether the mode goes with how large the deployment means to be.
pub fn check(loaded: &Loaded) -> anyhow::Result<()> {
    let config = loaded.get::<Config>();
    if config.profile == Profile::Large && config.mode == IngestMode::Direct {
        bail!(
            "PROFILE_REQUIRES_QUEUED: ingest.profile is large and ingest.mode is direct: set INGEST_MODE=queued, and NATS_URL or \
             REDIS_URL to a queue; docs/ingest.md says what it needs"
        );
    }
    Ok(())
}

/// The queue that settings name, once it is there and keeps what it acknowledges; none in direct mode.
pub async fn open(loaded: &Loaded, store: Arc<dyn EventStore>) -> anyhow::Result<Option<Ingest>> {
    let config = loaded.get::<Config>();
    if config.mode == IngestMode::Direct {
        return Ok(None);
    }
    let url = config.named().map_err(|problem| anyhow::anyhow!("ingest.{problem}"))?;
    let url = url.or_else(|| loaded.get::<allowance::Config>().redis_url);
    let url = url.context(
        "ingest.mode is queued (INGEST_MODE) and nothing names a queue: set NATS_URL, REDIS_URL or ingest.queue_url_file",
    )?;
    let queue = config.queue(&url).map_err(|problem| anyhow::anyhow!("ingest.{problem}"))?;
    let place = queue.place();
    let opened = Ingest::open(queue, store, config.settings()).await;
    Ok(Some(opened.with_context(|| format!("the queue cannot be used: {place}"))?))
}

#[cfg(test)]
mod tests {
    use cairn_service::config::{Registry, Sources};

    use super::*;

    fn loaded(environment: &[(&str, &str)]) -> Result<Loaded, String> {
        let registry = Registry::new().with::<Config>().with::<allowance::Config>();
        let sources = Sources::new().with_environment(environment.iter().copied());
        registry.load(&sources).map_err(|problems| problems.to_string())
    }

    #[test]
    fn direct_is_what_is_meant_when_nothing_is_said_s1_12() {
        assert_eq!(loaded(&[]).unwrap().get::<Config>().mode, IngestMode::Direct);
        let named = loaded(&[("NATS_URL", "nats://one")]).err().unwrap();
        assert!(named.contains("INGEST_MODE"), "{named}");
    }

    #[test]
    fn a_large_deployment_does_not_start_in_direct_mode_s1_73() {
        let large = loaded(&[("CAIRN_PROFILE", "large")]).unwrap();
        assert!(check(&large).unwrap_err().to_string().starts_with("PROFILE_REQUIRES_QUEUED"));
        let queued = [("CAIRN_PROFILE", "large"), ("INGEST_MODE", "queued"), ("NATS_URL", "nats://one")];
        check(&loaded(&queued).unwrap()).unwrap();
        check(&loaded(&[("CAIRN_PROFILE", "medium")]).unwrap()).unwrap();
    }

    #[test]
    fn a_url_names_the_queue_and_is_not_shown() {
        let queued = |name, url| loaded(&[("INGEST_MODE", "queued"), (name, url)]);
        for (name, url) in [
            ("CAIRN__INGEST__QUEUE_URL", "nats://ada:hunter2@one,tls://two"),
            ("CAIRN__INGEST__QUEUE_URL", "rediss://ada:hunter2@one/1"),
            ("NATS_URL", "nats://ada:hunter2@one"),
        ] {
            queued(name, url).unwrap();
        }
        for (name, url) in [
            ("CAIRN__INGEST__QUEUE_URL", "kafka://ada:hunter2@one"),
            ("CAIRN__INGEST__QUEUE_URL", "redis://ada:hunter2@one:x"),
            ("NATS_URL", "redis://ada:hunter2@one"),
        ] {
            let problem = queued(name, url).err().unwrap();
            assert!(problem.contains("ingest.") && !problem.contains("hunter2"), "{problem}");
        }
    }
}
