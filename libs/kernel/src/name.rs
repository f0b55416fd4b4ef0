use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Longest resource name, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Longest segment of a resource name, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 256;

/// A resource name: alternating collections and ids, `projects/fraud/models/ranker`.
///
/// The one identifier: URL, access scope, audit target, log field and, with its category, the stream. The empty name
/// stands for the whole deployment and prints as `*`.
///
/// INVARIANT: printing a parsed name gives the text it was parsed from, so there is one spelling of every resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {noun}")]
pub struct NameFault {
    noun: &'static str,
    text: String,
}

impl NameFault {
    /// For a `noun` that `text` is not.
    pub fn invalid(noun: &'static str, text: &str) -> Self {
        let mut text = text.to_owned();
        if text.len() > 200 {
            let cut = (0..=200).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(cut);
            text.push('…');
        }
        Self { noun, text }
    }

    /// What it should have been.
    pub fn noun(&self) -> &'static str {
        self.noun
    }

    /// What it was.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Name {
    /// The whole deployment.
    pub const ROOT: Self = Self(String::new());

    /// The name as text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the whole deployment.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments, in order.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether `other` is this resource or lies below it. Compares whole segments: `projects/fraud` does not cover
    /// `projects/fraud2`.
    pub fn covers(&self, other: &Name) -> bool {
        self.is_root()
            || other.0.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The name without its last collection and id; the root has none.
    pub fn parent(&self) -> Option<Name> {
        if self.is_root() {
            return None;
        }
        let last = self.0.rfind('/')?;
        Some(self.0[..last].rfind('/').map_or(Self::ROOT, |at| Self(self.0[..at].to_owned())))
    }

    /// `projects/<project>`, if the name lies in one.
    pub fn project(&self) -> Option<Name> {
        let mut segments = self.segments();
        match (segments.next(), segments.next()) {
            (Some("projects"), Some(id)) => Some(Self(format!("projects/{id}"))),
            _ => None,
        }
    }

    /// A child: `collection/id` below this name.
    pub fn child(&self, collection: &str, id: &str) -> Result<Name, NameFault> {
        let text = if self.is_root() { format!("{collection}/{id}") } else { format!("{}/{collection}/{id}", self.0) };
        text.parse()
    }

    /// The ids of a name that has the shape `pattern`, e.g. `projects/*/runs/*`.
    pub fn matches<'a>(&'a self, pattern: &str) -> Option<Vec<&'a str>> {
        let mut ids = vec![];
        let mut segments = self.segments();
        for expected in pattern.split('/') {
            let segment = segments.next()?;
            if expected == "*" {
                ids.push(segment);
            } else if expected != segment {
                return None;
            }
        }
        segments.next().is_none().then_some(ids)
    }
}

/// Which bytes can stand between the slashes of a name.
const IS_ALLOWED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] =
            matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'@' | b'+');
        byte += 1;
    }
    table
};

/// Whether a text can stand between the slashes of a name.
fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= SEGMENT_BYTES_MAX
        && text.bytes().all(|byte| IS_ALLOWED[usize::from(byte)])
        && text.bytes().any(|byte| byte != b'.')
}

impl FromStr for Name {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        if text == "*" {
            return Ok(Self::ROOT);
        }
        let is_valid = text.len() <= NAME_BYTES_MAX
            && text.split('/').all(is_segment)
            && !text.bytes().filter(|byte| *byte == b'/').count().is_multiple_of(2);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(NameFault::invalid("resource name", text)) }
    }
}

/// Names are found in maps by their text. Equality, order and hash are those of the text.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "*" } else { &self.0 })
    }
}

