//! `cairn lineage emit`: the graph as events of OpenLineage, sent to another program.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde_json::{Value, json};

use super::exit::Unusable;
use super::output::text;
use super::session::{Session, given};

/// How long the other program may take for one event.
const SEND_MAX: Duration = Duration::from_secs(30);
/// How often an event is sent before the command gives up, and how long it waits after the first time; twice as long
/// after each further one.
const ATTEMPTS: u32 = 6;
const WAIT_FIRST: Duration = Duration::from_millis(200);

/// Where to, and from where on.
#[derive(Debug, clap::Args)]
pub struct Command {
    /// The other program's address, e.g. `http://marquez:5000`. Redirects are not followed.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Where below its address it takes events.
    #[arg(long, default_value = "api/v1/lineage", value_name = "PATH")]
    endpoint: String,
    /// File that holds the key it wants to see as a bearer token. Without it the key is taken from OPENLINEAGE_API_KEY, and
    /// without that none is sent.
    #[arg(long, value_name = "FILE")]
    to_key_file: Option<PathBuf>,
    /// Only at or below this resource.
    #[arg(long)]
    resource: Option<String>,
    /// Only what happened after this position of the log.
    #[arg(long)]
    after: Option<u64>,
    /// Go on with what happens, until the command is ended.
    #[arg(long)]
    follow: bool,
}

/// Another program that takes events.
struct Sink {
    http: reqwest::Client,
    url: Url,
    key: Option<String>,
}

pub async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    let sink = Sink::new(&command)?;
    let request = given(json!({
        "format": "LINEAGE_FORMAT_OPEN_LINEAGE",
        "resource": command.resource,
        "after_position": command.after.map(|after| after.to_string()),
        "follow": command.follow.then_some(true),
    }));
    let mut events = session.stream("ledger.v1.LineageService/ExportLineage", request).await?;
    let (mut sent, mut last) = (0_u64, command.after.map(|after| after.to_string()));
    let go_on = |last: &Option<String>| match last {
        Some(position) => format!("not all was sent; go on with `--after {position}`"),
        None => "not all was sent".to_owned(),
    };
    while let Some(event) = events.next().await.with_context(|| go_on(&last))? {
        sink.send(&event).await.with_context(|| go_on(&last))?;
        sent += 1;
        // What others sent here goes out as it came in, without a position: it may be sent again.
        if let Some(position) = event.pointer("/job/facets/cairn_log/position") {
            last = Some(text(position));
        }
    }
    let answer = given(json!({"sent": sent, "position": last}));
    session.output.done(&format!("sent {sent} events to {}", sink.url), &answer)
}

impl Sink {
    fn new(command: &Command) -> anyhow::Result<Self> {
        let unusable = |problem: String| Unusable(format!("--to {}: {problem}", command.to));
        let base = format!("{}/", command.to.trim_end_matches('/'));
        let url = Url::parse(&base).and_then(|base| base.join(command.endpoint.trim_start_matches('/')));
        let url = url.map_err(|problem| unusable(problem.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unusable("it must begin with http:// or https://".to_owned()).into());
        }
        let key = match &command.to_key_file {
            Some(file) => {
                let key = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Some(key.trim().to_owned())
            }
            None => std::env::var("OPENLINEAGE_API_KEY").ok(),
        };
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(SEND_MAX).build()?;
        Ok(Self { http, url, key: key.filter(|key| !key.is_empty()) })
    }

    /// Sends one event, again and again for a while if the other program cannot take it just now.
    async fn send(&self, event: &Value) -> anyhow::Result<()> {
        let mut wait = WAIT_FIRST;
        for attempt in 1..=ATTEMPTS {
            let mut request = self.http.post(self.url.clone()).json(event);
            if let Some(key) = &self.key {
                request = request.bearer_auth(key);
            }
            let problem = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    let is_passing = status.is_server_error()
                        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
                    let told: String = answer.text().await.unwrap_or_default().chars().take(300).collect();
                    let problem = format!("{} answered {status}: {}", self.url, told.trim());
                    if !is_passing {
                        bail!(problem);
                    }
                    problem
                }
                Err(fault) => format!("{} cannot be reached: {}", self.url, fault.without_url()),
            };
            if attempt == ATTEMPTS {
                bail!(problem);
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        Ok(())
    }
}
