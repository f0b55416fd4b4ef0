//! The connection that a command line speaks through.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use cairn_client::{Client, Fault, Lines, Pages, Query};
use cairn_contract::Contract;
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::output::{Column, Output, line};

/// Where a suite is unless somebody says otherwise.
const URL: &str = "http://127.0.0.1:3001";
const PROJECT: &str = "default";

/// Where the suite is, and who asks.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection and output")]
pub struct Connection {
    /// The gateway's address.
    #[arg(long, global = true, env = "CAIRN_URL", hide_env_values = true, default_value = URL, value_name = "URL")]
    url: String,

    /// File that holds the API key. Without it the key is taken from CAIRN_API_KEY, and without that whoever logged in
    /// with `cairn login` asks. (Never an argument: other users of the machine can read those.)
    #[arg(long, global = true, env = "CAIRN_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    key_file: Option<String>,

    /// File of the authorities that the gateway's certificate comes from, PEM, beside those that this machine trusts.
    #[arg(long, global = true, env = "CAIRN_CA_FILE", hide_env_values = true, value_name = "FILE")]
    ca_file: Option<String>,

    /// The project that bare ids belong to.
    #[arg(long, global = true, env = "CAIRN_PROJECT", hide_env_values = true, default_value = PROJECT, value_name = "PROJECT")]
    project: String,

    /// Shows what was there at a moment: a time in RFC 3339 or a position of the log. Only where something is read.
    #[arg(long, global = true, value_name = "MOMENT")]
    as_of: Option<String>,

    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

/// An open connection and how to print what comes back.
pub struct Session {
    client: Client,
    url: String,
    project: String,
    as_of: Option<String>,
    pub output: Output,
}

impl Connection {
    /// How answers are printed.
    pub fn output(&self) -> Output {
        Output { is_json: self.json }
    }

    fn key_in(&self, file: &Path) -> anyhow::Result<String> {
        let cannot = || format!("cannot read the key in {}", file.display());
        let text = std::fs::read_to_string(file).with_context(cannot)?;
        let mode = std::fs::metadata(file).with_context(cannot)?.permissions().mode();
        // A warning, not a refusal: secrets that a cluster mounts cannot be made private.
        if mode & 0o004 != 0 {
            self.output()
                .warn(&format!("everybody on this machine can read the key in {0}: chmod 600 {0}", file.display()));
        }
        match text.trim() {
            "" => bail!("{} is empty; it should hold an API key", file.display()),
            key => Ok(key.to_owned()),
        }
    }

    /// The gateway's address.
    pub fn url(&self) -> &str {
        if self.url.is_empty() { URL } else { &self.url }
    }

    /// What reaches the gateway without a credential.
    pub fn stranger(&self) -> anyhow::Result<Client> {
        self.client(self.url(), None)
    }

    fn client(&self, url: &str, key: Option<String>) -> anyhow::Result<Client> {
        let authorities = match self.ca_file.as_deref().filter(|file| !file.is_empty()) {
            Some(file) => Some(std::fs::read(file).with_context(|| format!("cannot read the authorities in {file}"))?),
            None => None,
        };
        Ok(Client::trusting(url, key, authorities.as_deref())?)
    }

    /// As whoever is logged in, whatever key is given.
    pub fn open_logged_in(&self) -> anyhow::Result<Session> {
        let credentials = Credentials::of_user().context("nobody is logged in here")?;
        let client = renewing(self.client(self.url(), None)?, credentials, self.url());
        let (url, project) = (self.url().to_owned(), self.project.clone());
        Ok(Session { client, url, project, as_of: None, output: self.output() })
    }

    /// Reads the credential and makes the client. Nothing is sent yet.
    pub fn open(&self) -> anyhow::Result<Session> {
        // A variable that is set to nothing says nothing.
        let given = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
        let key = match self.key_file.as_deref().filter(|file| !file.is_empty()) {
            Some(file) => Some(self.key_in(Path::new(file))?),
            None => std::env::var("CAIRN_API_KEY").ok().filter(|key| !key.is_empty()),
        };
        let (url, project) = (given(&self.url, URL), given(&self.project, PROJECT));
        // A key that is given is meant; otherwise whoever logged in here is.
        let client = match (key, Credentials::of_user()) {
            (None, Some(credentials)) if credentials.has(&url)? => {
                renewing(self.client(&url, None)?, credentials, &url)
            }
            (key, _) => self.client(&url, key)?,
        };
        let as_of = self.as_of.clone();
        Ok(Session { client, url, project, as_of, output: self.output() })
    }
}

/// A client that calls as whoever is logged in.
fn renewing(client: Client, credentials: Credentials, url: &str) -> Client {
    let renew = credentials.renewal(client.http().clone(), url);
    client.renewing(renew)
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
        if self.project.contains('/') { self.project.clone() } else { format!("projects/{}", self.project) }
    }

