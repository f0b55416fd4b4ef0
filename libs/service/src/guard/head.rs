use std::time::Duration;

use cairn_contract::Method;
use cairn_kernel::{Name, Position};
use http::{Extensions, HeaderMap};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Limits, Peer};
use crate::Refusal;
use crate::telemetry::{TRACEPARENT, Traceparent};
use crate::tls::PeerRoles;

/// Metadata key of the signed principal. Nothing else identifies a caller.
pub const PRINCIPAL: &str = "cairn-principal";
/// Metadata key of the request's id.
pub const REQUEST_ID: &str = "x-request-id";
/// Metadata key of the client's address, as the gateway saw it.
pub const SOURCE: &str = "cairn-source";
/// Metadata key of the same, sealed for the caller: what is written down of it.
pub const SEALED_SOURCE: &str = "cairn-sealed-source";
/// Metadata key of the project a compatibility dialect works in: `projects/{project}`.
pub const PROJECT: &str = "cairn-project";
/// Metadata key of the position that a read must have seen.
pub const AFTER: &str = "cairn-after";
/// Metadata key of the position an answer's change was stored at.
pub const POSITION: &str = "cairn-position";
/// Answer metadata of a stream with a cursor: where it begins, for a reader who is cut off before the first message.
pub const CURSOR: &str = "cairn-cursor";

const REQUEST_ID_BYTES_MAX: usize = 128;
const SOURCE_BYTES_MAX: usize = 64;
const SEALED_SOURCE_BYTES_MAX: usize = 256;

/// What a call's metadata says of it, before anybody has been identified.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub token: Option<String>,
    pub request_id: String,
    pub traceparent: Option<Traceparent>,
    pub source: Option<String>,
    pub sealed_source: Option<String>,
    /// What the process that calls has proven to be. Nothing within one process, and over plain connections.
    pub peer: Option<PeerRoles>,
    pub deadline: Instant,
    pub project: Result<Option<Name>, Refusal>,
    pub after: Result<Option<Position>, Refusal>,
}

impl Head {
    /// Reads the metadata. What only helps (an id, a trace) is replaced when it is malformed; what decides is refused.
    pub fn read(method: &Method, headers: &HeaderMap, extensions: &Extensions, limits: &Limits) -> Self {
        let text = |key: &str| headers.get(key).and_then(|value| value.to_str().ok());
        let streams_in = method.descriptor.is_client_streaming();
        let peer = || extensions.get::<Peer>().map(|peer| peer.0.ip().to_string());
        Self {
            token: text(PRINCIPAL).map(str::to_owned),
            request_id: text(REQUEST_ID)
                .filter(|id| is_request_id(id))
                .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
            traceparent: text(TRACEPARENT).and_then(|text| text.parse().ok()),
            source: text(SOURCE).filter(|source| source.len() <= SOURCE_BYTES_MAX).map(str::to_owned).or_else(peer),
            sealed_source: text(SEALED_SOURCE)
                .filter(|sealed| sealed.len() <= SEALED_SOURCE_BYTES_MAX)
                .map(str::to_owned),
            peer: extensions.get::<PeerRoles>().cloned(),
            deadline: Instant::now() + timeout(text("grpc-timeout"), streams_in, limits),
            project: text(PROJECT).map(project).transpose(),
            after: text(AFTER).map(position).transpose(),
        }
    }
}

fn is_request_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= REQUEST_ID_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn project(text: &str) -> Result<Name, Refusal> {
    let name = text.parse::<Name>().ok().filter(|name| name.matches("projects/*").is_some());
    name.ok_or_else(|| Refusal::invalid(PROJECT, format!("{text:?} is not a project, projects/{{project}}")))
}

fn position(text: &str) -> Result<Position, Refusal> {
    text.parse().map(Position).map_err(|_| Refusal::invalid(AFTER, format!("{text:?} is not a position")))
}

/// How long the caller waits: what it says, up to the most we let anybody wait.
fn timeout(text: Option<&str>, streams_in: bool, limits: &Limits) -> Duration {
    let (default, max) = match streams_in {
        true => (limits.upload_ms_max, limits.upload_ms_max),
        false => (limits.deadline_ms_default, limits.deadline_ms_max),
    };
    text.and_then(grpc_timeout).unwrap_or(Duration::from_millis(default)).min(Duration::from_millis(max))
}

/// Reads gRPC's notation: at most eight digits and a unit.
pub(crate) fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use cairn_contract::Contract;

    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Head {
        let mut headers = HeaderMap::new();
        for (key, value) in pairs {
            headers.insert(*key, value.parse().unwrap());
        }
        let method = Contract::embedded().unwrap().methods().first().unwrap();
        Head::read(method, &headers, &Extensions::new(), &Limits::default())
    }

    #[test]
    fn a_deadline_is_what_the_caller_says_up_to_the_most_there_is() {
        let limits = Limits::default();
        assert_eq!(timeout(Some("250m"), false, &limits), Duration::from_millis(250));
        assert_eq!(timeout(Some("99999999H"), false, &limits), Duration::from_millis(limits.deadline_ms_max));
        let upload = Duration::from_millis(limits.upload_ms_max);
        assert_eq!([timeout(None, true, &limits), timeout(Some("99999999H"), true, &limits)], [upload; 2]);
        for malformed in ["", "5", "S", "123456789S", "5x", "-1S", "1é"] {
            let default = Duration::from_millis(limits.deadline_ms_default);
            assert_eq!(timeout(Some(malformed), false, &limits), default, "{malformed:?}");
        }
    }

    #[test]
    fn a_request_without_a_usable_id_gets_one() {
        assert_eq!(read(&[(REQUEST_ID, "abc-1")]).request_id, "abc-1");
        assert_eq!(read(&[(REQUEST_ID, "a b")]).request_id.len(), 36);
        assert_eq!(read(&[(REQUEST_ID, &"x".repeat(129))]).request_id.len(), 36);
        assert_ne!(read(&[]).request_id, read(&[]).request_id);
    }

    #[test]
    fn metadata_that_decides_is_refused_when_malformed() {
        assert_eq!(read(&[(PROJECT, "projects/a")]).project.unwrap(), Some("projects/a".parse().unwrap()));
        assert!(read(&[(PROJECT, "projects/a/runs/b")]).project.is_err());
        assert_eq!(read(&[(AFTER, "42")]).after.unwrap(), Some(Position(42)));
        assert!(read(&[(AFTER, "soon")]).after.is_err());
    }
}
