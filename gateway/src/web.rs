use std::convert::Infallible;

use axum::body::Body;
use http::{HeaderValue, Request, Response, header};
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt, service_fn};

use crate::grpc::Passage;

/// Whether a request is a gRPC call of a browser, which can neither read trailers nor choose HTTP/2.
pub fn speaks(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"application/grpc-web")
}

/// Answers it as the gRPC port would, trailers within the body.
pub async fn answer(passage: &Passage, request: Request<Body>) -> Response<Body> {
    let passage = passage.clone();
    let plain = service_fn(move |request: Request<tonic::body::Body>| {
        let passage = passage.clone();
        async move { Ok::<_, Infallible>(passage.answer(request.map(Body::new)).await) }
    });
    let Ok(response) = GrpcWebLayer::new().layer(plain).oneshot(request).await;
    response.map(Body::new)
}
