use axum::body::Body;
use bytes::Bytes;
use cairn_contract::google::api::HttpBody;
use cairn_service::Refusal;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

/// Answer metadata under which a service sets a header of a raw answer: `cairn-http-content-disposition` and so on for
/// the headers in [`HEADERS`], and `cairn-http-status` for a redirect (with `cairn-http-location`) or part of a whole.
const PREFIX: &str = "cairn-http-";
const STATUS: &str = "cairn-http-status";

/// The headers that a service may set on a raw answer.
const HEADERS: [HeaderName; 10] = [
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
];

/// Request headers that a raw answer depends on, passed on as metadata under the same prefix.
pub const ASKED: [HeaderName; 3] = [header::RANGE, header::IF_NONE_MATCH, header::IF_RANGE];

/// And on the pages and answers of logging in, which no stranger's bytes are among.
const LOGIN_HEADERS: [HeaderName; 3] = [header::CONTENT_SECURITY_POLICY, header::SET_COOKIE, header::WWW_AUTHENTICATE];

/// Request headers that say who calls in the ways of OAuth, passed on as metadata under the same prefix.
pub const SHOWN: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::ORIGIN, HeaderName::from_static("x-cairn-csrf")];

/// The metadata key of a header.
pub fn key(header: &HeaderName) -> String {
    format!("{PREFIX}{header}")
}

/// An answer that is raw bytes, all at once.
pub fn whole(metadata: &MetadataMap, message: Bytes) -> Result<Response<Body>, Refusal> {
    let body = HttpBody::decode(message).map_err(Refusal::internal)?;
    let mut response = Response::new(Body::from(body.data));
    dress(&mut response, metadata, &body.content_type);
    Ok(response)
}

/// An answer of the ways of OAuth: it may set cookies too.
pub fn login(metadata: &MetadataMap, message: Bytes) -> Result<Response<Body>, Refusal> {
    let mut response = whole(metadata, message)?;
    for header in LOGIN_HEADERS {
        // There may be several cookies.
        for value in metadata.get_all(key(&header).as_str()) {
            if let Some(value) = value.to_str().ok().and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().append(header.clone(), value);
            }
        }
    }
    Ok(response)
}

/// An answer that is raw bytes, piece by piece. The first message says what they are.
pub async fn download(metadata: &MetadataMap, mut messages: Streaming<Bytes>) -> Result<Response<Body>, Status> {
    let Some(first) = messages.message().await? else {
        let mut response = Response::new(Body::empty());
        dress(&mut response, metadata, "");
        return Ok(response);
    };
    let first = decode(first)?;
    // A failure on the way breaks the connection off, which no client takes for the end of the file.
    let rest = messages.map(|message| message.and_then(decode).map(|body| body.data));
    let pieces = stream::once(std::future::ready(Ok(first.data))).chain(rest);
    let mut response = Response::new(Body::from_stream(pieces));
    dress(&mut response, metadata, &first.content_type);
    Ok(response)
}

fn decode(message: Bytes) -> Result<HttpBody, Status> {
    HttpBody::decode(message).map_err(|fault| Status::internal(fault.to_string()))
}

/// Status and headers of a raw answer.
fn dress(response: &mut Response<Body>, metadata: &MetadataMap, content_type: &str) {
    let text = |key: &str| metadata.get(key).and_then(|value| value.to_str().ok());
    let status = text(STATUS).and_then(|status| status.parse().ok()).and_then(|code| StatusCode::from_u16(code).ok());
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    let content_type = if content_type.is_empty() { "application/octet-stream" } else { content_type };
    let headers = response.headers_mut();
    put(headers, header::CONTENT_TYPE, content_type);
    for header in HEADERS {
        if let Some(value) = text(&key(&header)) {
            put(headers, header, value);
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
