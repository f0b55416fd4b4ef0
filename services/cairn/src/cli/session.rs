//! The connection that a command line speaks through.

use std::path::PathBuf;

use anyhow::Context;
use cairn_client::{Client, Lines};
use serde_json::{Value, json};

use super::output::Output;

/// Items asked for at once when a whole list is wanted.
const PAGE_SIZE: u64 = 500;

/// Where the suite is, and who asks.
#[derive(Debug, clap::Args)]
pub struct Connection {
    /// The gateway's address.
    #[arg(long, global = true, env = "CAIRN_URL", default_value = "http://127.0.0.1:3001", value_name = "URL")]
    url: String,

    /// File that holds the API key. Without it the key is taken from CAIRN_API_KEY. (Never an argument: other users
    /// of the machine can read those.)
    #[arg(long, global = true, env = "CAIRN_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// The project that bare ids belong to.
    #[arg(long, global = true, env = "CAIRN_PROJECT", default_value = "default", value_name = "PROJECT")]
    project: String,

    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

/// An open connection and how to print what comes back.
pub struct Session {
    client: Client,
    url: String,
    project: String,
    pub output: Output,
}

impl Connection {
    /// How answers are printed.
    pub fn output(&self) -> Output {
        Output { is_json: self.json }
    }

    /// Reads the credential and makes the client. Nothing is sent yet.
    pub fn open(&self) -> anyhow::Result<Session> {
        let key = match &self.key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Some(text.trim().to_owned())
            }
            None => std::env::var("CAIRN_API_KEY").ok().filter(|key| !key.is_empty()),
        };
        Ok(Session {
            client: Client::new(&self.url, key)?,
            url: self.url.clone(),
            project: self.project.clone(),
            output: self.output(),
        })
    }
}

impl Session {
    /// The client itself, for uploads and downloads.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The gateway's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `projects/<project>` of this command line.
    pub fn project(&self) -> String {
        format!("projects/{}", self.project)
    }

    /// Calls an RPC, named without its package's `cairn.`: `auth.v1.ProjectService/CreateProject`.
    pub async fn call(&self, rpc: &str, request: Value) -> anyhow::Result<Value> {
        Ok(self.client.call_json(&format!("/cairn.{rpc}"), request).await?)
    }

    /// The messages of a server stream.
    pub async fn stream(&self, rpc: &str, request: Value) -> anyhow::Result<Lines> {
        Ok(self.client.stream_json(&format!("/cairn.{rpc}"), request).await?)
    }

    /// Up to `limit` items of a list, over as many pages as it takes.
    pub async fn list(&self, rpc: &str, mut request: Value, items: &str, limit: usize) -> anyhow::Result<Vec<Value>> {
        let mut found = vec![];
        loop {
            request["page_size"] = json!(PAGE_SIZE.min((limit - found.len()) as u64));
            let mut page = self.call(rpc, request.clone()).await?;
            if let Value::Array(part) = page[items].take() {
                found.extend(part);
            }
            match page["next_page_token"].as_str() {
                Some(token) if !token.is_empty() && found.len() < limit => request["page_token"] = json!(token),
                _ => break,
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

/// A request without the fields that were not given.
pub fn given(mut request: Value) -> Value {
    if let Some(fields) = request.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    request
}

/// `KEY=VALUE` arguments as an object.
pub fn pairs(arguments: &[String]) -> anyhow::Result<Value> {
    let mut fields = serde_json::Map::new();
    for argument in arguments {
        let (key, value) = argument.split_once('=').with_context(|| format!("{argument:?} is not KEY=VALUE"))?;
        fields.insert(key.to_owned(), json!(value));
    }
    Ok(Value::Object(fields))
}
