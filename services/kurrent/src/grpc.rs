//! The methods of the protocol: parse, act, answer.

use std::sync::Arc;

use cairn_kernel::Position;
use cairn_kurrent_protocol::shared::{AllStreamPosition, StreamIdentifier};
use cairn_kurrent_protocol::streams::streams_server::Streams;
use cairn_kurrent_protocol::streams::{
    AppendReq, AppendResp, BatchAppendReq, DeleteReq, DeleteResp, ReadReq, TombstoneReq, TombstoneResp, append_req,
    append_resp, delete_resp, tombstone_resp,
};
use cairn_service::{Ctx, Reply};
use tonic::{Request, Response, Status, Streaming};

use crate::batch::{Batches, Batching};
use crate::expectation::{Expectation, wrong};
use crate::names::{Place, ProgramStream};
use crate::proposal::Proposals;
use crate::reading::{Answers, Reading};
use crate::writing::{Writing, Written};
use crate::{Config, refusals};

/// Streams, as the protocol has them.
#[derive(Clone)]
pub struct Grpc {
    pub config: Arc<Config>,
    pub writing: Writing,
    pub reading: Reading,
    pub batching: Batching,
}

impl Grpc {
    /// A stream of a program that is to be deleted.
    fn deletable(&self, stream: Option<StreamIdentifier>) -> Result<ProgramStream, Status> {
        let name = named(stream)?;
        match self.writing.writable(&name)? {
            Place::Program(stream) => Ok(stream),
            _ => Err(refusals::not_writable(&String::from_utf8_lossy(&name), &self.config.writable_prefixes)),
        }
    }
}

/// The name of a stream.
pub fn named(stream: Option<StreamIdentifier>) -> Result<bytes::Bytes, Status> {
    stream.map(|stream| stream.stream_name).ok_or_else(|| refusals::invalid("stream_identifier", "is missing"))
}

#[tonic::async_trait]
impl Streams for Grpc {
    type ReadStream = Answers;

    async fn read(&self, request: Request<ReadReq>) -> Reply<Answers> {
        let slots = request.extensions().get().cloned();
        let (ctx, request) = Ctx::accept(request)?;
        self.reading.read(ctx, request, slots).await.map(Response::new)
    }

    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Reply<AppendResp> {
        let (ctx, mut messages) = Ctx::accept(request)?;
        let Some(append_req::Content::Options(options)) = messages.message().await?.and_then(|first| first.content)
        else {
            return Err(refusals::invalid("options", "must come first"));
        };
        let place = self.writing.writable(&named(options.stream_identifier)?)?;
        let expected = Expectation::from(options.expected_stream_revision);
        let mut proposals = Proposals::new(Arc::clone(&self.config));
        while let Some(message) = messages.message().await? {
            let Some(append_req::Content::ProposedMessage(event)) = message.content else {
                return Err(refusals::invalid("proposed_message", "is missing"));
            };
            proposals.add(event.id.as_ref(), event.metadata, event.custom_metadata, event.data)?;
        }
        let written = self.writing.append(&ctx, &place, expected, proposals.events()).await?;
        Ok(Response::new(AppendResp { result: Some(appended(written, expected)) }))
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Reply<DeleteResp> {
        let (ctx, request) = Ctx::accept(request)?;
        let options = request.options.unwrap_or_default();
        let stream = self.deletable(options.stream_identifier)?;
        let expected = Expectation::from(options.expected_stream_revision);
        let Position(position) = self.writing.delete(&ctx, &stream, expected).await?;
        let position = delete_resp::Position { commit_position: position, prepare_position: position };
        Ok(Response::new(DeleteResp { position_option: Some(delete_resp::PositionOption::Position(position)) }))
    }

    async fn tombstone(&self, request: Request<TombstoneReq>) -> Reply<TombstoneResp> {
        let (ctx, request) = Ctx::accept(request)?;
        let options = request.options.unwrap_or_default();
        let stream = self.deletable(options.stream_identifier)?;
        let expected = Expectation::from(options.expected_stream_revision);
        let Position(position) = self.writing.tombstone(&ctx, &stream, expected).await?;
        let position = tombstone_resp::Position { commit_position: position, prepare_position: position };
        Ok(Response::new(TombstoneResp { position_option: Some(tombstone_resp::PositionOption::Position(position)) }))
    }

    type BatchAppendStream = Batches;

    async fn batch_append(&self, request: Request<Streaming<BatchAppendReq>>) -> Reply<Batches> {
        self.batching.answer(request).map(Response::new)
    }
}

fn appended(written: Written, expected: Expectation) -> append_resp::Result {
    use append_resp::success::{CurrentRevisionOption, PositionOption};
    match written {
        Written::Wrong { actual } => append_resp::Result::WrongExpectedVersion(wrong(expected, actual)),
        Written::Done { revision, position } => append_resp::Result::Success(append_resp::Success {
            current_revision_option: Some(match revision {
                Some(revision) => CurrentRevisionOption::CurrentRevision(revision.0),
                None => CurrentRevisionOption::NoStream(Default::default()),
            }),
            position_option: Some(match position {
                Some(Position(position)) => PositionOption::Position(append_resp::Position {
                    commit_position: position,
                    prepare_position: position,
                }),
                None => PositionOption::NoPosition(Default::default()),
            }),
        }),
    }
}

/// A position as other messages of the protocol have it.
pub fn place(position: u64) -> AllStreamPosition {
    AllStreamPosition { commit_position: position, prepare_position: position }
}
