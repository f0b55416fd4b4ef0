use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cairn_contract::{Contract, Method};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt};
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::route::route;
use crate::{Fault, Pages, Selection};

/// Longest line of a streamed answer, in bytes.
const LINE_BYTES_MAX: usize = 16 << 20;
/// How long it may take to connect.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a call that answers once may take: longer than any gateway lets it, so that the gateway's answer is heard.
const CALL_MAX: Duration = Duration::from_secs(310);

/// A connection to one gateway, with one credential. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    credential: Credential,
}

/// Gives the token of the moment, before each call. Whoever gives it sees to it that it is still good.
pub type Renew = Arc<dyn Fn() -> BoxFuture<'static, Result<String, Fault>> + Send + Sync>;

#[derive(Clone)]
enum Credential {
    Nothing,
    Key(String),
    Renewed(Renew),
}

impl Client {
    /// For the gateway at `base`, e.g. `http://127.0.0.1:3001`. Without a key only public methods answer.
    pub fn new(base: &str, key: Option<String>) -> Result<Self, Fault> {
        Self::trusting(base, key, None)
    }

    /// The same for a gateway whose certificate comes from one of these authorities (PEM), beside those that this
    /// machine trusts anyway.
    pub fn trusting(base: &str, key: Option<String>, authorities: Option<&[u8]>) -> Result<Self, Fault> {
        let is_address = reqwest::Url::parse(base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !is_address {
            return Err(Fault::Invalid(format!(
                "{base:?} is no address of a gateway: it is like http://127.0.0.1:3001"
            )));
        }
        // Not shown: it may be a key with a slip in it.
        if key.as_ref().is_some_and(|key| key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Fault::Invalid("the API key has characters that no key has".to_owned()));
        }
        let authorities = match authorities.map(reqwest::Certificate::from_pem_bundle) {
            Some(Ok(authorities)) if !authorities.is_empty() => authorities,
            Some(_) => return Err(Fault::Invalid("what should be trusted holds no certificates in PEM".to_owned())),
            None => vec![],
        };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .tls_certs_merge(authorities)
            .build()
            .map_err(|source| Fault::Unreachable { url: base.to_owned(), source })?;
        let credential = key.map_or(Credential::Nothing, Credential::Key);
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), credential })
    }

    /// The same with a credential that is another from time to time.
    pub fn renewing(self, renew: Renew) -> Self {
        Self { credential: Credential::Renewed(renew), ..self }
    }

    /// What it sends with, for addresses that the gateway signed: it trusts whom this client trusts, and has no key.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Calls an RPC by its gRPC path, `/package.Service/Method`.
    pub async fn call<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> Result<A, Fault> {
        let method = method(path)?;
        let json = self.call_json(path, to_json(method.input(), request)?).await?;
        from_json(method.output(), json, path)
    }

    /// The same with JSON in and out, for tools that print what they get.
    pub async fn call_json(&self, path: &str, request: Value) -> Result<Value, Fault> {
        let response = self.send(method(path)?, request, "application/json", Some(CALL_MAX)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(json!({}));
        }
        let url = response.url().to_string();
        let text = response.text().await.map_err(|source| unreachable(&url, source))?;
        serde_json::from_str(&text).map_err(|problem| Fault::Unexpected { url, problem: problem.to_string() })
    }

    /// A list, page by page. `request` holds what the query does not say: mostly `parent`.
    pub fn list_json(&self, path: &str, request: Value, selection: &Selection) -> Result<Pages, Fault> {
        Pages::new(self.clone(), method(path)?, request, selection)
    }

    /// All items below `parent` that a query wants, over as many pages as it takes.
    pub async fn list<M: Message + Default>(
        &self,
        path: &str,
        parent: &str,
        selection: &Selection,
    ) -> Result<Vec<M>, Fault> {
        let mut pages = self.list_json(path, json!({"parent": parent}), selection)?;
        let mut found = vec![];
        while let Some(page) = pages.next().await? {
            for item in page {
                found.push(from_json(pages.message(), item, path)?);
            }
        }
        Ok(found)
    }

    /// Calls a server-streaming RPC and gives its messages as they come.
    pub async fn stream_json(&self, path: &str, request: Value) -> Result<Lines, Fault> {
        let response = self.send(method(path)?, request, "application/x-ndjson", None).await?;
        Ok(Lines { url: response.url().to_string(), bytes: Box::pin(response.bytes_stream()), buffer: BytesMut::new() })
    }

    /// Sends raw bytes to a path of the gateway, for uploads.
    pub async fn put(&self, path: &str, media_type: &str, body: reqwest::Body) -> Result<Value, Fault> {
        let url = format!("{}{path}", self.base);
        let request = self.http.put(&url).header("content-type", media_type).body(body);
        let response = expect(check(self.authorized(request).await?.send().await, &url).await?, "application/json")?;
        let text = response.text().await.map_err(|source| unreachable(&url, source))?;
        serde_json::from_str(&text).map_err(|problem| Fault::Unexpected { url, problem: problem.to_string() })
    }

    /// Reads raw bytes from a path of the gateway, for downloads.
    pub async fn get(
        &self,
        path: &str,
    ) -> Result<(Option<u64>, impl Stream<Item = Result<Bytes, Fault>> + use<>), Fault> {
        let url = format!("{}{path}", self.base);
        let response = check(self.authorized(self.http.get(&url)).await?.send().await, &url).await?;
        let length = response.content_length();
        let bytes = response.bytes_stream();
        Ok((length, bytes.map(move |part| part.map_err(|source| unreachable(&url, source)))))
    }

    async fn send(
        &self,
        method: &Method,
        request: Value,
        accept: &str,
        timeout: Option<Duration>,
    ) -> Result<reqwest::Response, Fault> {
        let routed = route(method, request)?;
        let url = format!("{}{}", self.base, routed.path);
        let verb = routed.verb.parse().map_err(|_| Fault::Invalid(format!("{} is not a verb", routed.verb)))?;
        let mut request = self.http.request(verb, &url).header("accept", accept);
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        if let Some(body) = &routed.body {
            request = request.json(body);
        }
        let response = check(self.authorized(request).await?.send().await, &url).await?;
        // What has no content has no type of it either.
        if response.status() == StatusCode::NO_CONTENT { Ok(response) } else { expect(response, accept) }
    }

    async fn authorized(&self, request: reqwest::RequestBuilder) -> Result<reqwest::RequestBuilder, Fault> {
        Ok(match &self.credential {
            Credential::Nothing => request,
            Credential::Key(key) => request.bearer_auth(key),
            Credential::Renewed(renew) => request.bearer_auth(renew().await?),
        })
    }
}

