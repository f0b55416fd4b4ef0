use std::collections::BTreeMap;

use cairn_contract::cairn::options::v1::{Cursor, Dialect};
use cairn_contract::{Binding, Method};
use http::{HeaderMap, HeaderValue, header};
use serde::de::IgnoredAny;

use crate::transcode::{
    Accent, Corrupt, Fault, Form, Kind, Longs, Message, MessageId, Plans, Reader, Shape, word_field, write,
};

/// How a binding's request is put together from path, query, headers and body, and how its answer is taken apart.
pub struct Plan {
    input: MessageId,
    output: MessageId,
    accent: Accent,
    longs: Longs,
    pub body: Body,
    pub answer: Answer,
    /// The request field that `If-Match` stands for.
    etag: Option<String>,
    /// The request field that `Idempotency-Key` stands for.
    request_id: Option<String>,
    /// The resource that an update's body holds, when its request has a mask.
    patched: Option<MessageId>,
    /// Where a stream is taken up again by `Last-Event-ID`.
    cursor: Option<Cursor>,
}

/// What a request's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing that is read.
    Ignored,
    /// The whole request, as JSON.
    Whole,
    /// One field of it, as JSON.
    Field(String),
    /// Raw bytes for one field of it, read whole.
    Raw(String),
    /// Raw bytes for one field of it, passed on piece by piece.
    Upload(String),
}

/// What an answer's body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One JSON value: the whole answer, or one field of it.
    Json(Option<String>),
    /// Raw bytes, at once.
    Raw,
    /// A stream of JSON values.
    Events,
    /// Raw bytes, piece by piece.
    Download,
}

const HTTP_BODY: &str = "google.api.HttpBody";

impl Plan {
    /// Plans a binding. What is wrong with it is added to `faults`.
    pub fn new(method: &Method, binding: &Binding, plans: &mut Plans, faults: &mut Vec<String>) -> Self {
        let input = plans.add(&method.input(), faults);
        let output = plans.add(&method.output(), faults);
        let (request, is_raw_answer) = (plans.message(input), plans.message(output).name == HTTP_BODY);
        let mut fault = |problem: String| faults.push(format!("{}: {problem}", method.path));
        let body = match binding.body.as_str() {
            "" => Body::Ignored,
            "*" => Body::Whole,
            name => match request.field(name) {
                Some(field) if is_message(plans, field.kind, HTTP_BODY) => {
                    let name = name.to_owned();
                    if method.descriptor.is_client_streaming() { Body::Upload(name) } else { Body::Raw(name) }
                }
                Some(_) => Body::Field(name.to_owned()),
                None => {
                    fault(format!("the body {name:?} is not a field of its request"));
                    Body::Ignored
                }
            },
        };
        if method.descriptor.is_client_streaming() && !matches!(body, Body::Upload(_)) {
            fault("streams its request, which over HTTP takes a google.api.HttpBody as its body".into());
        }
        if method.descriptor.is_client_streaming() && method.descriptor.is_server_streaming() {
            fault("streams both ways, which HTTP cannot".into());
        }
        for variable in binding.template.variables() {
            if !is_text_field(plans, request, &variable.field_path) {
                fault(format!("the path binds {:?}, which is not a plain field of its request", variable.field_path));
            }
        }
        let only = (!binding.response_body.is_empty()).then(|| binding.response_body.clone());
        if let Some(name) = &only
            && plans.message(output).field(name).is_none()
        {
            fault(format!("the response body {name:?} is not a field of its answer"));
        }
        let answer = match (is_raw_answer, method.descriptor.is_server_streaming()) {
            (true, true) => Answer::Download,
            (true, false) => Answer::Raw,
            (false, true) => Answer::Events,
            (false, false) => Answer::Json(only),
        };
        let is_mlflow = method.dialect == Dialect::Mlflow;
        // An update carries its etag within the resource.
        let inner = match &body {
            Body::Field(name) => Some(format!("{name}.etag")),
            _ => None,
        };
        let patched = match &body {
            Body::Field(name) if binding.verb == "PATCH" && !is_mlflow && has_mask(plans, request) => {
                request.field(name).and_then(|field| message_of(field.kind))
            }
            _ => None,
        };
        let find = |path: &str| is_text_field(plans, request, path).then(|| path.to_owned());
        Self {
            input,
            output,
            accent: if is_lenient(method.dialect) { Accent::Lenient } else { Accent::Strict },
            longs: if is_mlflow { Longs::Numbers } else { Longs::Strings },
            etag: find("etag").or_else(|| inner.and_then(|path| find(&path))),
            request_id: find("request_id"),
            patched,
            cursor: method.cursor.clone(),
            body,
            answer,
        }
    }

