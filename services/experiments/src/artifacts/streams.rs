//! Bytes in and out of gRPC streams.

use std::io;

use bytes::Bytes;
use cairn_contract::google::api::HttpBody;
use cairn_objects::{Body, attachment};
use cairn_service::{Refusal, refuse};
use futures::stream::{BoxStream, StreamExt};
use tonic::metadata::{Ascii, MetadataKey, MetadataMap};
use tonic::{Response, Status, Streaming};

use super::Download;

/// Bytes on their way to the caller.
pub type Sending = BoxStream<'static, Result<HttpBody, Status>>;

/// Largest message sent. What gRPC takes by default is 4 MiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A download as a browser or a client gets it: saved rather than shown, and taken for what it says it is.
pub(crate) fn send(download: Download, file_name: &str) -> Response<Sending> {
    let content_type = download.content.media_type.clone();
    // The first message tells the type even when there are no bytes.
    let first = HttpBody { content_type, ..HttpBody::default() };
    let pieces = download.body.flat_map(|piece| match piece {
        Ok(bytes) => futures::stream::iter(cut(bytes)).map(Ok).boxed(),
        Err(fault) => {
            tracing::error!(%fault, "an artifact could not be read to its end");
            futures::stream::iter([Err(refuse(Refusal::internal(fault)))]).boxed()
        }
    });
    let mut response = Response::new(futures::stream::iter([Ok(first)]).chain(pieces).boxed());
    attach(response.metadata_mut(), file_name);
    response
}

/// Adds the headers that keep a browser from showing hostile content as if it were ours.
pub(crate) fn attach(metadata: &mut MetadataMap, file_name: &str) {
    let headers = [
        ("cairn-http-content-disposition", attachment(file_name)),
        ("cairn-http-x-content-type-options", "nosniff".to_owned()),
    ];
    for (name, value) in headers {
        let key: MetadataKey<Ascii> = MetadataKey::from_static(name);
        if let Ok(value) = value.parse() {
            metadata.insert(key, value);
        }
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
