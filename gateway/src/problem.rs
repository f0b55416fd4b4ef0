use std::time::Duration;

use axum::body::Body;
use cairn_contract::cairn::options::v1::Dialect;
use cairn_service::{Refusal, refuse};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::caller::Trace;

/// A status on its way to an HTTP caller: what every error on the wire has, whoever made it.
pub struct Problem {
    pub code: Code,
    pub reason: String,
    pub message: String,
    pub http: StatusCode,
    pub retry_after: Option<Duration>,
    details: ErrorDetails,
}

/// How an error is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// AIP-193.
    Aip,
    /// RFC 9457, for those who ask for it.
    Details,
    /// As MLflow's server does.
    Mlflow,
    /// RFC 6749, section 5.2.
    Oauth,
    /// RFC 7644, section 3.12.
    Scim,
    /// As HashiCorp Vault does.
    Vault,
}

const PROBLEM_DETAILS: &str = "application/problem+json";
const SCIM: &str = "application/scim+json";

impl Form {
    /// The form of a dialect, and of ours the one that the caller accepts.
    pub fn of(dialect: Dialect, accepts_details: bool) -> Self {
        match dialect {
            Dialect::Mlflow => Self::Mlflow,
            Dialect::Oauth => Self::Oauth,
            Dialect::Scim => Self::Scim,
            Dialect::Vault => Self::Vault,
            _ if accepts_details => Self::Details,
            _ => Self::Aip,
        }
    }

    /// Whether the caller asks for problem details.
    pub fn accepts_details(headers: &HeaderMap) -> bool {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepted.any(|value| value.split(',').any(|range| range.trim_start().starts_with(PROBLEM_DETAILS)))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::from(&refuse(refusal))
    }
}

impl From<&Status> for Problem {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map_or_else(|| stock_reason(status.code()), |info| info.reason.as_str());
        let retry_after = details.retry_info().and_then(|info| info.retry_delay);
        // A fault that no one named is ours, and what it says is for the log.
        let is_named = details.error_info().is_some();
        let message = match status.code() {
            Code::Internal | Code::Unknown | Code::DataLoss if !is_named => "something went wrong on our side",
            _ => status.message(),
        };
        Self {
            code: status.code(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            http: http_status(status.code(), reason),
            retry_after,
            details,
        }
    }
}