    /// The request's message. What the path says is written last; a body of ours that says otherwise is refused, one of
    /// a foreign dialect overruled.
    pub fn request(
        &self,
        plans: &Plans,
        bound: &[(String, String)],
        query: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let mut reader = Reader::new(plans, self.accent);
        let bound_paths: Vec<&str> = bound.iter().map(|(path, _)| path.as_str()).collect();
        match &self.body {
            Body::Whole if !body.is_empty() => reader.message(self.input, body)?,
            Body::Field(name) if !body.is_empty() => {
                if let Some(field) = plans.message(self.input).field(name) {
                    reader.field(field, body)?;
                }
            }
            Body::Raw(name) => {
                let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
                reader.raw(self.input, name, content_type, body);
            }
            _ => {}
        }
        match query {
            // MLflow reads a query only where there is no body.
            Some(_) if self.body == Body::Whole && self.accent == Accent::Lenient => {}
            Some(query) if self.body == Body::Whole => reader.no_query(query)?,
            Some(query) => reader.query(self.input, query, &bound_paths)?,
            None => {}
        }
        for (field, name, read) in [
            (&self.etag, "if-match", entity_tag as fn(&str) -> &str),
            (&self.request_id, "idempotency-key", idempotency_key),
        ] {
            if let (Some(field), Some(value)) = (field, headers.get(name)) {
                self.header(&mut reader, field, name, value, read)?;
            }
        }
        if let Some(fields) = self.patch(plans, &reader, body) {
            reader.word(self.input, MASK, &fields)?;
        }
        if let (Some(cursor), Some(last)) = (&self.cursor, headers.get(LAST_EVENT_ID)) {
            // Written after the query, which is that of the first request however often the stream is taken up again.
            let fault = |problem: String| Fault { field: LAST_EVENT_ID.to_owned(), problem };
            let last = last.to_str().map_err(|_| fault("is not plain text".to_owned()))?.trim();
            if !last.is_empty() {
                reader.word(self.input, &cursor.request, last).map_err(|Fault { problem, .. }| fault(problem))?;
            }
        }
        for (path, value) in bound {
            if self.accent == Accent::Strict {
                self.agrees(&reader, path, value)?;
            }
            reader.word(self.input, path, value)?;
        }
        Ok(reader.finish())
    }

