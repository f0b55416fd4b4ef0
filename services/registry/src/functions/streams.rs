//! Packages in and out of gRPC streams.

use std::io;

use bytes::Bytes;
use cairn_contract::cairn::registry::v1::UploadFunctionPackageRequest;
use cairn_contract::google::api::HttpBody;
use cairn_objects::{Body, attachment};
use cairn_service::{Refusal, refuse};
use futures::stream::{self, BoxStream, StreamExt};
use tonic::metadata::{Ascii, MetadataKey};
use tonic::{Response, Status, Streaming};

use super::VersionRecord;

/// Bytes on their way to the caller.
pub(super) type Sending = BoxStream<'static, Result<HttpBody, Status>>;

/// Largest message sent. What gRPC takes by default is 4 MiB.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What packages are.
const MEDIA_TYPE: &str = "application/gzip";

/// A package as a client gets it.
pub(super) fn send(record: &VersionRecord, body: Body) -> Response<Sending> {
    let first = HttpBody { content_type: MEDIA_TYPE.to_owned(), ..HttpBody::default() };
    let pieces = body.flat_map(|piece| match piece {
        Ok(bytes) => stream::iter(cut(bytes)).map(Ok).boxed(),
        Err(fault) => {
            tracing::error!(%fault, "a package could not be read to its end");
            stream::iter([Err(refuse(Refusal::internal(fault)))]).boxed()
        }
    });
    let mut response = Response::new(stream::iter([Ok(first)]).chain(pieces).boxed());
    let name = &record.name;
    let file = format!("{}-{}.tar.gz", name.function.function(), name.version);
    for (key, value) in [
        ("cairn-http-content-disposition", attachment(&file)),
        ("cairn-http-content-length", record.package.size.to_string()),
        ("cairn-http-etag", format!("\"{}\"", record.package.sha256)),
    ] {
        if let Ok(value) = value.parse() {
            response.metadata_mut().insert(MetadataKey::<Ascii>::from_static(key), value);
        }
    }
    response
}

fn cut(mut bytes: Bytes) -> Vec<HttpBody> {
    let mut messages = vec![];
    while !bytes.is_empty() {
        let data = bytes.split_to(bytes.len().min(MESSAGE_BYTES_MAX));
        messages.push(HttpBody { data, ..HttpBody::default() });
    }
    messages
}

/// The bytes of an upload: those of its first message, then those that follow.
pub(super) fn receive(first: Option<HttpBody>, rest: Streaming<UploadFunctionPackageRequest>) -> Body {
    let first = stream::iter(first.map(|body| Ok(body.data)));
    let rest = rest.filter_map(|message| {
        let bytes = match message {
            Ok(message) => message.content.map(|body| Ok(body.data)),
            Err(status) => Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, status.message().to_owned()))),
        };
        futures::future::ready(bytes)
    });
    first.chain(rest).boxed()
}
