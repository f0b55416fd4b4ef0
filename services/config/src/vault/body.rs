use cairn_contract::google::api::HttpBody;
use cairn_kernel::Code;
use cairn_service::{Refusal, refuse};
use serde_json::{Map, Value};
use tonic::Status;

/// Longest body, in bytes: a value and what stands around it.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Most versions in one request.
const VERSIONS_MAX: usize = 100;

/// What is to be written.
pub struct Write {
    pub data: Map<String, Value>,
    /// The number of the last version, as the caller saw it. 0: there was none.
    pub after: Option<u32>,
}

fn invalid(problem: &str) -> Status {
    refuse(Refusal::new(Code::InvalidArgument, "VAULT_BODY_INVALID", problem))
}

/// Says of nothing that is in the body what it is: it may be a value.
fn object(body: Option<HttpBody>) -> Result<Map<String, Value>, Status> {
    let body = body.unwrap_or_default();
    if body.data.len() > BODY_BYTES_MAX {
        let problem = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        let refusal = Refusal::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", problem);
        return Err(refuse(refusal.with("bytes_max", BODY_BYTES_MAX)));
    }
    match serde_json::from_slice(&body.data) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(invalid("the body is no JSON object")),
    }
}

/// Reads a new version.
pub fn write(body: Option<HttpBody>) -> Result<Write, Status> {
    let mut body = object(body)?;
    let Some(Value::Object(data)) = body.remove("data") else { return Err(invalid("data must be an object")) };
    let options = match body.remove("options") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(options)) => options,
        Some(_) => return Err(invalid("options must be an object")),
    };
    if let Some(other) = options.keys().find(|name| *name != "cas") {
        let problem = format!("options may hold cas, and not {:?}", other.chars().take(64).collect::<String>());
        return Err(refuse(Refusal::new(Code::InvalidArgument, "VAULT_UNSUPPORTED", problem)));
    }
    let after = match options.get("cas") {
        None | Some(Value::Null) => None,
        Some(number) => {
            Some(version(number).ok_or_else(|| invalid("options.cas must be the number of a version, or 0"))?)
        }
    };
    Ok(Write { data, after })
}

/// Some write numbers as texts.
fn version(number: &Value) -> Option<u32> {
    match number {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Reads the numbers of versions.
pub fn versions(body: Option<HttpBody>) -> Result<Vec<u32>, Status> {
    let body = object(body)?;
    let numbers = body.get("versions").and_then(Value::as_array).filter(|numbers| !numbers.is_empty());
    let numbers = numbers.ok_or_else(|| invalid("versions must be a list of numbers"))?;
    if numbers.len() > VERSIONS_MAX {
        return Err(invalid("versions must be at most 100"));
    }
    let numbers: Option<Vec<u32>> = numbers.iter().map(version).collect();
    numbers.ok_or_else(|| invalid("versions must be a list of numbers"))
}
