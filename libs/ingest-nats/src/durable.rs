//! Whether a NATS keeps what it has acknowledged: by default it acknowledges before it has written anything to a disk.

use std::time::Duration;

use cairn_ingest_queue::QueueFault;
use serde::Deserialize;
use url::Url;

/// What keeps a message once it was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Its server's disk: the server writes before it acknowledges.
    Synced,
    /// Several servers, of which most must not end at the same moment.
    Replicated,
}

/// Copies that there are of each message where several servers keep it.
pub(crate) const REPLICAS_MIN: usize = 3;

/// What a server's monitoring says of it, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Variables {
    server_id: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
struct JetStream {
    #[serde(default)]
    config: Settings,
}

#[derive(Debug, Default, Deserialize)]
struct Settings {
    #[serde(default)]
    sync_always: bool,
}

/// Asks each server's monitoring whether it writes before it acknowledges. One of them must be `connected`.
pub(crate) async fn ask(monitoring: &[Url], connected: &str, patience: Duration) -> Result<(), QueueFault> {
    let unsure = |why: String| QueueFault::Unsuitable(format!("INGEST_QUEUE_NOT_DURABLE: {why}"));
    let http = reqwest::Client::builder().timeout(patience).no_proxy().build();
    let http = http.map_err(|fault| QueueFault::Away(fault.to_string()))?;
    let mut known = vec![];
    for server in monitoring {
        let place =
            format!("{}:{}", server.host_str().unwrap_or_default(), server.port_or_known_default().unwrap_or(80));
        let cannot = || {
            unsure(format!(
                "the monitoring of NATS at {place} does not say how it keeps what it acknowledges; turn it on there (http_port: \
                 8222), name it in ingest.nats_monitoring_url, or have three servers keep each message and set \
                 ingest.durability to replicated"
            ))
        };
        let mut page = server.clone();
        page.set_path("/varz");
        let answer = http.get(page).send().await.map_err(|_| cannot())?;
        let told: Variables = answer.json().await.map_err(|_| cannot())?;
        if !told.jetstream.config.sync_always {
            return Err(unsure(format!(
                "NATS {} at {place} acknowledges messages before it has written them to its disk; set `sync_interval: always` in \
                 its section jetstream (from 2.10 on), or have three servers keep each message and set ingest.durability to \
                 replicated",
                told.version
            )));
        }
        known.push(told.server_id);
    }
    match known.iter().any(|id| id == connected) {
        true => Ok(()),
        false => Err(unsure(
            "ingest.nats_monitoring_url leads to other servers than the one that ingest is connected to; name the monitoring of \
             each server"
                .to_owned(),
        )),
    }
}
