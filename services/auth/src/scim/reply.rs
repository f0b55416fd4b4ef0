use cairn_contract::google::api::HttpBody;
use cairn_kernel::Position;
use cairn_service::Ctx;
use serde_json::{Value, json};
use tonic::Response;
use tonic::metadata::{AsciiMetadataKey, MetadataMap};

const TYPE: &str = "application/scim+json";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// An answer as the edge takes it.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: Vec<u8>,
    location: Option<String>,
    etag: Option<String>,
    position: Option<Position>,
}

impl Answer {
    /// A document, or a resource with its version.
    pub fn of(value: &Value) -> Self {
        let meta = |name: &str| value.pointer(&format!("/meta/{name}")).and_then(Value::as_str).map(str::to_owned);
        let body = value.to_string().into_bytes();
        Self { status: 200, body, location: meta("location"), etag: meta("version"), position: None }
    }

    /// A page of resources, the first of which is the `start`-th of all.
    pub fn page(resources: Vec<Value>, start: usize, total: usize) -> Self {
        let page = json!({
            "schemas": [LIST],
            "totalResults": total,
            "startIndex": start,
            "itemsPerPage": resources.len(),
            "Resources": resources,
        });
        Self { status: 200, body: page.to_string().into_bytes(), location: None, etag: None, position: None }
    }

    /// Nothing is left to show.
    pub fn gone(at: Position) -> Self {
        Self { status: 204, body: vec![], location: None, etag: None, position: Some(at) }
    }

    pub fn created(self) -> Self {
        Self { status: 201, ..self }
    }

    /// Shows a change that is stored at a position.
    pub fn stored(self, at: Position) -> Self {
        Self { position: Some(at), ..self }
    }

    /// Says that nothing changed, to who has seen this very version.
    pub fn unless_seen(self, seen: Option<&str>) -> Self {
        let is_seen = self
            .etag
            .as_deref()
            .zip(seen)
            .is_some_and(|(etag, seen)| seen.split(',').any(|tag| tag.trim() == "*" || tag.trim() == etag));
        if is_seen { Self { status: 304, body: vec![], ..self } } else { self }
    }

    pub fn reply(self, ctx: &Ctx) -> Response<HttpBody> {
        let body = HttpBody { content_type: TYPE.into(), data: self.body.into(), extensions: vec![] };
        let mut response = match self.position {
            Some(at) => ctx.reply(body, at),
            None => Response::new(body),
        };
        let status = Some(self.status.to_string());
        for (header, value) in [("status", status), ("location", self.location), ("etag", self.etag)] {
            let key = AsciiMetadataKey::from_bytes(format!("cairn-http-{header}").as_bytes());
            if let (Ok(key), Some(Ok(value))) = (key, value.map(|value| value.parse())) {
                response.metadata_mut().insert(key, value);
            }
        }
        response
    }
}

/// The versions that whoever asks has seen.
pub fn seen(metadata: &MetadataMap) -> Option<String> {
    metadata.get("cairn-http-if-none-match")?.to_str().ok().map(str::to_owned)
}
