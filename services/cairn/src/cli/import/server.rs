//! The MLflow server that is read, over its own REST API.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde_json::{Value, json};

use super::files::Place;
use super::pairs::{PROMPTS, named, text};

const API: &str = "api/2.0/mlflow";
const AJAX: &str = "ajax-api/2.0/mlflow";

/// How often a request is made before the import gives up, and the pause after the first time, which doubles.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a server may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long it may take to connect, and how long nothing may come.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A genuine server, and the credential for it.
pub struct Server {
    http: reqwest::Client,
    base: Url,
    credential: Credential,
}

enum Credential {
    None,
    Token(String),
    Password(String, String),
}

/// A list that comes in pages.
pub struct Pages<'a> {
    server: &'a Server,
    method: Method,
    path: &'static str,
    /// What is asked for, one list after the other.
    requests: VecDeque<Value>,
    items: &'static str,
    /// The one name that is meant, where a filter finds others as well.
    only: Option<String>,
}

impl Server {
    /// Reads the credential from where MLflow's clients read it. Nothing is sent yet.
    pub fn open(base: Url) -> anyhow::Result<Self> {
        if !base.username().is_empty() || base.password().is_some() {
            bail!("--from must hold no credential: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD");
        }
        let set = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let credential = match (set("MLFLOW_TRACKING_TOKEN"), set("MLFLOW_TRACKING_USERNAME")) {
            // A client of MLflow prefers the name and password as well.
            (_, Some(user)) => Credential::Password(user, set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default()),
            (Some(token), None) => Credential::Token(token),
            (None, None) => Credential::None,
        };
        let http = reqwest::Client::builder().connect_timeout(CONNECT_MAX).read_timeout(SILENCE_MAX).build()?;
        Ok(Self { http, base, credential })
    }

    /// What it is called where things say that they come from it.
    pub fn name(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Experiments, deleted ones too, oldest first.
    pub fn experiments(&self) -> Pages<'_> {
        let request = json!({"view_type": "ALL", "max_results": 200, "order_by": ["creation_time ASC"]});
        self.pages(Method::POST, "experiments/search", request, "experiments")
    }

