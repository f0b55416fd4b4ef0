use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest stream name, in bytes.
const STREAM_BYTES_MAX: usize = 1200;

/// The kind of a stream, e.g. `registry.model`: everything before the first `-` of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(String);

/// A stream's name: `<category>-<id>`, where the id is usually a resource name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// Why a text is not a stream name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    #[error("a stream name is empty")]
    Empty,
    #[error("a stream name has {bytes} bytes, more than {STREAM_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("a stream name contains a control character")]
    Control,
    #[error("stream names that start with '$' belong to the system")]
    Reserved,
}

impl Category {
    /// The category as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Category {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl StreamName {
    /// The stream of one aggregate. `category` is a constant of ours and `id` a parsed name, so this cannot fail.
    pub fn of(category: &str, id: impl fmt::Display) -> Self {
        debug_assert!(!category.contains('-'), "a category must not contain '-'");
        Self(format!("{category}-{id}").into())
    }

    /// Reads a stored name without judging it.
    pub fn stored(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Everything before the first `-`, or the whole name.
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(&*self.0, |(category, _)| category)
    }

    /// Everything after the first `-`, or nothing.
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, id)| id)
    }
}

impl FromStr for StreamName {
    type Err = StreamFault;

    fn from_str(text: &str) -> Result<Self, StreamFault> {
        match text {
            "" => Err(StreamFault::Empty),
            _ if text.len() > STREAM_BYTES_MAX => Err(StreamFault::TooLong { bytes: text.len() }),
            _ if text.starts_with('$') => Err(StreamFault::Reserved),
            _ if text.chars().any(char::is_control) => Err(StreamFault::Control),
            _ => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_dash_ends_the_category() {
        let stream = StreamName::of("experiments.run", "projects/a-b/runs/c");
        assert_eq!(stream.category(), "experiments.run");
        assert_eq!(stream.id(), "projects/a-b/runs/c");
    }

    #[test]
    fn outsiders_cannot_name_system_streams() {
        assert_eq!("$all".parse::<StreamName>(), Err(StreamFault::Reserved));
        assert_eq!("a\nb".parse::<StreamName>(), Err(StreamFault::Control));
        assert!("orders-1".parse::<StreamName>().is_ok());
    }
}
