use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// What an HTTP/2 client must at least take of an answer, in bytes, before its patience begins anew.
const PIECE_BYTES_MAX: usize = 64 << 10;

tokio::task_local! {
    static PACE: Arc<Pace>;
}

/// Runs the streams of one HTTP/2 connection, and cuts those whose client takes nothing of its answer.
///
/// HTTP/2 has a window for each stream: a client may keep one closed for ever and be lively otherwise, so that the
/// socket shows nothing. What was given to the connection and has not left it is counted instead.
#[derive(Clone)]
pub struct Streams {
    stall_max: Duration,
    /// Cuts the whole connection.
    connection: CancellationToken,
}

impl Streams {
    pub fn new(stall_max: Duration, connection: CancellationToken) -> Self {
        Self { stall_max, connection }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let Self { stall_max, connection } = self.clone();
        let pace = Arc::new(Pace::default());
        let stream = PACE.scope(Arc::clone(&pace), stream);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stream => {}
                () = pace.stalled(stall_max) => debug!("a stream is cut: its client takes nothing"),
            }
            // A stream ends when all of it has been given to the connection, which may still wait to send it. It has
            // nobody then who could cut it alone.
            if pace.drained_or_stalled(stall_max).await.is_err() {
                debug!("a connection is cut: its client takes nothing");
                connection.cancel();
            }
        });
    }
}

/// An answer on its way out over HTTP/2, in pieces that tell when they have left. Over HTTP/1 it stays as it is: there
/// the socket itself shows whether the client takes anything.
pub fn paced(body: Body) -> Body {
    match PACE.try_with(Arc::clone) {
        Ok(pace) => Body::new(Paced { body, rest: Bytes::new(), pace }),
        Err(_) => body,
    }
}

/// How much of one stream's answer is in the connection's hands, and since when none of it has left.
#[derive(Default)]
struct Pace(Mutex<Waiting>);

struct Waiting {
    bytes: usize,
    since: Instant,
    waker: Option<Waker>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { bytes: 0, since: Instant::now(), waker: None }
    }
}

impl Pace {
    fn give(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        let mut waiting = self.0.lock();
        if waiting.bytes == 0 {
            waiting.since = Instant::now();
        }
        waiting.bytes += bytes.len();
        drop(waiting);
        Bytes::from_owner(Piece { bytes, pace: Arc::clone(self) })
    }

    fn left(&self, bytes: usize) {
        let mut waiting = self.0.lock();
        waiting.bytes -= bytes;
        waiting.since = Instant::now();
        if let Some(waker) = waiting.waker.take() {
            drop(waiting);
            waker.wake();
        }
    }

    /// Ends when something has waited for so long. Must be polled by the task that gives, after it has given.
    async fn stalled(&self, stall_max: Duration) {
        let mut alarm = None;
        poll_fn(|cx| self.poll_stalled(cx, &mut alarm, stall_max)).await;
    }

    /// Ends when nothing waits any more, or something has waited for so long.
    async fn drained_or_stalled(&self, stall_max: Duration) -> Result<(), ()> {
        let mut alarm = None;
        poll_fn(|cx| {
            let mut waiting = self.0.lock();
            if waiting.bytes == 0 {
                return Poll::Ready(Ok(()));
            }
            waiting.waker = Some(cx.waker().clone());
            drop(waiting);
            self.poll_stalled(cx, &mut alarm, stall_max).map(Err)
        })
        .await
    }

    fn poll_stalled(&self, cx: &mut Context<'_>, alarm: &mut Option<Pin<Box<Sleep>>>, stall_max: Duration) -> Poll<()> {
        loop {
            let waiting = self.0.lock();
            let (is_waiting, until) = (waiting.bytes > 0, waiting.since + stall_max);
            drop(waiting);
            if !is_waiting {
                return Poll::Pending;
            }
            let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(pin!(alarm.as_mut()).poll(cx));
            if alarm.deadline() >= until {
                return Poll::Ready(());
            }
            // Something has left since the alarm was set.
            alarm.as_mut().reset(until);
        }
    }
}

/// Bytes that tell when the connection lets go of them: they were written, or will never be.
struct Piece {
    bytes: Bytes,
    pace: Arc<Pace>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.pace.left(self.bytes.len());
    }
}

struct Paced {
    body: Body,
    rest: Bytes,
    pace: Arc<Pace>,
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                other => return Poll::Ready(other),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES_MAX);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(self.pace.give(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