    /// Runs of an experiment, deleted ones too, oldest first.
    pub fn runs(&self, experiment: &str) -> Pages<'_> {
        let request = json!({
            "experiment_ids": [experiment], "run_view_type": "ALL", "max_results": 100,
            "order_by": ["attributes.start_time ASC"],
        });
        self.pages(Method::POST, "runs/search", request, "runs")
    }

    /// Every point of every metric of a run, metric by metric.
    pub fn points(&self, run: &Value) -> Pages<'_> {
        let metrics = run["data"]["metrics"].as_array().into_iter().flatten();
        let keys: BTreeSet<&str> = metrics.map(|metric| text(&metric["key"])).collect();
        let request = |key| json!({"run_id": run["info"]["run_id"], "metric_key": key, "max_results": 5000});
        let requests = keys.into_iter().map(request).collect();
        Pages { requests, ..self.pages(Method::GET, "metrics/get-history", Value::Null, "metrics") }
    }

    /// Logged models that a run read: a search for runs does not tell them.
    pub async fn model_inputs(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.send(Method::GET, &format!("{API}/runs/get"), &[("run_id", run)], None).await?;
        let mut answer: Value = answer.json().await?;
        Ok(taken(&mut answer["run"]["inputs"], "model_inputs"))
    }

    /// Logged models of an experiment.
    pub fn logged_models(&self, experiment: &str) -> Pages<'_> {
        let request = json!({"experiment_ids": [experiment], "max_results": 50});
        self.pages(Method::POST, "logged-models/search", request, "models")
    }

    /// Registered models, and then prompts, which are shown to those alone who ask for them.
    pub fn registered_models(&self) -> Pages<'_> {
        let requests = ["", PROMPTS].map(|filter| json!({"max_results": 100, "filter": filter}));
        let pages = self.pages(Method::GET, "registered-models/search", Value::Null, "registered_models");
        Pages { requests: requests.into(), ..pages }
    }

    /// Versions of a model, by their numbers. Those of prompts are hidden as well.
    pub fn versions(&self, model: &str) -> Pages<'_> {
        let named = named(model);
        let request = |filter| json!({"max_results": 200, "filter": filter, "order_by": "version_number ASC"});
        let requests = [named.clone(), format!("{named} AND {PROMPTS}")].map(request);
        let pages = self.pages(Method::GET, "model-versions/search", Value::Null, "model_versions");
        Pages { requests: requests.into(), only: Some(model.to_owned()), ..pages }
    }

    /// What lies in a folder of a run or logged model; its root is empty.
    pub async fn folder(&self, place: Place<'_>, folder: &str) -> anyhow::Result<Vec<Value>> {
        match place {
            Place::Run(run) => {
                let mut request = json!({"run_id": run});
                if !folder.is_empty() {
                    request["path"] = json!(folder);
                }
                self.pages(Method::GET, "artifacts/list", request, "files").all().await
            }
            Place::Model(model) => {
                let query = [("artifact_directory_path", folder)];
                let query = if folder.is_empty() { &[] } else { &query[..] };
                let path = format!("{API}/logged-models/{}/artifacts/directories", escaped(model));
                let mut answer: Value = self.send(Method::GET, &path, query, None).await?.json().await?;
                Ok(taken(&mut answer, "files"))
            }
        }
    }

    /// The bytes of a file of a run or logged model.
    pub async fn file(&self, place: Place<'_>, path: &str) -> anyhow::Result<Body> {
        let answer = match place {
            Place::Run(run) => self.send(Method::GET, "get-artifact", &[("run_id", run), ("path", path)], None).await?,
            Place::Model(model) => {
                let address = format!("{AJAX}/logged-models/{}/artifacts/files", escaped(model));
                self.send(Method::GET, &address, &[("artifact_file_path", path)], None).await?
            }
        };
        Ok(Body::wrap_stream(answer.bytes_stream()))
    }

    /// Whether an experiment has traces. A server too old to know of them has none.
    pub async fn has_traces(&self, experiment: &str) -> anyhow::Result<bool> {
        let place = json!({"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}});
        let request = json!({"locations": [place], "max_results": 1});
        match self.send(Method::POST, "api/3.0/mlflow/traces/search", &[], Some(&request)).await {
            Ok(answer) => {
                let answer: Value = answer.json().await?;
                Ok(answer["traces"].as_array().is_some_and(|traces| !traces.is_empty()))
            }
            Err(fault) if fault.downcast_ref().is_some_and(Refused::knows_no_such_call) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn pages(&self, method: Method, path: &'static str, request: Value, items: &'static str) -> Pages<'_> {
        Pages { server: self, method, path, requests: [request].into(), items, only: None }
    }

    /// Asks until there is an answer: what may pass is waited for, for as long as the server says.
    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let mut url = self.base.join(path).with_context(|| format!("{path} is no path"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut pause = PAUSE;
        for attempt in 1.. {
            let request = self.http.request(method.clone(), url.clone());
            let request = match &self.credential {
                Credential::None => request,
                Credential::Token(token) => request.bearer_auth(token),
                Credential::Password(user, password) => request.basic_auth(user, Some(password)),
            };
            let request = match body {
                Some(body) => request.json(body),
                None => request,
            };
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer),
                Ok(answer) if attempt < ATTEMPTS && may_pass(answer.status()) => {
                    let asked = answer.headers().get("retry-after").and_then(|text| text.to_str().ok()?.parse().ok());
                    tokio::time::sleep(asked.map_or(pause, Duration::from_secs).min(PAUSE_MAX)).await;
                }
                Ok(answer) => {
                    let status = answer.status();
                    let text = answer.text().await.unwrap_or_default();
                    let said: Value = serde_json::from_str(&text).unwrap_or_default();
                    let said = said["message"].as_str().unwrap_or(&text).chars().take(300).collect();
                    return Err(Refused { status, said }.into());
                }
                Err(fault) if attempt == ATTEMPTS => {
                    let context = format!("cannot reach the MLflow server {}", self.name());
                    return Err(anyhow::Error::new(fault.without_url()).context(context));
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        bail!("the MLflow server {} could not be asked", self.name())
    }
}

impl Pages<'_> {
    /// The next page; `None` when there is none.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        let Some(request) = self.requests.front_mut() else { return Ok(None) };
        let path = format!("{API}/{}", self.path);
        let answer = if self.method == Method::POST {
            self.server.send(Method::POST, &path, &[], Some(request)).await?
        } else {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let fields: Vec<(String, String)> =
                request.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect();
            let query: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (&**key, &**value)).collect();
            self.server.send(Method::GET, &path, &query, None).await?
        };
        let mut answer: Value = answer.json().await.with_context(|| {
            format!("{} does not answer as an MLflow server does: is --from its address?", self.server.name())
        })?;
        match answer["next_page_token"].as_str().filter(|token| !token.is_empty()) {
            Some(token) => request["page_token"] = json!(token),
            None => drop(self.requests.pop_front()),
        }
        let mut items = taken(&mut answer, self.items);
        items.retain(|item| self.only.as_deref().is_none_or(|name| item["name"] == name));
        Ok(Some(items))
    }

    async fn all(mut self) -> anyhow::Result<Vec<Value>> {
        let mut all = vec![];
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}

/// An id as part of a path, whatever the server calls its models.
fn escaped(id: &str) -> String {
    utf8_percent_encode(id, NON_ALPHANUMERIC).to_string()
}

/// A request that the server does not grant.
#[derive(Debug, thiserror::Error)]
#[error("the MLflow server answers {status}: {said}")]
pub struct Refused {
    status: StatusCode,
    said: String,
}

impl Refused {
    /// Whether the server has never heard of what was asked for, rather than keeping it from us.
    fn knows_no_such_call(&self) -> bool {
        matches!(self.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
    }
}

fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The items of an answer; an empty list is left out of answers.
fn taken(answer: &mut Value, items: &str) -> Vec<Value> {
    match answer[items].take() {
        Value::Array(items) => items,
        _ => vec![],
    }
}