    /// Whether what the path says is what the body says, if it says anything: which of them was meant would be a guess.
    fn agrees(&self, reader: &Reader<'_>, path: &str, value: &str) -> Result<(), Fault> {
        match reader.given(self.input, path) {
            Some(given) if !given.is_empty() && given != value.as_bytes() => {
                let given = String::from_utf8_lossy(given);
                Err(Fault {
                    field: path.to_owned(),
                    problem: format!("is {value:?} in the path and {given:?} in the body"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Fills a field from the header that stands for it. When the request has filled it already, they must agree: which
    /// of them counts would be a guess.
    fn header(
        &self,
        reader: &mut Reader<'_>,
        field: &str,
        name: &str,
        value: &HeaderValue,
        read: fn(&str) -> &str,
    ) -> Result<(), Fault> {
        let fault = |problem: String| Fault { field: name.to_owned(), problem };
        let value = read(value.to_str().map_err(|_| fault("is not plain text".to_owned()))?);
        match reader.given(self.input, field) {
            _ if value.is_empty() => Ok(()),
            Some(given) if given != value.as_bytes() => {
                Err(fault(format!("says something else than {field} of the request")))
            }
            _ => reader.word(self.input, field, value),
        }
    }

    /// What an update without a mask is about: the fields that its body names, as JSON merge patch (RFC 7396) has it. A
    /// field that is named and null is cleared.
    fn patch(&self, plans: &Plans, reader: &Reader<'_>, body: &[u8]) -> Option<String> {
        let resource = plans.message(self.patched?);
        if reader.given(self.input, MASK).is_some() {
            return None;
        }
        let named: BTreeMap<String, IgnoredAny> = serde_json::from_slice(body).ok()?;
        let fields = named.keys().filter_map(|name| resource.field(name)).map(|field| field.name.as_str());
        // These say which resource is meant, and in which state; they are not what is changed.
        let fields: Vec<&str> = fields.filter(|name| !matches!(*name, "name" | "etag")).collect();
        (!fields.is_empty()).then(|| fields.join(","))
    }

    /// One piece of an upload; the first one carries what path and headers say.
    pub fn piece(&self, plans: &Plans, first: Option<Vec<u8>>, content_type: Option<&str>, data: &[u8]) -> Vec<u8> {
        let mut reader = Reader::new(plans, self.accent);
        if let Body::Upload(name) = &self.body {
            let content_type = content_type.filter(|_| first.is_some());
            reader.raw(self.input, name, content_type, data);
        }
        let mut message = first.unwrap_or_default();
        message.extend_from_slice(&reader.finish());
        message
    }

    /// An answer as JSON.
    pub fn json(&self, plans: &Plans, message: &[u8]) -> Result<Vec<u8>, Corrupt> {
        let only = match &self.answer {
            Answer::Json(Some(name)) => plans.message(self.output).field(name),
            _ => None,
        };
        write(plans, self.longs, self.output, only, message)
    }

    /// Where a message of a stream stands, if it says so in one line.
    pub fn place(&self, plans: &Plans, message: &[u8]) -> Option<String> {
        let place = word_field(plans.message(self.output), &self.cursor.as_ref()?.message, message)?;
        (!place.contains(['\0', '\r', '\n'])).then_some(place)
    }

    /// Whether its stream can be taken up again.
    pub fn can_be_taken_up(&self) -> bool {
        self.cursor.is_some()
    }

    /// The answer's message.
    pub fn output<'p>(&self, plans: &'p Plans) -> &'p Message {
        plans.message(self.output)
    }
}

/// Whether what nobody knows is ignored: parameters of OAuth (RFC 6749, section 3.1), and what clients of other products
/// send to servers of every version.
fn is_lenient(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Mlflow | Dialect::Oauth | Dialect::Scim | Dialect::Vault)
}

/// The header by which readers of server-sent events say where they were cut off.
const LAST_EVENT_ID: &str = "last-event-id";

/// Where an update says which fields it is about.
const MASK: &str = "update_mask";

fn has_mask(plans: &Plans, request: &Message) -> bool {
    let mask = request.field(MASK).and_then(|field| message_of(field.kind));
    mask.is_some_and(|mask| plans.message(mask).form == Form::FieldMask)
}

fn message_of(kind: Kind) -> Option<MessageId> {
    match kind {
        Kind::Message(id) => Some(id),
        _ => None,
    }
}

/// A key may stand in quotes, as its standard has it, or bare, as most write it.
fn idempotency_key(value: &str) -> &str {
    let value = value.trim();
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// What stands between the quotes of an entity tag. `*`, which means any, is no particular one.
fn entity_tag(value: &str) -> &str {
    let value = value.trim();
    let value = value.strip_prefix("W/").unwrap_or(value);
    let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    if bare == "*" { "" } else { bare }
}

fn is_message(plans: &Plans, kind: Kind, name: &str) -> bool {
    matches!(kind, Kind::Message(id) if plans.message(id).name == name)
}

/// Whether a dotted path leads to a field that one word can fill.
fn is_text_field(plans: &Plans, message: &Message, path: &str) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    match (message.field(name), rest) {
        (Some(field), None) => field.shape == Shape::Single && !matches!(field.kind, Kind::Message(_)),
        (Some(field), Some(rest)) => match field.kind {
            Kind::Message(id) if field.shape == Shape::Single && plans.message(id).form == Form::Object => {
                is_text_field(plans, plans.message(id), rest)
            }
            _ => false,
        },
        (None, _) => false,
    }
}
