use super::plan::{Form, Kind, MessageId, Shape};
use super::read::{Accent, Fault, Reader};
use super::scalar::{Scalar, Slot};
use super::wire::{DELIMITED, put_key, put_varint, string_field};

impl Reader<'_> {
    /// Sets the field at a dotted path from text: a path's variable, a query parameter, or a header that stands for a
    /// field. A list's field takes one element more.
    pub fn word(&mut self, id: MessageId, path: &str, word: &str) -> Result<(), Fault> {
        let at = |problem: &str| Fault { field: path.to_owned(), problem: problem.to_owned() };
        let plans = self.plans;
        let message = plans.message(id);
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let field = message.field(name).ok_or_else(|| at(&format!("is not a field of {}", message.name)))?;
        match (field.shape, field.kind, rest) {
            (Shape::Single, Kind::Message(inner), Some(rest)) if plans.message(inner).form == Form::Object => {
                let result =
                    self.nested(Some(field.number), |reader| reader.word(inner, rest, word).map_err(Nested::Fault));
                result.map_err(|fault| match fault {
                    Nested::Fault(fault) => Fault { field: path.to_owned(), ..fault },
                    Nested::Depth(problem) => at(&problem),
                })
            }
            (_, _, Some(_)) | (Shape::Map, _, _) => Err(at("cannot be given outside the body")),
            (Shape::Single, _, None) => {
                self.scalar(Slot::of(field), Scalar::Word(word)).map_err(|problem| at(&problem))
            }
            (Shape::Repeated { .. }, _, None) => {
                self.scalar(Slot::element(field), Scalar::Word(word)).map_err(|problem| at(&problem))
            }
        }
    }

    /// What has been written into the field at a dotted path so far: the last value, if there is one that is not empty.
    pub fn given(&self, id: MessageId, path: &str) -> Option<&[u8]> {
        let (mut message, mut bytes) = (self.plans.message(id), self.out.as_slice());
        let mut names = path.split('.').peekable();
        while let Some(name) = names.next() {
            bytes = string_field(message, name, bytes)?;
            match (message.field(name)?.kind, names.peek()) {
                (_, None) => {}
                (Kind::Message(inner), Some(_)) => message = self.plans.message(inner),
                (_, Some(_)) => return None,
            }
        }
        Some(bytes)
    }

    /// Reads a query string. What the path has bound cannot be given again.
    pub fn query(&mut self, id: MessageId, query: &str, bound: &[&str]) -> Result<(), Fault> {
        for (at, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_too_many = at >= PARAMETERS_MAX;
            let decoded = decode(raw_name).zip(decode(raw_value));
            let Some((name, value)) = decoded.filter(|_| !is_too_many) else {
                let problem = if is_too_many {
                    format!("the query has more than {PARAMETERS_MAX} parameters")
                } else {
                    "the query is not percent-encoded UTF-8".to_owned()
                };
                return Err(Fault { field: String::new(), problem });
            };
            let name = name.strip_suffix("[]").unwrap_or(&name);
            let is_known = self.plans.message(id).find(name.split('.').next().unwrap_or_default()).is_some();
            if bound.contains(&name) || !is_known {
                if self.accent == Accent::Lenient {
                    continue;
                }
                let problem = if is_known { "is already given by the path" } else { "is not a parameter here" };
                return Err(Fault { field: name.chars().take(64).collect(), problem: problem.to_owned() });
            }
            self.word(id, name, &value)?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Refuses a query where the body is the whole request.
    pub fn no_query(&self, query: &str) -> Result<(), Fault> {
        match query.split(['&', '=']).find(|name| !name.is_empty()) {
            Some(name) => Err(Fault {
                field: name.chars().take(64).collect(),
                problem: "cannot be given in the query, only in the body".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// Sets a field to a `google.api.HttpBody`.
    pub fn raw(&mut self, id: MessageId, name: &str, content_type: Option<&str>, data: &[u8]) {
        const CONTENT_TYPE: u32 = 1;
        const DATA: u32 = 2;
        let Some(field) = self.plans.message(id).field(name) else { return };
        self.out.reserve(data.len() + 64);
        put_key(&mut self.out, field.number, DELIMITED);
        let mut head = vec![];
        if let Some(content_type) = content_type {
            put_key(&mut head, CONTENT_TYPE, DELIMITED);
            put_varint(&mut head, content_type.len() as u64);
            head.extend_from_slice(content_type.as_bytes());
        }
        put_key(&mut head, DATA, DELIMITED);
        put_varint(&mut head, data.len() as u64);
        put_varint(&mut self.out, (head.len() + data.len()) as u64);
        self.out.extend_from_slice(&head);
        self.out.extend_from_slice(data);
    }
}

const PARAMETERS_MAX: usize = 10_000;

enum Nested {
    Fault(Fault),
    Depth(String),
}

impl From<String> for Nested {
    fn from(problem: String) -> Self {
        Self::Depth(problem)
    }
}

/// Decodes `%41` and `+`.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(String::from)
}
