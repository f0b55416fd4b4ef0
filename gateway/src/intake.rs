use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use cairn_kernel::Code;
use cairn_service::Refusal;
use futures::stream;
use http::{HeaderMap, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tonic::Status;

/// A request's body on its way in: counted in plain bytes, and given up when its sender pauses for too long.
pub struct Intake {
    body: Body,
    taken: u64,
    limit: Limit,
    pause_max: Duration,
}

/// Why a body broke off on the client's side, once it did.
pub type Broken = Arc<Mutex<Option<Refusal>>>;

/// What the service behind hears of a body that broke off. Not `CANCELLED`: tonic takes that for the body's end.
pub fn broken_off(refusal: &Refusal) -> Status {
    Status::aborted(refusal.message.clone())
}

/// How much may come, and the setting that says so.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub bytes_max: u64,
    pub setting: &'static str,
}

impl Intake {
    /// Refuses at once what announces more than it may send.
    pub fn new(body: Body, headers: &HeaderMap, limit: Limit, pause_max: Duration) -> Result<Self, Refusal> {
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|announced| announced > limit.bytes_max) {
            return Err(too_large(limit));
        }
        Ok(Self { body, taken: 0, limit, pause_max })
    }

    /// The next bytes, if there are any.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = tokio::time::timeout(self.pause_max, self.body.frame()).await.map_err(|_| too_slow())?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|fault| {
                Refusal::new(Code::InvalidArgument, "VALIDATION_ERROR", format!("the body could not be read: {fault}"))
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            self.taken += data.len() as u64;
            if self.taken > self.limit.bytes_max {
                return Err(too_large(self.limit));
            }
            return Ok(Some(data));
        }
    }

    /// It as the body of a call, and where to look for what went wrong with it.
    ///
    /// INVARIANT: a body that broke off ends in an error. Were it just to end, the service would keep half of it.
    pub fn passed_on(self) -> (tonic::body::Body, Broken) {
        let broken = Broken::default();
        let at = Arc::clone(&broken);
        let frames = stream::unfold(Some(self), move |intake| {
            let broken = Arc::clone(&at);
            async move {
                let mut intake = intake?;
                match intake.next().await {
                    Ok(data) => data.map(|data| (Ok(Frame::data(data)), Some(intake))),
                    Err(refusal) => {
                        let status = broken_off(&refusal);
                        *broken.lock() = Some(refusal);
                        Some((Err(status), None))
                    }
                }
            }
        });
        (tonic::body::Body::new(StreamBody::new(frames)), broken)
    }

    /// All of it.
    pub async fn whole(mut self) -> Result<Bytes, Refusal> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.next().await? else { return Ok(first) };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second);
        while let Some(more) = self.next().await? {
            all.extend_from_slice(&more);
        }
        Ok(all.freeze())
    }
}

fn too_large(Limit { bytes_max, setting }: Limit) -> Refusal {
    let message = format!("the body is larger than the {bytes_max} bytes of the setting {setting}");
    Refusal::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", message).with("bytes_max", bytes_max)
}

fn too_slow() -> Refusal {
    Refusal::new(Code::DeadlineExceeded, "CLIENT_TOO_SLOW", "the body did not arrive in time")
}

/// Refuses encodings that were not undone, and, where JSON is expected, bodies that say they are something else.
pub fn check_media_type(headers: &HeaderMap, must_be_json: bool) -> Result<(), Refusal> {
    let refuse = |problem: String| Err(Refusal::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", problem));
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return refuse("the body's encoding must be gzip or none".to_owned());
    }
    let Some(value) = headers.get(header::CONTENT_TYPE).filter(|_| must_be_json) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    refuse(format!("the body must be application/json, not {essence:?}"))
}