/// The messages of a streamed answer, one JSON line each.
pub struct Lines {
    url: String,
    bytes: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffer: BytesMut,
}

impl Lines {
    /// The next message; `None` when the server has said all.
    pub async fn next(&mut self) -> Result<Option<Value>, Fault> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return self.parse(&line).map(Some);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                let problem = format!("a line is longer than {LINE_BYTES_MAX} bytes");
                return Err(Fault::Unexpected { url: self.url.clone(), problem });
            }
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(source)) => return Err(unreachable(&self.url, source)),
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => {
                    let line = self.buffer.split();
                    return self.parse(&line).map(Some);
                }
            }
        }
    }

    /// A line is a message, or the error that ended the stream.
    fn parse(&self, line: &[u8]) -> Result<Value, Fault> {
        let value: Value = serde_json::from_slice(line)
            .map_err(|problem| Fault::Unexpected { url: self.url.clone(), problem: problem.to_string() })?;
        if value.get("error").is_some_and(|error| error.get("status").is_some()) {
            return Err(Fault::refused(200, &value.to_string()));
        }
        Ok(value)
    }
}

async fn check(sent: reqwest::Result<reqwest::Response>, url: &str) -> Result<reqwest::Response, Fault> {
    let response = sent.map_err(|source| unreachable(url, source))?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let text = response.text().await.unwrap_or_default();
    Err(Fault::refused(status, &text))
}

/// Anything may answer at an address: the gateway's other port, a proxy's login page.
fn expect(response: reqwest::Response, media_type: &str) -> Result<reqwest::Response, Fault> {
    let given = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    if given.starts_with(media_type) {
        return Ok(response);
    }
    let problem = format!("it is {given}, not {media_type}");
    Err(Fault::Unexpected { url: response.url().to_string(), problem })
}

/// The address is told once, by us.
fn unreachable(url: &str, source: reqwest::Error) -> Fault {
    Fault::Unreachable { url: url.to_owned(), source: source.without_url() }
}

fn method(path: &str) -> Result<&'static Method, Fault> {
    let contract = Contract::embedded().map_err(|violations| Fault::Invalid(violations.to_string()))?;
    contract.method(path).ok_or_else(|| Fault::Invalid(format!("{path} is not in the contract")))
}

fn to_json<Q: Message>(descriptor: MessageDescriptor, request: &Q) -> Result<Value, Fault> {
    let invalid = |problem: &dyn std::fmt::Display| Fault::Invalid(format!("the request does not encode: {problem}"));
    let message =
        DynamicMessage::decode(descriptor, request.encode_to_vec().as_slice()).map_err(|problem| invalid(&problem))?;
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|problem| invalid(&problem))
}

/// A later server may know fields that this client does not: they are passed over.
fn from_json<A: Message + Default>(descriptor: MessageDescriptor, json: Value, url: &str) -> Result<A, Fault> {
    let unexpected = |problem: String| Fault::Unexpected { url: url.to_owned(), problem };
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(descriptor, json, &options)
        .map_err(|problem| unexpected(problem.to_string()))?
        .transcode_to()
        .map_err(|problem| unexpected(problem.to_string()))
}
