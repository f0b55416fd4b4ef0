use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, CompressionLevel};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::Config;

/// Answers smaller than this are not worth compressing.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// What every HTTP answer has, whoever made it: compression both ways, CORS where it is configured, and headers that
/// keep browsers from doing more with an answer than was meant.
pub fn applied(router: Router, config: &Config) -> Router {
    let compression = CompressionLayer::new()
        .no_br()
        .no_deflate()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(COMPRESSED_BYTES_MIN).and(is_json));
    // What it does not know it passes on: the edge refuses it in our words. Limits count what comes out of it. No zstd:
    // a few bytes of it can ask for a window of 128 MiB, before a limit has anything to count.
    let decompression = RequestDecompressionLayer::new().no_br().no_deflate().no_zstd().pass_through_unaccepted(true);
    let header = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let router = router
        .layer(
            tower::ServiceBuilder::new()
                .layer(decompression)
                .map_request(|request: http::Request<_>| request.map(Body::new)),
        )
        .layer(compression)
        .layer(header("x-content-type-options", "nosniff"))
        .layer(header("referrer-policy", "no-referrer"))
        .layer(header("x-frame-options", "DENY"))
        .layer(header("permissions-policy", "camera=(), geolocation=(), microphone=()"))
        .layer(header("cache-control", "no-store"))
        .layer(header("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"));
    let router = match config.scheme() {
        // Who has come here encrypted once, stays so.
        "https" => router.layer(header("strict-transport-security", "max-age=31536000")),
        _ => router,
    };
    match cors(config) {
        Some(cors) => router.layer(cors),
        None => router,
    }
}

/// Only JSON: raw answers are mostly compressed already and announce their length, and streams must not be held back.
fn is_json(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"application/json") || content_type.starts_with(b"text/html")
}

fn cors(config: &Config) -> Option<CorsLayer> {
    const PREFLIGHT_AGE_MAX: Duration = Duration::from_secs(3600);
    let origins: Vec<HeaderValue> = config.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return None;
    }
    let named = |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    let asked = [
        "authorization",
        "x-api-key",
        "content-type",
        "if-match",
        "idempotency-key",
        "x-request-id",
        "traceparent",
        "cairn-after",
        "last-event-id",
        "x-mlflow-workspace",
        "x-grpc-web",
        "x-user-agent",
        "grpc-timeout",
    ];
    let told = [
        "etag",
        "x-request-id",
        "cairn-position",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "deprecation",
        "sunset",
        "link",
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
    ];
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(named(&asked))
        .expose_headers(named(&told))
        // Never with every origin: the list has no `*`, and the one that asks is told back.
        .allow_credentials(config.cors_credentials)
        .max_age(PREFLIGHT_AGE_MAX);
    Some(cors)
}
