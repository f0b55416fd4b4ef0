use std::collections::BTreeSet;
use std::sync::Mutex;

use cairn_contract::Contract;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::suite::Suite;

/// Calls operations by their names, each under a request id that is the operation's name.
pub struct Caller<'a> {
    pub suite: &'a Suite,
    contract: &'static Contract,
    called: Mutex<BTreeSet<String>>,
}

impl<'a> Caller<'a> {
    pub fn new(suite: &'a Suite, contract: &'static Contract) -> Self {
        Self { suite, contract, called: Mutex::default() }
    }

    /// The operations that were called with success.
    pub fn called(&self) -> BTreeSet<String> {
        self.called.lock().unwrap().clone()
    }

    /// Notes that an operation was called with success, in a way that is not the usual one.
    pub fn note(&self, path: &str) {
        self.called.lock().unwrap().insert(path.to_owned());
    }

    /// Calls `auth.ProjectService/UpdateProject` as the administrator, and must be answered. `values` fill the variables
    /// of its path in their order; one more is added to its end.
    pub async fn call(&self, operation: &str, values: &[&str], body: Value) -> Value {
        let key = self.suite.admin.clone();
        self.call_with(&key, operation, values, body).await
    }

    /// The same as somebody else.
    pub async fn call_with(&self, key: &str, operation: &str, values: &[&str], body: Value) -> Value {
        let (status, answer) = self.send(key, operation, values, body).await;
        assert!(status.is_success(), "{operation} {values:?}: {status} {answer}");
        answer
    }

    /// Calls as the administrator and must be refused: what is written down then is of interest too.
    pub async fn refused(&self, operation: &str, values: &[&str], body: Value) {
        let (status, answer) = self.send(&self.suite.admin, operation, values, body).await;
        assert!(status.is_client_error(), "{operation} {values:?}: {status} {answer}");
    }

    async fn send(&self, key: &str, operation: &str, values: &[&str], body: Value) -> (StatusCode, Value) {
        let (service, name) = operation.split_once('.').unwrap();
        let path = format!("/cairn.{service}.v1.{name}");
        let method = self.contract.method(&path).unwrap_or_else(|| panic!("there is no {path}"));
        let binding = &method.bindings[0];
        let url = filled(binding.template.as_str(), values);
        let body = (!binding.body.is_empty()).then_some(&body);
        let id = path.trim_start_matches('/');
        let response = self.suite.send(&binding.verb, &url, body, Some(key), id).await;
        let status = response.status();
        if status.is_success() {
            self.called.lock().unwrap().insert(path);
        }
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(json!(text)))
    }

    /// The `name` of what an operation answers with.
    pub async fn make(&self, operation: &str, values: &[&str], body: Value) -> String {
        let made = self.call(operation, values, body).await;
        made["name"].as_str().unwrap_or_else(|| panic!("{operation}: {made}")).to_owned()
    }
}

/// A template's path with values for its variables.
fn filled(template: &str, values: &[&str]) -> String {
    let (mut path, mut values) = (String::new(), values.iter());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (_, behind) = after.split_once('}').expect("a variable ends");
        path.push_str(before);
        path.push_str(values.next().unwrap_or_else(|| panic!("{template} has more variables")));
        rest = behind;
    }
    path.push_str(rest);
    values.for_each(|more| path.push_str(more));
    path
}
