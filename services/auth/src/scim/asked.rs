use cairn_contract::google::api::HttpBody;
use cairn_kernel::Code;
use cairn_service::{Refusal, refuse};
use serde_json::Value;
use tonic::Status;

use super::discovery::PAGE_MAX;
use super::fault::Fault;
use super::filter::Filter;
use super::parse::filter;
use super::schema::Shape;
use super::select::Selection;

/// Longest body, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const PAGE: usize = 100;

/// Reads a body: JSON, whichever of its names it came under.
pub fn body(sent: Option<HttpBody>) -> Result<Value, Status> {
    let sent = sent.unwrap_or_default();
    let media = sent.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !media.is_empty() && media != "application/json" && !media.ends_with("+json") {
        let problem = format!("the body must be application/scim+json, not {media:?}");
        return Err(refuse(Refusal::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", problem)));
    }
    if sent.data.len() > BODY_BYTES_MAX {
        let problem = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        let refusal = Refusal::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", problem);
        return Err(refuse(refusal.with("bytes_max", BODY_BYTES_MAX)));
    }
    Ok(serde_json::from_slice(&sent.data).map_err(|fault| Fault::Syntax(format!("the body is no JSON: {fault}")))?)
}

/// What a list is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub filter: Option<Filter>,
    pub selection: Selection,
    /// How many come before the page.
    pub before: usize,
    pub count: usize,
}

/// What a list is asked for, word by word.
#[derive(Clone, Debug, Default)]
pub struct Words {
    pub filter: String,
    pub attributes: String,
    pub excluded: String,
    pub start: String,
    pub count: String,
}

impl Words {
    /// From the body of a search.
    pub fn of_search(sent: Option<HttpBody>) -> Result<Self, Status> {
        let body = body(sent)?;
        let is_search = |urn: &Value| urn.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(SEARCH));
        if !body.get("schemas").and_then(Value::as_array).is_some_and(|urns| urns.iter().any(is_search)) {
            return Err(Fault::Syntax(format!("schemas must name {SEARCH}")).into());
        }
        let text = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Array(names)) => {
                let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
                Ok(names.ok_or_else(|| Fault::value(name, "must be a list of texts"))?.join(","))
            }
            Some(_) => Err(Fault::value(name, "must be a text, a number or a list")),
        };
        Ok(Self {
            filter: text("filter")?,
            attributes: text("attributes")?,
            excluded: text("excludedAttributes")?,
            start: text("startIndex")?,
            count: text("count")?,
        })
    }

    /// What it says of resources of one kind.
    pub fn read(&self, shape: &'static Shape) -> Result<Asked, Fault> {
        let filter = (!self.filter.trim().is_empty()).then(|| filter(shape, &self.filter)).transpose()?;
        let number = |name: &str, text: &str| match text {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| Fault::value(name, "must be a number")),
        };
        // Less than one is one, and less than nothing is nothing (RFC 7644, section 3.4.2.4).
        let start = number("startIndex", &self.start)?.unwrap_or(1).max(1);
        let count = number("count", &self.count)?.map(|count| count.max(0));
        let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Asked {
            filter,
            selection: Selection::read(&self.attributes, &self.excluded),
            before: size(start - 1),
            count: count.map_or(PAGE, size).min(PAGE_MAX),
        })
    }
}
