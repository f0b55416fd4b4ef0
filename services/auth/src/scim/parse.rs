//! Reads filters (RFC 7644, section 3.4.2.2) and the paths of operations (section 3.5.2).

use cairn_kernel::Time;
use serde_json::Value;

use super::fault::Fault;
use super::filter::{Comparison, Filter, Path, Place};
use super::schema::{Attribute, Kind, Shape, find};

/// Longest filter or path, in bytes.
const BYTES_MAX: usize = 4_096;
/// How deep brackets may be in each other.
const DEPTH_MAX: usize = 16;
/// Most comparisons in one filter.
const TERMS_MAX: usize = 64;

/// Where names are looked up.
#[derive(Clone, Copy)]
enum Scope {
    Resource(&'static Shape),
    Parts(&'static [Attribute]),
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    terms: usize,
    scope: Scope,
}

/// Reads a filter over resources of one kind.
pub fn filter(shape: &'static Shape, text: &str) -> Result<Filter, Fault> {
    let mut parser = Parser::new(shape, text)?;
    let filter = parser.either()?;
    parser.end()?;
    Ok(filter)
}

/// Reads the path of an operation. Nothing, if the standard has the attribute and it is not kept here.
pub fn path(shape: &'static Shape, text: &str) -> Result<Option<Path>, Fault> {
    let invalid = |problem| Fault::Path { path: text.chars().take(200).collect(), problem };
    let bare = within(shape, text.trim());
    if shape.ignores(bare) {
        return Ok(None);
    }
    let read = || {
        let mut parser = Parser::new(shape, text)?;
        let place = parser.place()?;
        let mut path = Path { attribute: place.attribute, filter: None, part: place.part };
        if place.part.is_none() && parser.take("[") {
            path.filter = Some(parser.inside(place.attribute)?);
            if parser.take(".") {
                let name = parser.name();
                path.part = Some(find(place.attribute.parts, name).ok_or_else(|| parser.fault("no such part"))?);
            }
        }
        parser.end()?;
        Ok(path)
    };
    read().map(Some).map_err(|fault: Fault| match fault {
        Fault::Filter { .. } => invalid("names no attribute, or does not read as a path"),
        fault => fault,
    })
}

/// A name without the schema that may stand before it.
fn within<'t>(shape: &Shape, text: &'t str) -> &'t str {
    let begins = text.get(..shape.urn.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(shape.urn));
    if begins { text[shape.urn.len()..].strip_prefix(':').unwrap_or(text) } else { text }
}

impl<'t> Parser<'t> {
    fn new(shape: &'static Shape, text: &'t str) -> Result<Self, Fault> {
        let parser = Self { text, at: 0, depth: 0, terms: 0, scope: Scope::Resource(shape) };
        if text.len() > BYTES_MAX { Err(parser.fault("it is too long")) } else { Ok(parser) }
    }

    fn fault(&self, problem: impl Into<String>) -> Fault {
        Fault::Filter { at: self.text[..self.at].chars().count() + 1, problem: problem.into() }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches(' ').len();
    }

