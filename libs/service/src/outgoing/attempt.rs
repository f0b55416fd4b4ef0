use std::convert::Infallible;
use std::error::Error;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tower::{Service, ServiceExt};

/// One attempt at a call. What goes wrong on the way is an answer too, so that whoever judges answers sees it.
#[derive(Clone)]
pub(super) struct Attempt {
    channel: Channel,
}

impl Attempt {
    pub fn new(channel: Channel) -> Self {
        Self { channel }
    }
}

impl Service<Request<Body>> for Attempt {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.channel.clone();
        Box::pin(async move {
            let answered = channel.oneshot(request).await;
            Ok(answered.unwrap_or_else(|fault| {
                let was_sent = !has_cause::<ConnectError>(&fault);
                let is_late = has_cause::<TimeoutExpired>(&fault);
                let mut answer = unreached(Status::from_error(Box::new(fault)), is_late).into_http();
                if !was_sent {
                    answer.extensions_mut().insert(Unsent);
                }
                answer
            }))
        })
    }
}

/// That nobody has heard of a call: there was no connection to send it over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsent;

fn has_cause<T: Error + 'static>(fault: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(fault), |fault| (*fault).source()).any(|fault| fault.is::<T>())
}

/// A connection that broke before an answer: nobody answered, whatever the transport calls it. One that took too long is another
/// matter.
fn unreached(status: Status, is_late: bool) -> Status {
    match status.code() {
        Code::Unknown => Status::unavailable(status.message()),
        Code::Cancelled if !is_late => Status::unavailable(status.message()),
        _ => status,
    }
}
