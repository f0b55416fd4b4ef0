use prost_reflect::{Kind, MessageDescriptor};

use crate::cairn::options::v1::Dialect;
use crate::wire;

/// How the resource of a call is composed from its request: `{name}`, `projects/{project}`, `{parent|*}`, or `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resource {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A request field, by the numbers that lead to it.
    Field {
        path: String,
        numbers: Vec<u32>,
        /// What an empty one stands for.
        otherwise: Option<String>,
    },
    /// The name of the project that the caller works in.
    AmbientProject,
}

/// Why a call has no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceFault {
    #[error("{field}: is missing")]
    FieldMissing { field: String },
    #[error("the request is not a message of this method: {0}")]
    Malformed(&'static str),
    #[error("no project is given")]
    NoProject,
}

impl Resource {
    /// Reads a template over the fields of `input`.
    pub(crate) fn parse(template: &str, input: &MessageDescriptor, dialect: Dialect) -> Result<Self, String> {
        let mut parts = vec![];
        let mut rest = template;
        while !rest.is_empty() {
            let Some(inside) = rest.strip_prefix('{') else {
                let end = rest.find('{').unwrap_or(rest.len());
                parts.push(Part::Text(rest[..end].to_owned()));
                rest = &rest[end..];
                continue;
            };
            let (path, after) = inside.split_once('}').ok_or("has a '{' without '}'")?;
            parts.push(match path {
                "project" if dialect != Dialect::Cairn && parts.is_empty() => Part::AmbientProject,
                "project" if dialect != Dialect::Cairn => {
                    return Err("puts something before {project}, a whole name".into());
                }
                path => {
                    let (path, otherwise) =
                        path.split_once('|').map_or((path, None), |(path, otherwise)| (path, Some(otherwise)));
                    let otherwise = otherwise.map(str::to_owned);
                    Part::Field { path: path.to_owned(), numbers: numbers(path, input)?, otherwise }
                }
            });
            rest = after;
        }
        Ok(Self { parts })
    }

    /// The request fields that it cannot do without.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field { path, otherwise: None, .. } => Some(path.as_str()),
            _ => None,
        })
    }

    /// Composes the resource of one call, reading no more of its request than it needs.
    pub(crate) fn compose(&self, message: &[u8], ambient_project: Option<&str>) -> Result<String, ResourceFault> {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::AmbientProject => name.push_str(ambient_project.ok_or(ResourceFault::NoProject)?),
                Part::Field { path, numbers, otherwise } => match (wire::text(message, numbers)?, otherwise) {
                    (Some(text), _) if !text.is_empty() => name.push_str(text),
                    (_, Some(otherwise)) => name.push_str(otherwise),
                    (_, None) => return Err(ResourceFault::FieldMissing { field: path.clone() }),
                },
            }
        }
        Ok(name)
    }
}

/// The numbers that lead to a field. Only what cannot be read in two ways: single strings, in no oneof.
fn numbers(path: &str, input: &MessageDescriptor) -> Result<Vec<u32>, String> {
    let mut numbers = vec![];
    let mut message = input.clone();
    let mut names = path.split('.').peekable();
    while let Some(name) = names.next() {
        let field = message
            .get_field_by_name(name)
            .ok_or_else(|| format!("names the field {path:?}, which {} does not have", input.full_name()))?;
        let is_in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        if field.is_list() || field.is_map() || is_in_oneof {
            return Err(format!("names the field {path:?}, which is not a single string of its own"));
        }
        numbers.push(field.number());
        match (field.kind(), names.peek()) {
            (Kind::String, None) => {}
            (Kind::Message(inner), Some(_)) => message = inner,
            _ => return Err(format!("names the field {path:?}, which is not a single string of its own")),
        }
    }
    Ok(numbers)
}
