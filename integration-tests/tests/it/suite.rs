//! The whole suite in this process, behind its real doors, for tests that walk or measure it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn::suite::{Engines, Roles, Running, config};
use cairn_eventstore::EventStore;
use cairn_kernel::Position;
use cairn_service::config::Sources;
use cairn_service::shutdown::Shutdown;
use cairn_service::telemetry::Metrics;
use reqwest::{Method as Verb, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

/// The first administrator's key.
const KEY: &str = "integration-test-0123456789abcdef";

/// A suite on a folder and ports of its own. Stop it: dropping leaves its tasks to the runtime.
pub struct Suite {
    running: Running,
    http: reqwest::Client,
    pub admin: String,
    _folder: Option<TempDir>,
}

impl Suite {
    pub async fn start() -> Self {
        Self::start_on("sqlite", &Engines::default()).await
    }

    /// With settings of its own, by their names in the environment.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let suite = Self::set(&folder.path().join("data"), "sqlite", &Engines::default(), settings).await;
        Self { _folder: Some(folder), ..suite }
    }

    /// Over a log in some engine.
    pub async fn start_on(engine: &str, engines: &Engines) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let suite = Self::at(&folder.path().join("data"), engine, engines).await;
        Self { _folder: Some(folder), ..suite }
    }

    /// A suite on a folder that outlives it.
    pub async fn at(data: &Path, engine: &str, engines: &Engines) -> Self {
        Self::set(data, engine, engines, &[]).await
    }

    async fn set(data: &Path, engine: &str, engines: &Engines, settings: &[(&str, &str)]) -> Self {
        let data = data.display().to_string();
        let environment = [
            ("API_HTTP_PORT", "0"),
            ("API_GRPC_PORT", "0"),
            ("CAIRN_API_KEY", KEY),
            ("CAIRN_DATA", &data),
            ("EVENT_STORE", engine),
            // A walk over every method comes from one address as fast as it can.
            ("CAIRN__GATEWAY__STRANGER_RATE_MAX", "100000"),
            // Nobody is shut out because the log could not be heard for a while: what then fails, fails by itself.
            ("CAIRN__ACCESS__WRITES_REFUSED_AFTER_MS", "600000"),
            ("CAIRN__ACCESS__EVERYTHING_REFUSED_AFTER_MS", "600000"),
        ];
        let environment = environment.iter().chain(settings).copied();
        let loaded = config::registry().load(&Sources::new().with_environment(environment)).unwrap();
        let (metrics, _) = Metrics::new().unwrap();
        let running = Running::start(&loaded, engines, &Roles::all(), &metrics, Shutdown::new()).await.unwrap();
        Self { running, http: reqwest::Client::new(), admin: KEY.to_owned(), _folder: None }
    }

    pub async fn stop(mut self) {
        let ended = timeout(Duration::ZERO, self.running.ended()).await;
        assert!(ended.is_err(), "a part of the suite ended by itself: {ended:?}");
        self.running.stop().await;
    }

    /// Where it is reached over HTTP.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.addresses.http)
    }

    /// The log that it runs on.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.running.core().deps.store
    }

    /// Where the log ends.
    pub fn head(&self) -> Position {
        *self.store().head().borrow()
    }

    /// Sends a request with or without a key, named so that the audit log can be asked for it.
    pub async fn send(&self, verb: &str, path: &str, body: Option<&Value>, key: Option<&str>, id: &str) -> Response {
        let url = format!("http://{}{path}", self.running.addresses.http);
        // Whatever is read has seen all that was recorded before.
        let head = self.head();
        let request = self.http.request(verb.parse::<Verb>().unwrap(), url);
        let mut request = request.header("x-request-id", id).header("cairn-after", head.to_string());
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap()
    }

    /// Puts bytes at an address that was signed for that. Gives their etag.
    pub async fn put(&self, address: &str, bytes: &'static str) -> String {
        let answer = self.http.put(address).body(bytes).send().await.unwrap();
        assert!(answer.status().is_success(), "{address}: {}", answer.status());
        answer.headers()["etag"].to_str().unwrap().to_owned()
    }

    /// Asks whether a caller is let in, and changes nothing: no resource is at the state that the request names.
    pub async fn probe(&self, verb: &str, path: &str, body: Option<&Value>, key: Option<&str>) -> StatusCode {
        let url = format!("http://{}{path}", self.running.addresses.http);
        let mut request = self.http.request(verb.parse::<Verb>().unwrap(), url).header("if-match", "\"999999999\"");
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap().status()
    }

    /// The JSON answer to an administrator's request that must succeed.
    pub async fn ask(&self, verb: &str, path: &str, body: Option<&Value>) -> Value {
        let response = self.send(verb, path, body, Some(&self.admin), "").await;
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{verb} {path}: {status} {answer}");
        answer
    }

    /// A key of an account that nothing has been granted to.
    pub async fn powerless(&self) -> String {
        let account = serde_json::json!({"service_account_id": "powerless"});
        self.ask("POST", "/api/v1/serviceAccounts", Some(&account)).await;
        let key = serde_json::json!({"api_key": {"title": "none"}});
        let made = self.ask("POST", "/api/v1/serviceAccounts/powerless/apiKeys", Some(&key)).await;
        made["secret"].as_str().unwrap().to_owned()
    }
}

/// Runs a suite to its end: everything it started is gone when this returns, as when its process ends.
pub fn in_its_own_process<T>(
    data: &Path,
    engine: &str,
    engines: &Engines,
    settings: &[(&str, &str)],
    work: impl AsyncFnOnce(&Suite) -> T,
) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let suite = Suite::set(data, engine, engines, settings).await;
        let answer = work(&suite).await;
        suite.stop().await;
        answer
    })
}
