use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri, header};
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};

/// What stands behind the gateway: the guarded services, in this process or over a channel. Messages pass as bytes.
#[derive(Clone)]
pub struct Upstream {
    service: Backend,
    answer_bytes_max: usize,
}

type Backend = BoxCloneSyncService<http::Request<tonic::body::Body>, http::Response<tonic::body::Body>, Status>;

impl Upstream {
    pub fn new<S>(service: S, answer_bytes_max: usize) -> Self
    where
        S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let service = tower::ServiceExt::map_err(service, |cause: S::Error| unreachable(cause.into()));
        Self { service: BoxCloneSyncService::new(service), answer_bytes_max }
    }

    /// One message there, one back.
    pub async fn unary(&self, call: Call, message: Bytes) -> Result<Response<Bytes>, Status> {
        let mut grpc = self.ready().await?;
        grpc.unary(call.request(message), call.path, Raw).await
    }

    /// Many messages there, already framed, and one back. Unlike a stream of messages, a body can say that it broke
    /// off.
    pub async fn upload(&self, call: Call, body: tonic::body::Body) -> Result<Response<Bytes>, Status> {
        let mut request = http::Request::new(body);
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = Uri::from(call.path.clone());
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        *headers = call.request(()).into_parts().0.into_headers();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let response = self.pass(request).await?;
        if let Some(status) = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok) {
            return Err(status);
        }
        let (parts, body) = response.into_parts();
        let mut messages = Streaming::new_response(Raw, body, parts.status, None, Some(self.answer_bytes_max));
        let message = messages.message().await?;
        let message = message.ok_or_else(|| Status::internal("the call ended without an answer"))?;
        // The status comes after the message.
        messages.message().await?;
        Ok(Response::from_parts(MetadataMap::from_headers(parts.headers), message, http::Extensions::new()))
    }

    /// One message there, many back.
    pub async fn server_streaming(&self, call: Call, message: Bytes) -> Result<Response<Streaming<Bytes>>, Status> {
        let mut grpc = self.ready().await?;
        grpc.server_streaming(call.request(message), call.path, Raw).await
    }

    /// A whole gRPC call as it came, untouched.
    pub async fn pass(
        &self,
        request: http::Request<tonic::body::Body>,
    ) -> Result<http::Response<tonic::body::Body>, Status> {
        let mut service = self.service.clone();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    }

    async fn ready(&self) -> Result<tonic::client::Grpc<Backend>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.service.clone()).max_decoding_message_size(self.answer_bytes_max);
        grpc.ready().await?;
        Ok(grpc)
    }
}

/// Where a call goes, what goes with it, and how long it may take.
#[derive(Clone)]
pub struct Call {
    pub path: PathAndQuery,
    pub metadata: MetadataMap,
    pub timeout: Option<Duration>,
}

impl Call {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }
}

fn unreachable(cause: BoxError) -> Status {
    match Status::try_from_error(cause) {
        Ok(status) => status,
        Err(cause) => Status::unavailable(cause.to_string()),
    }
}

/// Messages as the bytes they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