    /// Takes a sign, if it is next.
    fn take(&mut self, sign: &str) -> bool {
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len();
        }
        is_next
    }

    /// Takes a word that a blank or a bracket follows, if it is next.
    fn word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let is_next = rest.get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word))
            && matches!(rest.as_bytes().get(word.len()), None | Some(b' ' | b'(' | b')' | b']'));
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.skip();
        if self.rest().is_empty() { Ok(()) } else { Err(self.fault("there is more than one expects")) }
    }

    fn either(&mut self) -> Result<Filter, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault(format!("brackets are more than {DEPTH_MAX} deep")));
        }
        let mut filter = self.both()?;
        loop {
            self.skip();
            if !self.word("or") {
                break;
            }
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        self.depth -= 1;
        Ok(filter)
    }

    fn both(&mut self) -> Result<Filter, Fault> {
        let mut filter = self.term()?;
        loop {
            self.skip();
            if !self.word("and") {
                return Ok(filter);
            }
            filter = Filter::And(Box::new(filter), Box::new(self.term()?));
        }
    }

    fn term(&mut self) -> Result<Filter, Fault> {
        self.skip();
        self.terms += 1;
        if self.terms > TERMS_MAX {
            return Err(self.fault(format!("there are more than {TERMS_MAX} comparisons")));
        }
        let before = self.at;
        if self.word("not") {
            self.skip();
            if self.take("(") {
                return Ok(Filter::Not(Box::new(self.closed(")")?)));
            }
            self.at = before;
        }
        if self.take("(") {
            return self.closed(")");
        }
        let place = self.place()?;
        if place.part.is_none() && self.take("[") {
            return Ok(Filter::Some(place.attribute, Box::new(self.inside(place.attribute)?)));
        }
        self.skip();
        if self.word("pr") {
            return Ok(Filter::Present(place));
        }
        let comparison = self.comparison()?;
        self.skip();
        let value = self.value()?;
        fits(place, comparison, &value).map_err(|problem| self.fault(problem))?;
        Ok(Filter::Compare(place.value(), comparison, value))
    }

    fn closed(&mut self, bracket: &str) -> Result<Filter, Fault> {
        let filter = self.either()?;
        self.skip();
        if self.take(bracket) { Ok(filter) } else { Err(self.fault(format!("{bracket:?} is missing"))) }
    }

    /// What stands between the brackets behind an attribute.
    fn inside(&mut self, attribute: &'static Attribute) -> Result<Filter, Fault> {
        if attribute.parts.is_empty() || matches!(self.scope, Scope::Parts(_)) {
            return Err(self.fault("the attribute has no parts"));
        }
        let before = std::mem::replace(&mut self.scope, Scope::Parts(attribute.parts));
        let filter = self.closed("]");
        self.scope = before;
        filter
    }

    fn name(&mut self) -> &'t str {
        let rest = self.rest();
        let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'$');
        let end = rest.bytes().position(|byte| !is_of_name(&byte)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn place(&mut self) -> Result<Place, Fault> {
        self.skip();
        if let Scope::Resource(shape) = self.scope {
            let rest = self.rest();
            self.at += rest.len() - within(shape, rest).len();
        }
        let begin = self.at;
        let name = self.name();
        let found = match self.scope {
            Scope::Resource(shape) => shape.attribute(name),
            Scope::Parts(parts) => find(parts, name),
        };
        let Some(attribute) = found else {
            self.at = begin;
            return Err(self.fault("an attribute is expected"));
        };
        if !self.take(".") {
            return Ok(Place { attribute, part: None });
        }
        let name = self.name();
        let part = find(attribute.parts, name).ok_or_else(|| self.fault("the attribute has no such part"))?;
        Ok(Place { attribute, part: Some(part) })
    }

    fn comparison(&mut self) -> Result<Comparison, Fault> {
        use Comparison::{Begins, Contains, Ends, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let words = [
            ("eq", Equal),
            ("ne", NotEqual),
            ("co", Contains),
            ("sw", Begins),
            ("ew", Ends),
            ("gt", Greater),
            ("ge", GreaterOrEqual),
            ("lt", Less),
            ("le", LessOrEqual),
        ];
        let found = words.into_iter().find(|(word, _)| self.word(word));
        found
            .map(|(_, comparison)| comparison)
            .ok_or_else(|| self.fault("one of eq ne co sw ew pr gt ge lt le is expected"))
    }

    /// A value as JSON has it.
    fn value(&mut self) -> Result<Value, Fault> {
        let rest = self.rest();
        let end = match rest.strip_prefix('"') {
            Some(inside) => 2 + closing_quote(inside).unwrap_or(inside.len()),
            None => rest.find([' ', ')', ']']).unwrap_or(rest.len()),
        };
        match rest.get(..end).map(serde_json::from_str) {
            Some(Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)))) => {
                self.at += end;
                Ok(value)
            }
            _ => Err(self.fault("a text in quotes, true, false, null or a number is expected")),
        }
    }
}

/// Where a text in quotes ends.
fn closing_quote(inside: &str) -> Option<usize> {
    let mut is_escaped = false;
    inside.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

/// Whether an attribute can be compared so with a value.
fn fits(place: Place, comparison: Comparison, value: &Value) -> Result<(), String> {
    let (kind, _) = place.value().kind();
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    let fits = match kind {
        _ if value.is_null() => is_equality,
        Kind::Text | Kind::Reference => value.is_string(),
        Kind::Boolean => value.is_boolean() && is_equality,
        Kind::Moment => value.as_str().is_some_and(|text| Time::parse(text).is_some()),
        Kind::Complex => return Err("it is compared by one of its parts".into()),
    };
    if fits { Ok(()) } else { Err("the attribute cannot be compared so with this value".into()) }
}
