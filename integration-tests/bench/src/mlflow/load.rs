//! The load generator: HTTP/1.1 connections that are kept, one request at a time on each, to loopback only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A request to be sent.
pub struct Call {
    pub verb: &'static str,
    pub path: String,
    pub body: Option<String>,
}

/// Whom to ask.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub credential: Option<String>,
}

/// How hard to ask.
pub struct Load {
    pub connections: usize,
    pub duration: Duration,
}

/// What came of it.
pub struct Figures {
    took: Histogram<u64>,
    elapsed: Duration,
    /// How many requests were refused, and what the first of them was told.
    pub refused: u64,
    pub refusal: Option<Refused>,
}

/// An answer other than success.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Figures {
    /// Of a load that was not run.
    pub fn nothing() -> anyhow::Result<Self> {
        Ok(Self { took: Histogram::new(3)?, elapsed: Duration::ZERO, refused: 0, refusal: None })
    }

    pub fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.elapsed.as_secs_f64()
    }

    pub fn p50(&self) -> Duration {
        Duration::from_micros(self.took.value_at_quantile(0.5))
    }

    pub fn p99(&self) -> Duration {
        Duration::from_micros(self.took.value_at_quantile(0.99))
    }
}

impl Load {
    /// Sends requests for the duration. Those that are refused count as nothing done.
    pub async fn run(&self, target: Target, make: impl Fn(u64) -> Call + Sync) -> anyhow::Result<Figures> {
        let started = Instant::now();
        let until = started + self.duration;
        let next = AtomicU64::new(0);
        let worker = async || -> anyhow::Result<(Histogram<u64>, Vec<Refused>)> {
            let mut connection = Connection::open(&target).await?;
            let (mut took, mut refused) = (Histogram::new(3)?, vec![]);
            while Instant::now() < until {
                let call = make(next.fetch_add(1, Ordering::Relaxed));
                let sent = Instant::now();
                match connection.send(call).await {
                    Ok(_) => took.record(u64::try_from(sent.elapsed().as_micros())?)?,
                    Err(fault) => refused.push(fault.downcast::<Refused>()?),
                }
            }
            Ok((took, refused))
        };
        let workers = (0..self.connections).map(|_| worker());
        let (mut all, mut refusals) = (Histogram::new(3)?, vec![]);
        for (took, refused) in futures::future::try_join_all(workers).await? {
            all.add(took)?;
            refusals.extend(refused);
        }
        let refused = refusals.len() as u64;
        Ok(Figures { took: all, elapsed: started.elapsed(), refused, refusal: refusals.into_iter().next() })
    }

    /// Sends exactly `count` requests over several connections.
    pub async fn send(
        target: &Target,
        connections: usize,
        count: u64,
        make: impl Fn(u64) -> Call + Sync,
    ) -> anyhow::Result<()> {
        let next = AtomicU64::new(0);
        let worker = async || -> anyhow::Result<()> {
            let mut connection = Connection::open(target).await?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok(());
                }
                connection.send(make(n)).await?;
            }
        };
        futures::future::try_join_all((0..connections).map(|_| worker())).await?;
        Ok(())
    }
}

/// One kept connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    credential: Option<Arc<str>>,
}

impl Connection {
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        assert!(target.address.ip().is_loopback(), "load goes to loopback only");
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let credential = target.credential.as_ref().map(|key| format!("Bearer {key}").into());
        Ok(Self { sender, host: target.address.to_string(), credential })
    }

    /// Sends a request and reads the whole answer; anything but success is an error.
    pub async fn send(&mut self, call: Call) -> anyhow::Result<Bytes> {
        let mut request = hyper::Request::builder().method(call.verb).uri(&call.path).header("host", &self.host);
        if let Some(credential) = &self.credential {
            request = request.header("authorization", &**credential);
        }
        let body = call.body.unwrap_or_default();
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        let status = answer.status();
        let text = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            let told = String::from_utf8_lossy(&text);
            return Err(Refused(format!("{} {} answered {status}: {told}", call.verb, call.path)).into());
        }
        Ok(text)
    }

    /// The same, with the answer as JSON.
    pub async fn ask(&mut self, call: Call) -> anyhow::Result<serde_json::Value> {
        let path = call.path.clone();
        let text = self.send(call).await?;
        serde_json::from_slice(&text).with_context(|| format!("{path} did not answer JSON"))
    }
}