impl Problem {
    /// The whole answer, in the words of the dialect.
    pub fn answer(&self, form: Form, trace: &Trace) -> Response<Body> {
        let body = match form {
            Form::Mlflow => self.mlflow(trace),
            Form::Oauth => self.oauth(trace),
            Form::Scim => self.scim(trace),
            Form::Vault => self.vault(),
            Form::Details => self.problem_details(trace),
            Form::Aip => self.json(trace),
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = match (form, self.code) {
            (Form::Mlflow, _) => self.mlflow_code().1,
            // Vault has one word for who may not and who is not known, and another for what was not as it was seen.
            (Form::Vault, Code::Unauthenticated) => StatusCode::FORBIDDEN,
            (Form::Vault, Code::Aborted | Code::AlreadyExists) => StatusCode::BAD_REQUEST,
            _ => self.http,
        };
        let headers = response.headers_mut();
        let content_type = match form {
            Form::Details => PROBLEM_DETAILS,
            Form::Scim => SCIM,
            Form::Aip | Form::Mlflow | Form::Oauth | Form::Vault => "application/json",
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
        }
        let allowed = self.details.error_info().and_then(|info| info.metadata.get("allow"));
        if self.http == StatusCode::METHOD_NOT_ALLOWED
            && let Some(Ok(allowed)) = allowed.map(|allowed| HeaderValue::from_str(allowed))
        {
            headers.insert(header::ALLOW, allowed);
        }
        let size = self.details.error_info().and_then(|info| info.metadata.get("size"));
        if self.http == StatusCode::RANGE_NOT_SATISFIABLE
            && let Some(Ok(whole)) = size.map(|size| HeaderValue::from_str(&format!("bytes */{size}")))
        {
            headers.insert(header::CONTENT_RANGE, whole);
        }
        if *response.status_mut() == StatusCode::UNAUTHORIZED {
            let headers = response.headers_mut();
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cairn\""));
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"cairn\""));
        }
        response
    }

    /// The standards' words for what may happen to any request; what they have no word for is said beside.
    fn oauth(&self, trace: &Trace) -> Value {
        let error = match self.code {
            Code::Unauthenticated => "invalid_token",
            Code::PermissionDenied => "access_denied",
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => "temporarily_unavailable",
            Code::Internal | Code::Unknown | Code::DataLoss => "server_error",
            _ => "invalid_request",
        };
        json!({
            "error": error, "error_description": self.message, "reason": self.reason,
            "request_id": trace.request_id,
        })
    }

    /// What kind of problem it is in the words of SCIM, the service says beside; that something is taken, the code does.
    fn scim(&self, trace: &Trace) -> Value {
        let said = self.details.error_info().and_then(|info| info.metadata.get("scim_type"));
        let kind = said.map(String::as_str).or((self.code == Code::AlreadyExists).then_some("uniqueness"));
        let mut error = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.http.as_u16().to_string(),
            "detail": format!("{} ({}, request {})", self.message, self.reason, trace.request_id),
        });
        if let Some(kind) = kind {
            error["scimType"] = kind.into();
        }
        error
    }

    /// A list of texts. Where something that is asked for is not there, Vault's own clients expect an empty one.
    fn vault(&self) -> Value {
        let is_absent = self.code == Code::NotFound && self.reason != "ROUTE_NOT_FOUND";
        let errors = if is_absent { vec![] } else { vec![format!("{}: {}", self.reason, self.message)] };
        json!({ "errors": errors })
    }

    /// RFC 9457, with what it has no word of its own for beside it.
    fn problem_details(&self, trace: &Trace) -> Value {
        json!({
            "type": format!("urn:cairn:reason:{}", self.reason),
            "title": self.http.canonical_reason().unwrap_or("Error"),
            "status": self.http.as_u16(),
            "detail": self.message,
            "instance": format!("urn:cairn:request:{}", trace.request_id),
            "code": canonical(self.code),
            "reason": self.reason,
            "context": self.context(trace),
            "trace_id": trace.parent.trace_id(),
        })
    }

    /// Every value that the message mentions, and the request's id.
    fn context(&self, trace: &Trace) -> Map<String, Value> {
        let info = self.details.error_info();
        let values = info.into_iter().flat_map(|info| &info.metadata);
        let mut context: Map<String, Value> =
            values.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        context.insert("request_id".into(), trace.request_id.as_str().into());
        context
    }

    /// AIP-193, with the reason and the ids lifted to where a reader looks first.
    pub fn json(&self, trace: &Trace) -> Value {
        json!({ "error": {
            "code": self.http.as_u16(),
            "status": canonical(self.code),
            "reason": self.reason,
            "message": self.message,
            "context": self.context(trace),
            "trace_id": trace.parent.trace_id(),
            "details": self.details(),
        }})
    }

    fn details(&self) -> Vec<Value> {
        let mut details = vec![];
        if let Some(info) = self.details.error_info() {
            let metadata: std::collections::BTreeMap<_, _> = info.metadata.iter().collect();
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": info.reason, "domain": info.domain, "metadata": metadata,
            }));
        }
        if let Some(delay) = self.retry_after {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retry_delay": format!("{}s", delay.as_secs_f64()),
            }));
        }
        if let Some(bad) = self.details.bad_request() {
            let violations: Vec<_> = bad
                .field_violations
                .iter()
                .map(|violation| json!({ "field": violation.field, "description": violation.description }))
                .collect();
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": violations,
            }));
        }
        details
    }

    fn mlflow(&self, trace: &Trace) -> Value {
        json!({
            "error_code": self.mlflow_code().0,
            "message": self.message,
            "reason": self.reason,
            "request_id": trace.request_id,
            "trace_id": trace.parent.trace_id(),
        })
    }

    /// MLflow's own code and its HTTP status: the adapter's, else the one nearest to ours.
    fn mlflow_code(&self) -> (&str, StatusCode) {
        if self.details.error_info().is_some_and(|info| info.domain == "mlflow") {
            return (&self.reason, mlflow_status(&self.reason));
        }
        let code = match self.code {
            Code::OutOfRange if self.http == StatusCode::RANGE_NOT_SATISFIABLE => {
                return ("INVALID_PARAMETER_VALUE", self.http);
            }
            Code::InvalidArgument | Code::OutOfRange => "INVALID_PARAMETER_VALUE",
            Code::FailedPrecondition => "BAD_REQUEST",
            Code::AlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::PermissionDenied => "PERMISSION_DENIED",
            Code::NotFound if self.reason == "ROUTE_NOT_FOUND" => "ENDPOINT_NOT_FOUND",
            Code::NotFound => "RESOURCE_DOES_NOT_EXIST",
            Code::Aborted => "RESOURCE_CONFLICT",
            // Too large stays too large however often it is sent, so it must not look like something to repeat.
            Code::ResourceExhausted if self.http == StatusCode::PAYLOAD_TOO_LARGE => {
                return ("INVALID_PARAMETER_VALUE", self.http);
            }
            // Nor does waiting make room in a quota, and MLflow's clients wait for minutes at any 429.
            Code::ResourceExhausted if self.reason == "QUOTA_EXCEEDED" => "RESOURCE_LIMIT_EXCEEDED",
            Code::ResourceExhausted => "REQUEST_LIMIT_EXCEEDED",
            Code::Unimplemented if self.http == StatusCode::METHOD_NOT_ALLOWED => return ("BAD_REQUEST", self.http),
            Code::Unimplemented => "NOT_IMPLEMENTED",
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => "TEMPORARILY_UNAVAILABLE",
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok => "INTERNAL_ERROR",
        };
        (code, mlflow_status(code))
    }
}

