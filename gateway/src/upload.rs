use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use cairn_service::Refusal;
use futures::{Stream, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use tonic::Status;

use crate::intake::{Broken, Intake, Limit, broken_off};
use crate::route::Route;
use crate::transcode::Plans;

/// Largest message made of an upload. Small enough for any service to take, large enough to be worth its frame.
const PIECE_BYTES_MAX: usize = 256 << 10;

/// A raw body on its way into a streaming call: each piece becomes one message as it arrives, so that a slow service
/// slows the client down and nothing is kept.
pub struct Upload {
    pub route: Arc<Route>,
    pub plans: Arc<Plans>,
    /// What path, query and headers say; sent with the first piece.
    pub first: Vec<u8>,
    pub content_type: Option<String>,
    pub intake: Intake,
}

impl Upload {
    /// The call's body, and where to look for what went wrong with it.
    pub fn body(self) -> (tonic::body::Body, Broken) {
        let broken = Broken::default();
        let frames = self.frames(Arc::clone(&broken));
        (tonic::body::Body::new(StreamBody::new(frames)), broken)
    }

    /// INVARIANT: a body that broke off ends in an error. Were it just to end, the service would keep half of it.
    fn frames(self, broken: Broken) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send {
        struct State {
            upload: Upload,
            first: Option<Vec<u8>>,
            rest: Bytes,
            is_done: bool,
        }
        let state = State { first: Some(self.first.clone()), upload: self, rest: Bytes::new(), is_done: false };
        stream::unfold(state, move |mut state| {
            let broken = Arc::clone(&broken);
            async move {
                if state.is_done {
                    return None;
                }
                if state.rest.is_empty() {
                    match state.upload.intake.next().await {
                        Ok(Some(data)) => state.rest = data,
                        // An empty upload is one message too.
                        Ok(None) if state.first.is_some() => state.is_done = true,
                        Ok(None) => return None,
                        Err(refusal) => {
                            state.is_done = true;
                            let status = broken_off(&refusal);
                            *broken.lock() = Some(refusal);
                            return Some((Err(status), state));
                        }
                    }
                }
                let piece = state.rest.split_to(state.rest.len().min(PIECE_BYTES_MAX));
                let upload = &state.upload;
                let message =
                    upload.route.plan.piece(&upload.plans, state.first.take(), upload.content_type.as_deref(), &piece);
                Some((Ok(Frame::data(framed(&message))), state))
            }
        })
    }
}

/// A message as gRPC frames it.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

impl Upload {
    /// Prepares an upload.
    pub fn new(
        route: &Arc<Route>,
        plans: &Arc<Plans>,
        first: Vec<u8>,
        headers: &http::HeaderMap,
        body: Body,
        (limit, pause_max): (Limit, Duration),
    ) -> Result<Self, Refusal> {
        let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Self {
            route: Arc::clone(route),
            plans: Arc::clone(plans),
            first,
            content_type: content_type.map(str::to_owned),
            intake: Intake::new(body, headers, limit, pause_max)?,
        })
    }
}
