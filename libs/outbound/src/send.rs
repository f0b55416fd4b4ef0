use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use tokio::time::timeout;

use crate::resolver::{Refused, Resolver};
use crate::{Address, AddressFault, Allowed, SendFault};

/// Longest part of an answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a connection is kept for another request.
const IDLE: Duration = Duration::from_secs(30);

/// Sends requests to addresses that people gave. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
    allowed: Arc<Allowed>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Its beginning.
    pub body: Bytes,
}

impl Answer {
    /// Whether the receiver says that it took the request. A redirect is none: nobody follows it.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Outbound {
    /// A sender that reaches what is public, and what is allowed. `agent` is what it calls itself.
    pub fn new(allowed: Allowed, agent: &str) -> Result<Self, SendFault> {
        let allowed = Arc::new(allowed);
        let client = reqwest::Client::builder()
            // A proxy would resolve the name itself, beyond our judgement.
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(Resolver { allowed: Arc::clone(&allowed) }))
            .pool_idle_timeout(IDLE)
            .user_agent(agent)
            .build()
            .map_err(|fault| SendFault::Unreachable(fault.to_string()))?;
        Ok(Self { client, allowed })
    }

    /// Reads an address that people gave.
    pub fn address(&self, text: &str) -> Result<Address, AddressFault> {
        Address::parse(text, &self.allowed)
    }

    /// Posts JSON and gives what came back, all within `deadline`.
    pub async fn post(
        &self,
        address: &Address,
        headers: &[(&'static str, String)],
        body: Bytes,
        deadline: Duration,
    ) -> Result<Answer, SendFault> {
        let request = self.client.post(address.url()).header(CONTENT_TYPE, "application/json").body(body);
        self.send(address, request, headers, ANSWER_BYTES_MAX, deadline).await
    }

    /// Posts a form and gives what came back, at most so many bytes of it, all within `deadline`.
    pub async fn post_form(
        &self,
        address: &Address,
        headers: &[(&'static str, String)],
        form: &[(&str, &str)],
        bytes_max: usize,
        deadline: Duration,
    ) -> Result<Answer, SendFault> {
        let request = self.client.post(address.url()).form(form);
        self.send(address, request, headers, bytes_max, deadline).await
    }

    /// Reads what lies at an address, at most so many bytes of it, all within `deadline`.
    pub async fn get(
        &self,
        address: &Address,
        headers: &[(&'static str, String)],
        bytes_max: usize,
        deadline: Duration,
    ) -> Result<Answer, SendFault> {
        let request = self.client.get(address.url());
        self.send(address, request, headers, bytes_max, deadline).await
    }

    async fn send(
        &self,
        address: &Address,
        request: reqwest::RequestBuilder,
        headers: &[(&'static str, String)],
        bytes_max: usize,
        deadline: Duration,
    ) -> Result<Answer, SendFault> {
        // What was allowed when the address was kept need not be now.
        if let Ok(ip) = address.host().parse()
            && !self.allowed.admits(&address.host(), ip)
        {
            return Err(SendFault::Private(address.host()));
        }
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|fault| SendFault::Unreachable(fault.to_string()))?;
            sent.insert(HeaderName::from_static(name), value);
        }
        let request = request.headers(sent);
        let answered = async {
            let mut response = request.send().await.map_err(|fault| said(address, &fault))?;
            let status = response.status().as_u16();
            let mut body = vec![];
            // An answer that breaks off has said what it said.
            while let Ok(Some(part)) = response.chunk().await {
                let room = bytes_max - body.len();
                body.extend_from_slice(&part[..part.len().min(room)]);
                if body.len() == bytes_max {
                    break;
                }
            }
            Ok(Answer { status, body: body.into() })
        };
        timeout(deadline, answered).await.unwrap_or(Err(SendFault::Late(deadline)))
    }
}

/// What went wrong, without the address.
fn said(address: &Address, fault: &reqwest::Error) -> SendFault {
    let mut cause: Option<&dyn Error> = Some(fault);
    let mut last = String::new();
    while let Some(error) = cause {
        if let Some(Refused(fault)) = error.downcast_ref() {
            return fault.clone();
        }
        last = error.to_string();
        cause = error.source();
    }
    SendFault::Unreachable(format!("{}: {}", address.origin(), last.replace(address.expose(), &address.origin())))
}
