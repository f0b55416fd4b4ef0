use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

/// Most bytes that are read of a body nobody wants, so that its connection can go on.
const BYTES_MAX: u64 = 64 << 10;
/// How long it is waited for them.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// What is left of a request's body when its answer is there.
///
/// An HTTP/1 connection can go on only behind the last byte of a request. Whoever answers early (a wrong verb, no
/// credential) leaves the body where it is; the connection would then end without a word, and a client that has its
/// next request under way would be cut off. HTTP/2 resets the one stream instead, and has no such trouble.
pub struct Rest {
    back: Back,
    /// The client waits to be told that it should send the body. Reading would tell it so.
    is_asked_first: bool,
}

type Back = Arc<Mutex<Option<Body>>>;

/// Follows the body of a request, over HTTP/1.
pub fn watched(request: Request<Body>) -> (Request<Body>, Option<Rest>) {
    if request.version() >= Version::HTTP_2 || request.body().is_end_stream() {
        return (request, None);
    }
    let back = Back::default();
    let rest = Rest { back: Arc::clone(&back), is_asked_first: is_asked_first(request.headers()) };
    (request.map(|body| Body::new(Watched { body, is_read: false, back })), Some(rest))
}

impl Rest {
    /// Whether the next request can come on the same connection: nothing is left, or it could be read and thrown away,
    /// or somebody still reads it.
    pub async fn read_away(self) -> bool {
        let Some(mut body) = self.back.lock().take() else { return true };
        if self.is_asked_first || body.size_hint().lower() > BYTES_MAX {
            return false;
        }
        let end = Instant::now() + WAIT_MAX;
        let mut left = BYTES_MAX;
        loop {
            match timeout_at(end, body.frame()).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len) as u64) {
                    Some(fewer) => left = fewer,
                    None => return false,
                },
                Ok(Some(Err(_))) | Err(_) => return false,
            }
        }
    }
}

fn is_asked_first(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// A body that comes back when it is let go of before its end.
struct Watched {
    body: Body,
    is_read: bool,
    back: Back,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // What broke off cannot be read to its end, and its connection ends with it.
        self.is_read |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_read && !self.body.is_end_stream() {
            *self.back.lock() = Some(std::mem::take(&mut self.body));
        }
    }
}
