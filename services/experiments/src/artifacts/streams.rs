//! Bytes in and out of gRPC streams.

use std::io;

use bytes::Bytes;
use cairn_contract::google::api::HttpBody;
use cairn_objects::{Body, attachment};
use cairn_service::{Refusal, refuse};
use futures::stream::{BoxStream, StreamExt};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap};
use tonic::{Response, Status, Streaming};

use super::read::entity_tag;
use super::{Download, Portion};

/// Bytes on their way to the caller.
pub type Sending = BoxStream<'static, Result<HttpBody, Status>>;

/// Largest message sent. What gRPC takes by default is 4 MiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A download as a browser or a client gets it: saved rather than shown, and taken for what it says it is.
pub(crate) fn send(download: Download, file_name: &str) -> Response<Sending> {
    let Download { content, portion, body } = download;
    let mut response = sending(&content.media_type, body);
    attach(response.metadata_mut(), file_name);
    tell(response.metadata_mut(), &portion, &entity_tag(&content.sha256), content.size);
    response
}

/// Bytes as messages. The first tells their type, even when there are none.
pub(crate) fn sending(content_type: &str, body: Body) -> Response<Sending> {
    let first = HttpBody { content_type: content_type.to_owned(), ..HttpBody::default() };
    let pieces = body.flat_map(|piece| match piece {
        Ok(bytes) => futures::stream::iter(cut(bytes)).map(Ok).boxed(),
        Err(fault) => {
            tracing::error!(%fault, "an object could not be read to its end");
            futures::stream::iter([Err(refuse(Refusal::internal(fault)))]).boxed()
        }
    });
    Response::new(futures::stream::iter([Ok(first)]).chain(pieces).boxed())
}

/// Adds the headers that keep a browser from showing hostile content as if it were ours.
pub(crate) fn attach(metadata: &mut MetadataMap, file_name: &str) {
    set(metadata, "cairn-http-content-disposition", &attachment(file_name));
    set(metadata, "cairn-http-x-content-type-options", "nosniff");
}

/// Adds what HTTP says of which part of how much is sent.
pub(crate) fn tell(metadata: &mut MetadataMap, portion: &Portion, etag: &str, size: u64) {
    set(metadata, "cairn-http-accept-ranges", "bytes");
    set(metadata, "cairn-http-etag", etag);
    match portion {
        Portion::Whole => set(metadata, "cairn-http-content-length", &size.to_string()),
        Portion::Part(range) => {
            set(metadata, "cairn-http-status", "206");
            set(metadata, "cairn-http-content-length", &(range.end - range.start).to_string());
            set(metadata, "cairn-http-content-range", &format!("bytes {}-{}/{size}", range.start, range.end - 1));
        }
        Portion::Unchanged => set(metadata, "cairn-http-status", "304"),
        // Refused before anything is sent.
        Portion::Beyond => {}
    }
}

fn set(metadata: &mut MetadataMap, name: &'static str, value: &str) {
    let key: MetadataKey<Ascii> = MetadataKey::from_static(name);
    if let Ok(value) = value.parse() {
        metadata.insert(key, value);
    }
}

fn cut(mut bytes: Bytes) -> Vec<HttpBody> {
    let mut messages = vec![];
    while !bytes.is_empty() {
        let data = bytes.split_to(bytes.len().min(MESSAGE_BYTES_MAX));
        messages.push(HttpBody { data, ..HttpBody::default() });
    }
    messages
}

/// Takes the first message off an upload: it says what is coming.
pub(crate) async fn first<M>(stream: &mut Streaming<M>) -> Result<M, Status> {
    let first = stream.message().await?;
    first.ok_or_else(|| refuse(Refusal::invalid("content", "the upload has no message")))
}

/// The bytes of an upload: those of its first message, then those that follow.
pub(crate) fn receive<M: Send + 'static>(
    first: Option<HttpBody>,
    rest: Streaming<M>,
    content: fn(M) -> Option<HttpBody>,
) -> Body {
    let first = futures::stream::iter(first.map(|body| Ok(body.data)));
    let rest = rest.filter_map(move |message| {
        let bytes = match message {
            Ok(message) => content(message).map(|body| Ok(body.data)),
            Err(status) => Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, status.message().to_owned()))),
        };
        futures::future::ready(bytes)
    });
    first.chain(rest).boxed()
}
