use std::fmt;

/// A path template in the grammar of `google.api.http`: `/api/v1/{name=projects/*}:archive`.
///
/// Matches the path as it came, undecoded, and decodes what its variables took, so that an encoded character can never
/// move a segment's border. Two deliberate narrowings make a path mean one thing only:
///
/// - a last `*` takes no raw `:`, since a colon there begins a verb (`%3A` stands for the character);
/// - `**` stands last and takes one segment or more, never none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// One part of a path, between two slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text and no other.
    Literal(String),
    /// `*`: any one segment.
    One,
    /// `**`: all that is left, at least one segment.
    Rest,
}

/// A request field that a part of the path fills.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variable {
    /// The field, dotted when it lies in a message: `experiment.name`.
    pub field_path: String,
    /// Which segments of the template it takes.
    pub segments: std::ops::Range<usize>,
}

/// Why a text is not a path template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    #[error("a path template must begin with '/'")]
    NoSlash,
    #[error("a path template has an empty segment")]
    EmptySegment,
    #[error("{0:?} cannot stand in a path template")]
    Literal(String),
    #[error("'**' must be the last segment")]
    RestNotLast,
    #[error("a '{{' has no '}}'")]
    Unclosed,
    #[error("{0:?} is not a field path")]
    FieldPath(String),
    #[error("the variable {0:?} is bound twice")]
    Twice(String),
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let mut rest = text.strip_prefix('/').ok_or(TemplateFault::NoSlash)?;
        let mut template = Self { text: text.to_owned(), segments: vec![], variables: vec![], verb: None };
        loop {
            rest = match rest.strip_prefix('{') {
                Some(inside) => {
                    let (variable, after) = inside.split_once('}').ok_or(TemplateFault::Unclosed)?;
                    template.push_variable(variable)?;
                    after
                }
                None => {
                    let end = rest.find(['/', ':']).unwrap_or(rest.len());
                    template.push_segment(&rest[..end])?;
                    &rest[end..]
                }
            };
            if rest.is_empty() {
                return Ok(template);
            }
            if let Some(verb) = rest.strip_prefix(':') {
                template.verb = Some(literal(verb)?);
                return Ok(template);
            }
            let Some(next) = rest.strip_prefix('/') else { return Err(TemplateFault::Literal(rest.to_owned())) };
            rest = next;
        }
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments, those inside variables included.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Its variables, in the order of the path.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What follows the colon at its end.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// What each variable takes from a path (without its query), decoded; nothing when the path is another's.
    ///
    /// A path with empty or dot segments, with an encoded slash where one segment is meant, or that is not UTF-8 once
    /// decoded, matches no template.
    pub fn matches(&self, raw_path: &str) -> Option<Vec<(&str, String)>> {
        let mut raw = raw_path.strip_prefix('/')?;
        if let Some(verb) = &self.verb {
            raw = raw.strip_suffix(verb.as_str())?.strip_suffix(':')?;
        }
        let mut taken = Vec::with_capacity(self.segments.len());
        for (at, segment) in self.segments.iter().enumerate() {
            let is_last = at + 1 == self.segments.len();
            let (here, rest) = match raw.split_once('/') {
                Some((here, rest)) if !is_last => (here, rest),
                None if is_last => (raw, ""),
                Some(_) if *segment == Segment::Rest => (raw, ""),
                _ => return None,
            };
            match segment {
                Segment::Literal(text) if text != here => return None,
                Segment::One if is_last && here.contains(':') => return None,
                _ => taken.push(here),
            }
            raw = rest;
        }
        self.variables
            .iter()
            .map(|variable| Some((variable.field_path.as_str(), self.bind(variable, &taken)?)))
            .collect()
    }

    /// Whether some path matches both. Then one of them shadows the other, and which one nobody can see.
    pub fn overlaps(&self, other: &Template) -> bool {
        let is_possible = match (&self.verb, &other.verb) {
            (Some(one), Some(another)) => one == another,
            (None, None) => true,
            // Only `**` takes a colon.
            (Some(_), None) => other.segments.last() == Some(&Segment::Rest),
            (None, Some(_)) => self.segments.last() == Some(&Segment::Rest),
        };
        let mut mine = self.segments.iter();
        let mut theirs = other.segments.iter();
        is_possible
            && loop {
                match (mine.next(), theirs.next()) {
                    (None, None) => break true,
                    (None, _) | (_, None) => break false,
                    (Some(Segment::Rest), _) | (_, Some(Segment::Rest)) => break true,
                    (Some(Segment::Literal(one)), Some(Segment::Literal(another))) if one != another => break false,
                    _ => {}
                }
            }
    }

    fn push_variable(&mut self, variable: &str) -> Result<(), TemplateFault> {
        let (field_path, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        if !field_path.split('.').all(is_field) {
            return Err(TemplateFault::FieldPath(field_path.to_owned()));
        }
        if self.variables.iter().any(|bound| bound.field_path == field_path) {
            return Err(TemplateFault::Twice(field_path.to_owned()));
        }
        let start = self.segments.len();
        pattern.split('/').try_for_each(|segment| self.push_segment(segment))?;
        self.variables.push(Variable { field_path: field_path.to_owned(), segments: start..self.segments.len() });
        Ok(())
    }

    fn push_segment(&mut self, text: &str) -> Result<(), TemplateFault> {
        if self.segments.last() == Some(&Segment::Rest) {
            return Err(TemplateFault::RestNotLast);
        }
        self.segments.push(match text {
            "" => return Err(TemplateFault::EmptySegment),
            "*" => Segment::One,
            "**" => Segment::Rest,
            text => Segment::Literal(literal(text)?),
        });
        Ok(())
    }

    /// The decoded value of one variable, given what each segment took.
    fn bind(&self, variable: &Variable, taken: &[&str]) -> Option<String> {
        let mut value = String::new();
        for at in variable.segments.clone() {
            if !value.is_empty() {
                value.push('/');
            }
            let decoded = decode(taken[at])?;
            let is_one = self.segments[at] != Segment::Rest;
            if is_one && decoded.contains('/') || decoded.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return None;
            }
            value.push_str(&decoded);
        }
        Some(value)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that needs no encoding and cannot be read as something else.
fn literal(text: &str) -> Result<String, TemplateFault> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte));
    if text.is_empty() {
        Err(TemplateFault::EmptySegment)
    } else if is_plain && text.bytes().any(|byte| byte != b'.') {
        Ok(text.to_owned())
    } else {
        Err(TemplateFault::Literal(text.to_owned()))
    }
}

fn is_field(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Percent-decodes once. Nothing for a broken escape, and for bytes that are not UTF-8.
fn decode(raw: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod spec;