/// Declares the name of one collection's resources.
///
/// `resource_name!(/// A run. RunName, "run name", "projects/*/runs/*", project, run);` gives a type that parses only
/// names of that shape, with `new(project, run)` and an accessor for each id.
#[macro_export]
macro_rules! resource_name {
    ($(#[$doc:meta])* $type:ident, $noun:literal, $pattern:literal, $($id:ident),+) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type($crate::Name);

        impl $type {
            /// Composes the name from its ids.
            pub fn new($($id: &str),+) -> Result<Self, $crate::NameFault> {
                let mut ids = [$($id),+].into_iter();
                let text: Vec<&str> = $pattern
                    .split('/')
                    .map(|part| if part == "*" { ids.next().unwrap_or_default() } else { part })
                    .collect();
                text.join("/").parse()
            }

            $crate::resource_name!(@accessors 0usize; $($id),+);

            /// The name without its type.
            pub fn name(&self) -> &$crate::Name {
                &self.0
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::NameFault;

            fn from_str(text: &str) -> Result<Self, $crate::NameFault> {
                let name: $crate::Name =
                    text.parse().map_err(|_| $crate::NameFault::invalid($noun, text))?;
                if name.matches($pattern).is_none() {
                    return Err($crate::NameFault::invalid($noun, text));
                }
                Ok(Self(name))
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
    (@accessors $at:expr; $id:ident $(, $rest:ident)*) => {
        #[doc = concat!("The `", stringify!($id), "` in the name.")]
        pub fn $id(&self) -> &str {
            self.0.segments().nth(2 * ($at) + 1).unwrap_or_default()
        }
        $crate::resource_name!(@accessors ($at) + 1usize; $($rest),*);
    };
    (@accessors $at:expr;) => {};
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    resource_name!(
        /// A run.
        RunName,
        "run name",
        "projects/*/experiments/*/runs/*",
        project,
        experiment,
        run
    );

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_covers_whole_segments_only() {
        assert!(name("projects/fraud").covers(&name("projects/fraud")));
        assert!(name("projects/fraud").covers(&name("projects/fraud/models/m")));
        assert!(!name("projects/fraud").covers(&name("projects/fraud2")));
        assert!(!name("projects/fraud/models/m").covers(&name("projects/fraud")));
        assert!(Name::ROOT.covers(&name("projects/fraud")));
        assert!(!name("projects/fraud").covers(&Name::ROOT));
    }

    #[test]
    fn names_that_could_be_read_in_two_ways_are_refused() {
        for text in [
            "",
            "projects",
            "projects/",
            "/projects/a",
            "projects//a/b",
            "projects/..",
            "projects/.",
            "projects/a%2Fb",
            "projects/a b",
            "projects/é",
            "projects/a\0",
            "projects/a\\b",
            "projects/a/",
        ] {
            assert!(text.parse::<Name>().is_err(), "{text:?} was accepted");
        }
        assert!(format!("projects/{}", "a".repeat(SEGMENT_BYTES_MAX + 1)).parse::<Name>().is_err());
    }

    #[test]
    fn a_typed_name_has_its_parts_and_no_other_shape() {
        let run = RunName::new("fraud", "7", "abc").unwrap();
        assert_eq!(run.to_string(), "projects/fraud/experiments/7/runs/abc");
        assert_eq!((run.project(), run.experiment(), run.run()), ("fraud", "7", "abc"));
        assert_eq!(run.as_str(), run.name().as_str());
        assert!("projects/fraud/models/m".parse::<RunName>().is_err());
        assert!(RunName::new("fraud", "7/runs/x", "abc").is_err());
    }

    #[test]
    fn parents_lead_to_the_root() {
        let run = name("projects/fraud/runs/abc");
        assert_eq!(run.parent(), Some(name("projects/fraud")));
        assert_eq!(name("projects/fraud").parent(), Some(Name::ROOT));
        assert_eq!(Name::ROOT.parent(), None);
        assert_eq!(run.project(), Some(name("projects/fraud")));
        assert_eq!(name("users/a").project(), None);
    }

    proptest! {
        #[test]
        fn what_parses_prints_as_it_was(text in "[ -~]{0,40}") {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
