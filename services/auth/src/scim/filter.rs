//! What filters (RFC 7644, section 3.4.2.2) and the paths of operations say, and what they take.

use std::cmp::Ordering;

use cairn_kernel::Time;
use serde_json::Value;

use super::schema::{Attribute, Kind, find};

/// What takes some resources, or some values of an attribute.
#[derive(Clone, Debug)]
pub enum Filter {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Present(Place),
    Compare(Place, Comparison, Value),
    /// Some value of the attribute is taken by a filter over its parts.
    Some(&'static Attribute, Box<Self>),
}

/// An attribute, or a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub attribute: &'static Attribute,
    pub part: Option<&'static Attribute>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Contains,
    Begins,
    Ends,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// What an operation is about.
#[derive(Clone, Debug)]
pub struct Path {
    pub attribute: &'static Attribute,
    /// Which of its values. Absent: all.
    pub filter: Option<Filter>,
    pub part: Option<&'static Attribute>,
}

impl Place {
    /// The part that stands for a whole value: `emails eq "…"` is about addresses.
    pub fn value(self) -> Self {
        let part = self.part.or_else(|| find(self.attribute.parts, "value"));
        Self { part, ..self }
    }

    /// What its values are, and whether the case of letters counts.
    pub fn kind(&self) -> (Kind, bool) {
        let leaf = self.part.unwrap_or(self.attribute);
        (leaf.kind, leaf.is_case_exact)
    }

    /// The values at this place of a resource, or of one value of an attribute.
    fn values<'v>(&self, of: &'v Value) -> Vec<&'v Value> {
        let Some(found) = of.get(self.attribute.name) else { return vec![] };
        let each: Vec<&Value> = found.as_array().map_or_else(|| vec![found], |values| values.iter().collect());
        match self.part {
            Some(part) => each.into_iter().filter_map(|value| value.get(part.name)).collect(),
            None => each,
        }
    }
}

impl Filter {
    /// Whether it takes a resource, or a value.
    pub fn takes(&self, value: &Value) -> bool {
        match self {
            Self::And(one, other) => one.takes(value) && other.takes(value),
            Self::Or(one, other) => one.takes(value) || other.takes(value),
            Self::Not(filter) => !filter.takes(value),
            Self::Present(place) => place.values(value).into_iter().any(is_something),
            Self::Some(attribute, filter) => {
                let values = Place { attribute, part: None }.values(value);
                values.into_iter().any(|value| filter.takes(value))
            }
            Self::Compare(place, comparison, wanted) => {
                let found = place.values(value);
                let is_equal = |found: &Value| compare(*place, found, wanted) == Some(Ordering::Equal);
                match (comparison, wanted) {
                    (Comparison::Equal, Value::Null) => !found.into_iter().any(is_something),
                    (Comparison::NotEqual, Value::Null) => found.into_iter().any(is_something),
                    (Comparison::NotEqual, _) => !found.into_iter().any(is_equal),
                    _ => found.into_iter().any(|found| holds(*place, found, *comparison, wanted)),
                }
            }
        }
    }

    /// The text that a resource must have in an attribute for the filter to take it, if it says so.
    pub fn needs(&self, name: &str) -> Option<&str> {
        match self {
            Self::And(one, other) => one.needs(name).or_else(|| other.needs(name)),
            Self::Compare(Place { attribute, part: None }, Comparison::Equal, Value::String(text))
                if attribute.name == name =>
            {
                Some(text)
            }
            _ => None,
        }
    }

    /// The part that a value must have for a filter over parts to take it, if that is all that it says.
    pub fn only(&self) -> Option<(&'static str, &Value)> {
        match self {
            Self::Compare(Place { attribute, part: None }, Comparison::Equal, value) => Some((attribute.name, value)),
            _ => None,
        }
    }

    /// Whether it looks at an attribute.
    pub fn mentions(&self, name: &str) -> bool {
        match self {
            Self::And(one, other) | Self::Or(one, other) => one.mentions(name) || other.mentions(name),
            Self::Not(filter) => filter.mentions(name),
            Self::Present(place) | Self::Compare(place, ..) => place.attribute.name == name,
            Self::Some(attribute, _) => attribute.name == name,
        }
    }
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(parts) => !parts.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn compare(place: Place, found: &Value, wanted: &Value) -> Option<Ordering> {
    let (kind, is_exact) = place.kind();
    match (kind, found, wanted) {
        (Kind::Moment, Value::String(found), Value::String(wanted)) => {
            Some(Time::parse(found)?.cmp(&Time::parse(wanted)?))
        }
        (_, Value::String(found), Value::String(wanted)) if is_exact => Some(found.cmp(wanted)),
        (_, Value::String(found), Value::String(wanted)) => Some(found.to_lowercase().cmp(&wanted.to_lowercase())),
        (_, Value::Bool(found), Value::Bool(wanted)) => Some(found.cmp(wanted)),
        _ => None,
    }
}

fn holds(place: Place, found: &Value, comparison: Comparison, wanted: &Value) -> bool {
    let order = compare(place, found, wanted);
    let parts = || {
        let (found, wanted) = (found.as_str()?, wanted.as_str()?);
        let is_exact = place.kind().1;
        let fold = |text: &str| if is_exact { text.to_owned() } else { text.to_lowercase() };
        Some((fold(found), fold(wanted)))
    };
    match comparison {
        Comparison::Equal => order == Some(Ordering::Equal),
        Comparison::NotEqual => order != Some(Ordering::Equal),
        Comparison::Greater => order == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Comparison::Less => order == Some(Ordering::Less),
        Comparison::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Contains => parts().is_some_and(|(found, wanted)| found.contains(&wanted)),
        Comparison::Begins => parts().is_some_and(|(found, wanted)| found.starts_with(&wanted)),
        Comparison::Ends => parts().is_some_and(|(found, wanted)| found.ends_with(&wanted)),
    }
}
