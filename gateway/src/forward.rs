use std::time::Duration;

use cairn_contract::cairn::options::v1::Dialect;
use cairn_service::telemetry::TRACEPARENT;
use cairn_service::{allowance, guard};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};

use crate::call::Answer;
use crate::enter::Visit;
use crate::raw;
use crate::upstream::Call;

/// Where the call goes, and what the services behind believe of its caller. Nothing the caller sent passes under
/// these names.
pub fn call(visit: &Visit, timeout: Option<Duration>) -> Call {
    let mut metadata = MetadataMap::new();
    put(&mut metadata, guard::REQUEST_ID, &visit.trace.request_id);
    put(&mut metadata, TRACEPARENT, &visit.trace.parent.to_string());
    if let Some(known) = &visit.known {
        put(&mut metadata, guard::PRINCIPAL, &known.token);
    }
    if let Some(source) = visit.source {
        put(&mut metadata, guard::SOURCE, &source.to_string());
    }
    if let Some(sealed) = &visit.sealed_source {
        put(&mut metadata, guard::SEALED_SOURCE, sealed);
    }
    if let Some(project) = &visit.project {
        put(&mut metadata, guard::PROJECT, project);
    }
    let headers = &visit.parts.headers;
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(after) = text(&HeaderName::from_static(guard::AFTER)) {
        put(&mut metadata, guard::AFTER, after);
    }
    if matches!(visit.route.plan.answer, Answer::Raw | Answer::Download) {
        // Whoever asks for the head alone learns of the whole.
        let is_head = visit.parts.method == http::Method::HEAD;
        for name in raw::ASKED.iter().filter(|name| !is_head || **name != header::RANGE) {
            if let Some(value) = text(name) {
                put(&mut metadata, &raw::key(name), value);
            }
        }
    }
    if visit.route.method.dialect == Dialect::Oauth {
        for name in &raw::SHOWN {
            // Cookies may come in several lines.
            let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
            let separator = if *name == header::COOKIE { "; " } else { "," };
            if !lines.is_empty() {
                put(&mut metadata, &raw::key(name), &lines.join(separator));
            }
        }
    }
    Call { path: visit.route.path.clone(), metadata, timeout }
}

/// Answer metadata that means the same over HTTP.
pub fn keep(metadata: &MetadataMap, headers: &mut HeaderMap) {
    let position = HeaderName::from_static(guard::POSITION);
    for name in [position, header::ETAG, header::RETRY_AFTER] {
        if let Some(value) = metadata.get(name.as_str()).and_then(|value| value.to_str().ok())
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(name, value);
        }
    }
    // What everybody may know, others may keep for a while.
    let kept = metadata.get(raw::key(&header::CACHE_CONTROL)).and_then(|value| value.to_str().ok());
    if let Some(Ok(value)) = kept.map(HeaderValue::from_str) {
        headers.insert(header::CACHE_CONTROL, value);
    }
    keep_limits(metadata, headers);
}

/// What the services behind say of limits that they keep.
pub fn keep_limits(metadata: &MetadataMap, headers: &mut HeaderMap) {
    for name in [allowance::POLICY, allowance::LIMIT] {
        if let Some(Ok(value)) = metadata.get(name.as_str()).map(|value| HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    }
}

pub fn put(metadata: &mut MetadataMap, key: &str, value: &str) {
    if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value)) {
        metadata.insert(key, value);
    }
}
