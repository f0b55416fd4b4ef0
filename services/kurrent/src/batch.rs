//! Appends in batches: many of them over one call, each an append of its own.
//!
//! Each batch goes through the guard as an append does, with the credential that the call came with: so each is decided on and
//! recorded for itself, and a right that was taken away meanwhile is gone. One follows the other, in the order in which they
//! were sent.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::{Clock, Code};
use cairn_kurrent_protocol::shared::{self, StreamIdentifier};
use cairn_kurrent_protocol::streams::batch_append_req::options::DeadlineOption;
use cairn_kurrent_protocol::streams::batch_append_resp::{Success, success};
use cairn_kurrent_protocol::streams::streams_client::StreamsClient;
use cairn_kurrent_protocol::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, append_req, append_resp, batch_append_req,
    batch_append_resp,
};
use cairn_service::guard::{PRINCIPAL, Peer};
use cairn_service::{InProcess, Refusal, refuse};
use futures::{Stream, stream};
use http::HeaderMap;
use prost_types::Any;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, Streaming};
use tonic_types::pb;
use uuid::Uuid;

use crate::expectation::Expectation;
use crate::grpc::{named, place};
use crate::proposal::{Proposal, Proposals};
use crate::{Config, Identify, refusals, uuids};

/// Batches of one call that are not complete yet. Together they hold no more than two of the largest.
const INCOMPLETE_MAX: usize = 64;

/// Answers to batches, in the order in which these were complete.
pub type Batches = Pin<Box<dyn Stream<Item = Result<BatchAppendResp, Status>> + Send>>;

/// Whose call it is, and where its appends go: an extension of the request.
#[derive(Clone)]
pub struct Caller {
    pub guarded: InProcess,
    pub identify: Identify,
    pub headers: HeaderMap,
    pub peer: Peer,
}

/// Answers calls that append in batches.
#[derive(Clone)]
pub struct Batching {
    pub config: Arc<Config>,
    pub clock: Arc<dyn Clock>,
    pub closing: CancellationToken,
}

/// One call.
struct Call {
    batching: Batching,
    caller: Caller,
    messages: Streaming<BatchAppendReq>,
    incomplete: HashMap<Uuid, Incomplete>,
}

/// What came of a batch so far.
struct Incomplete {
    options: batch_append_req::Options,
    proposals: Result<Proposals, Status>,
}

impl Batching {
    pub fn answer(&self, mut request: Request<Streaming<BatchAppendReq>>) -> Result<Batches, Status> {
        let caller = request.extensions_mut().remove::<Caller>();
        let caller = caller.ok_or_else(|| refuse(Refusal::internal("a call has come past the door")))?;
        let call = Call { batching: self.clone(), caller, messages: request.into_inner(), incomplete: HashMap::new() };
        let answers =
            stream::try_unfold(call, |mut call| async move { Ok(call.next().await?.map(|answer| (answer, call))) });
        Ok(Box::pin(answers))
    }

    /// How long a batch may take: as its client says, and no longer than anybody may. Some say when it is to be done, some
    /// how long it may take, and some when where they should say how long.
    fn time_left(&self, said: Option<DeadlineOption>) -> Duration {
        let most = Duration::from_millis(self.config.append_timeout_ms);
        let said = match said {
            Some(DeadlineOption::Deadline(length)) => Duration::try_from(length).unwrap_or_default(),
            Some(DeadlineOption::Deadline21100(moment)) => {
                let moment = cairn_kernel::Time::from_seconds_and_nanos(moment.seconds, moment.nanos);
                moment.since(self.clock.now())
            }
            None => most,
        };
        said.min(most)
    }
}

impl Call {
    /// The answer to the next batch that is complete.
    async fn next(&mut self) -> Result<Option<BatchAppendResp>, Status> {
        loop {
            let message = tokio::select! {
                () = self.batching.closing.cancelled() => return Err(refusals::stopping()),
                message = self.messages.message() => message?,
            };
            let Some(message) = message else { return Ok(None) };
            let Some(id) = uuids::read(message.correlation_id.as_ref()) else {
                return Err(refusals::invalid("correlation_id", "is no UUID"));
            };
            let is_final = message.is_final;
            let batch = self.collect(id, message)?;
            if is_final {
                return self.append(id, batch).await.map(Some);
            }
            self.incomplete.insert(id, batch);
        }
    }