    /// Calls an RPC, named without its package's `cairn.`: `auth.v1.ProjectService/CreateProject`.
    pub async fn call(&self, rpc: &str, request: Value) -> anyhow::Result<Value> {
        let (path, request) = self.asked(rpc, request)?;
        Ok(self.client.call_json(&path, request).await?)
    }

    /// The messages of a server stream.
    pub async fn stream(&self, rpc: &str, request: Value) -> anyhow::Result<Lines> {
        let (path, request) = self.asked(rpc, request)?;
        Ok(self.client.stream_json(&path, request).await?)
    }

    /// Prints up to `limit` items of a list.
    pub async fn show(&self, rpc: &str, request: Value, of: Items<'_>, limit: usize) -> anyhow::Result<()> {
        self.show_selected(rpc, request, of, Query::new().with_limit(limit)).await
    }

    /// Prints the items of a list that a query wants. JSON comes page by page, one item on each line; a table knows its
    /// widths only at the end.
    pub async fn show_selected(&self, rpc: &str, request: Value, of: Items<'_>, query: Query) -> anyhow::Result<()> {
        let mut pages = self.pages(rpc, request, query)?;
        if !self.output.is_json {
            let mut found = vec![];
            while let Some(page) = pages.next().await? {
                found.extend(page);
            }
            found.iter_mut().for_each(of.summarize);
            return self.output.list(&found, of.columns);
        }
        let mut separator = "[";
        while let Some(page) = pages.next().await? {
            for item in page {
                line(&format!("{separator}{item}"))?;
                separator = ",";
            }
        }
        line(if separator == "[" { "[]" } else { "]" })
    }

    /// Up to `limit` items of a list, over as many pages as it takes.
    pub async fn list(&self, rpc: &str, request: Value, limit: usize) -> anyhow::Result<Vec<Value>> {
        let mut pages = self.pages(rpc, request, Query::new().with_limit(limit))?;
        let mut found = vec![];
        while let Some(page) = pages.next().await? {
            found.extend(page);
        }
        Ok(found)
    }

    /// The items of a list that a query wants, page by page.
    pub fn pages(&self, rpc: &str, request: Value, query: Query) -> anyhow::Result<Pages> {
        let (path, request) = self.asked(rpc, request)?;
        Ok(self.client.list_json(&path, request, &query.build()?)?)
    }

    /// The path of an RPC, and the request with the moment that it is asked for.
    fn asked(&self, rpc: &str, mut request: Value) -> anyhow::Result<(String, Value)> {
        let path = format!("/cairn.{rpc}");
        if let Some(as_of) = &self.as_of {
            let method = Contract::embedded()?.method(&path);
            if method.is_none_or(|method| method.input().get_field_by_name("as_of").is_none()) {
                bail!("--as-of: {rpc} is not about a moment; leave it out, or read with `get` or `list`");
            }
            request["as_of"] = json!(as_of);
        }
        Ok((path, request))
    }
}

/// How a list is shown.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    columns: &'a [Column],
    /// Adds what a row of a table shows beside the item's own fields.
    summarize: fn(&mut Value),
}

impl<'a> Items<'a> {
    /// With these columns.
    pub fn new(columns: &'a [Column]) -> Self {
        Self { columns, summarize: |_| {} }
    }

    /// And what this adds to each item.
    pub fn with(self, summarize: fn(&mut Value)) -> Self {
        Self { summarize, ..self }
    }
}

/// What the flags of a list ask for.
pub fn query(filter: Option<String>, order: impl IntoIterator<Item = String>, limit: usize) -> Query {
    let query = filter.into_iter().fold(Query::new(), Query::with_expression);
    order.into_iter().fold(query, Query::with_order).with_limit(limit)
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
        let pair = argument.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = pair.ok_or_else(|| Fault::Invalid(format!("{argument:?} is not KEY=VALUE")))?;
        fields.insert(key.to_owned(), json!(value));
    }
    Ok(Value::Object(fields))
}