/// The status MLflow's server sends with each of its codes.
fn mlflow_status(code: &str) -> StatusCode {
    match code {
        "UNAUTHENTICATED" => StatusCode::UNAUTHORIZED,
        "PERMISSION_DENIED" => StatusCode::FORBIDDEN,
        "RESOURCE_DOES_NOT_EXIST" | "ENDPOINT_NOT_FOUND" => StatusCode::NOT_FOUND,
        "RESOURCE_CONFLICT" => StatusCode::CONFLICT,
        "REQUEST_LIMIT_EXCEEDED" => StatusCode::TOO_MANY_REQUESTS,
        "INTERNAL_ERROR" | "INVALID_STATE" => StatusCode::INTERNAL_SERVER_ERROR,
        "NOT_IMPLEMENTED" => StatusCode::NOT_IMPLEMENTED,
        "TEMPORARILY_UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// One table from codes to HTTP; the few reasons that HTTP has a word of its own for come first.
fn http_status(code: Code, reason: &str) -> StatusCode {
    match (reason, code) {
        ("METHOD_NOT_ALLOWED", _) => StatusCode::METHOD_NOT_ALLOWED,
        ("REQUEST_TOO_LARGE", _) => StatusCode::PAYLOAD_TOO_LARGE,
        ("UNSUPPORTED_MEDIA_TYPE", _) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ("CLIENT_TOO_SLOW", _) => StatusCode::REQUEST_TIMEOUT,
        ("OBJECT_RANGE_INVALID", _) => StatusCode::RANGE_NOT_SATISFIABLE,
        (_, Code::Ok) => StatusCode::OK,
        (_, Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange) => StatusCode::BAD_REQUEST,
        (_, Code::Unauthenticated) => StatusCode::UNAUTHORIZED,
        (_, Code::PermissionDenied) => StatusCode::FORBIDDEN,
        (_, Code::NotFound) => StatusCode::NOT_FOUND,
        (_, Code::AlreadyExists | Code::Aborted) => StatusCode::CONFLICT,
        (_, Code::ResourceExhausted) => StatusCode::TOO_MANY_REQUESTS,
        (_, Code::Cancelled) => StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT),
        (_, Code::Unimplemented) => StatusCode::NOT_IMPLEMENTED,
        (_, Code::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Code::DeadlineExceeded) => StatusCode::GATEWAY_TIMEOUT,
        (_, Code::Internal | Code::Unknown | Code::DataLoss) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The reason of a status that carries none: it was made by the transport, not by a service.
fn stock_reason(code: Code) -> &'static str {
    match code {
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Unavailable => "UPSTREAM_UNAVAILABLE",
        // What the transport refuses by these codes is a message above its limit.
        Code::ResourceExhausted | Code::OutOfRange => "REQUEST_TOO_LARGE",
        Code::Unauthenticated => "CREDENTIAL_INVALID",
        Code::PermissionDenied => "ACCESS_DENIED",
        Code::Unimplemented => "METHOD_UNKNOWN",
        Code::Ok
        | Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::Aborted => "VALIDATION_ERROR",
        Code::Cancelled => "CANCELLED",
        Code::Internal | Code::Unknown | Code::DataLoss => "INTERNAL",
    }
}

fn canonical(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A delay as `Retry-After` has it. Never 0: that would ask for the next request at once.
fn whole_seconds(delay: Duration) -> u64 {
    (delay.as_secs_f64().ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlflows_clients_are_not_made_to_wait_for_what_waiting_does_not_help() {
        let told = |reason: &'static str| {
            let problem = Problem::from(Refusal::new(cairn_kernel::Code::ResourceExhausted, reason, "no"));
            let (code, status) = problem.mlflow_code();
            (code.to_owned(), status.as_u16(), problem.http.as_u16())
        };
        assert_eq!(told("RATE_LIMITED"), ("REQUEST_LIMIT_EXCEEDED".to_owned(), 429, 429));
        assert_eq!(told("QUOTA_EXCEEDED"), ("RESOURCE_LIMIT_EXCEEDED".to_owned(), 400, 429));
        assert_eq!(told("REQUEST_TOO_LARGE"), ("INVALID_PARAMETER_VALUE".to_owned(), 413, 413));
    }

    #[test]
    fn nobody_is_asked_to_come_back_at_once() {
        let seconds = [0, 1, 1_000, 1_001].map(|millis| whole_seconds(Duration::from_millis(millis)));
        assert_eq!(seconds, [1, 1, 1, 2]);
    }
}