    /// Takes one part of a batch.
    fn collect(&mut self, id: Uuid, message: BatchAppendReq) -> Result<Incomplete, Status> {
        let earlier = self.incomplete.remove(&id);
        let waiting: usize =
            self.incomplete.values().filter_map(|batch| batch.proposals.as_ref().ok()).map(Proposals::bytes).sum();
        let has_room = self.incomplete.len() < INCOMPLETE_MAX && waiting <= self.batching.config.append_bytes_max;
        if earlier.is_none() && !has_room {
            let problem = "too much is waiting for the rest of its batch";
            return Err(refuse(Refusal::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", problem)));
        }
        let mut batch = match (earlier, message.options) {
            (Some(earlier), _) => earlier,
            (None, Some(options)) => {
                Incomplete { options, proposals: Ok(Proposals::new(Arc::clone(&self.batching.config))) }
            }
            (None, None) => Incomplete {
                options: batch_append_req::Options::default(),
                proposals: Err(refusals::invalid("options", "must come with the first part of a batch")),
            },
        };
        for event in message.proposed_messages {
            // What is wrong with one is the answer, once the rest has come.
            let Ok(proposals) = &mut batch.proposals else { break };
            let added = proposals.add(event.id.as_ref(), event.metadata, event.custom_metadata, event.data);
            if let Err(refused) = added {
                batch.proposals = Err(refused);
            }
        }
        Ok(batch)
    }

    async fn append(&self, id: Uuid, batch: Incomplete) -> Result<BatchAppendResp, Status> {
        let Incomplete { options, proposals } = batch;
        let expected = Expectation::from(options.expected_stream_position);
        let name = named(options.stream_identifier);
        let appended = match (&name, proposals) {
            (Ok(name), Ok(proposals)) => {
                let time_left = self.batching.time_left(options.deadline_option);
                let work = self.pass_on(name.clone(), expected, proposals.events());
                let late = || Err(Status::deadline_exceeded("Operation timed out"));
                // What is late already is not begun.
                if time_left.is_zero() { late() } else { timeout(time_left, work).await.unwrap_or_else(|_| late()) }
            }
            (Err(refused), _) => Err(refused.clone()),
            (_, Err(refused)) => Err(refused),
        };
        let stream = StreamIdentifier { stream_name: name.unwrap_or_default() };
        if let Err(refused) = &appended
            && refused.code() == tonic::Code::Unauthenticated
        {
            return Err(refused.clone());
        }
        Ok(BatchAppendResp {
            correlation_id: Some(uuids::written(id, uuids::Form::Text)),
            result: Some(answer(appended, expected, &stream)),
            stream_identifier: Some(stream),
            expected_stream_position: Some(expected.of_answer()),
        })
    }

    /// Appends as every other caller does.
    async fn pass_on(
        &self,
        name: bytes::Bytes,
        expected: Expectation,
        events: Vec<Proposal>,
    ) -> Result<AppendResp, Status> {
        let token = (self.caller.identify)(&self.caller.headers).map_err(refuse)?;
        let options = append_req::Options {
            stream_identifier: Some(StreamIdentifier { stream_name: name }),
            expected_stream_revision: Some(expected.of_append()),
        };
        let first = append_req::Content::Options(options);
        let rest = events.into_iter().map(proposed);
        let messages: Vec<_> =
            std::iter::once(first).chain(rest).map(|content| AppendReq { content: Some(content) }).collect();
        let mut request = Request::new(stream::iter(messages));
        if let Some(token) = token.and_then(|token| token.parse().ok()) {
            request.metadata_mut().insert(PRINCIPAL, token);
        }
        request.extensions_mut().insert(self.caller.peer);
        let appended = StreamsClient::new(self.caller.guarded.clone()).append(request).await?;
        Ok(appended.into_inner())
    }
}

fn proposed(event: Proposal) -> append_req::Content {
    let metadata = [("type".to_owned(), event.kind), ("content-type".to_owned(), event.content_type)];
    append_req::Content::ProposedMessage(append_req::ProposedMessage {
        id: Some(uuids::written(event.id, uuids::Form::Text)),
        metadata: metadata.into_iter().collect(),
        custom_metadata: event.metadata,
        data: event.data,
    })
}

/// What a batch is answered, in the words of its own.
fn answer(
    appended: Result<AppendResp, Status>,
    expected: Expectation,
    stream: &StreamIdentifier,
) -> batch_append_resp::Result {
    match appended.map(|appended| appended.result) {
        Ok(Some(append_resp::Result::Success(done))) => batch_append_resp::Result::Success(success_of(&done)),
        Ok(Some(append_resp::Result::WrongExpectedVersion(wrong))) => {
            batch_append_resp::Result::Error(wrong_version(expected, &wrong))
        }
        Ok(None) => batch_append_resp::Result::Error(refused(&Status::internal("no answer"), stream)),
        Err(status) => batch_append_resp::Result::Error(refused(&status, stream)),
    }
}

fn success_of(done: &append_resp::Success) -> Success {
    use append_resp::success::{CurrentRevisionOption, PositionOption};
    let revision = match &done.current_revision_option {
        Some(CurrentRevisionOption::CurrentRevision(revision)) => {
            success::CurrentRevisionOption::CurrentRevision(*revision)
        }
        _ => success::CurrentRevisionOption::NoStream(()),
    };
    let position = match &done.position_option {
        Some(PositionOption::Position(position)) => success::PositionOption::Position(place(position.commit_position)),
        _ => success::PositionOption::NoPosition(()),
    };
    Success { current_revision_option: Some(revision), position_option: Some(position) }
}

fn wrong_version(expected: Expectation, wrong: &append_resp::WrongExpectedVersion) -> pb::Status {
    use append_resp::wrong_expected_version::CurrentRevisionOption;
    use shared::wrong_expected_version::{CurrentStreamRevisionOption, ExpectedStreamPositionOption};
    let current = match &wrong.current_revision_option {
        Some(CurrentRevisionOption::CurrentRevision(revision)) => {
            CurrentStreamRevisionOption::CurrentStreamRevision(*revision)
        }
        _ => CurrentStreamRevisionOption::CurrentNoStream(()),
    };
    let expected = match expected {
        Expectation::Any => ExpectedStreamPositionOption::ExpectedAny(()),
        Expectation::NoStream => ExpectedStreamPositionOption::ExpectedNoStream(()),
        Expectation::Exists => ExpectedStreamPositionOption::ExpectedStreamExists(()),
        Expectation::At(revision) => ExpectedStreamPositionOption::ExpectedStreamPosition(revision.0),
    };
    let detail = shared::WrongExpectedVersion {
        current_stream_revision_option: Some(current),
        expected_stream_position_option: Some(expected),
    };
    status(tonic::Code::AlreadyExists, "WrongExpectedVersion", &detail)
}

/// A refusal as a batch's answer has it: what an append says by its trailers is a message here.
fn refused(refusal: &Status, stream: &StreamIdentifier) -> pb::Status {
    let trailer = |key| refusal.metadata().get(key).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let number = |key| trailer(key).parse().unwrap_or(u32::MAX);
    let text = refusal.message();
    match (trailer(refusals::EXCEPTION), refusal.code()) {
        ("stream-deleted", _) => {
            status(tonic::Code::NotFound, text, &shared::StreamDeleted { stream_identifier: Some(stream.clone()) })
        }
        ("maximum-append-size-exceeded", code) => {
            let max_append_size = number("maximum-append-size");
            status(code, text, &shared::MaximumAppendSizeExceeded { max_append_size })
        }
        ("maximum-append-event-size-exceeded", code) => {
            let detail = shared::MaximumAppendEventSizeExceeded {
                event_id: trailer("event-id").to_owned(),
                proposed_event_size: number("proposed-append-event-size"),
                max_append_event_size: number("maximum-append-event-size"),
            };
            status(code, text, &detail)
        }
        (_, tonic::Code::PermissionDenied) => status(tonic::Code::PermissionDenied, text, &shared::AccessDenied {}),
        (_, code @ (tonic::Code::DeadlineExceeded | tonic::Code::Aborted)) => status(code, text, &shared::Timeout {}),
        (_, tonic::Code::InvalidArgument) => {
            status(tonic::Code::InvalidArgument, text, &shared::BadRequest { message: text.to_owned() })
        }
        (_, code) => status(code, text, &shared::Unknown {}),
    }
}

fn status(code: tonic::Code, message: &str, detail: &impl prost::Name) -> pb::Status {
    let details = Any::from_msg(detail).into_iter().collect();
    pb::Status { code: code.into(), message: message.to_owned(), details }
}
