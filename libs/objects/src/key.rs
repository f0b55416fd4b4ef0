use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Longest part of a key between two slashes, in bytes: what file systems take.
pub const SEGMENT_BYTES_MAX: usize = 255;

/// Names an object: parts joined by `/`, below the root of its store.
///
/// INVARIANT: no part is empty, `.` or `..`, and none contains a control character or a backslash. So a key cannot
/// leave the root of any store, and has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

/// Why a text is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("it is empty")]
    Empty,
    #[error("it has {bytes} bytes, more than {KEY_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("it begins or ends with '/' or has two in a row")]
    EmptySegment,
    #[error("one of its parts is '.' or '..'")]
    Dots,
    #[error("one of its parts has {bytes} bytes, more than {SEGMENT_BYTES_MAX}")]
    SegmentTooLong { bytes: usize },
    #[error("it contains a control character or a backslash")]
    Character,
}

impl Key {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its parts, in order.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// Its last part.
    pub fn file_name(&self) -> &str {
        self.segments().next_back().unwrap_or_default()
    }

    /// The key `below` this one.
    pub fn join(&self, below: &Key) -> Result<Key, KeyFault> {
        format!("{self}/{below}").parse()
    }
}

impl FromStr for Key {
    type Err = KeyFault;

    fn from_str(text: &str) -> Result<Self, KeyFault> {
        if text.is_empty() {
            return Err(KeyFault::Empty);
        }
        if text.len() > KEY_BYTES_MAX {
            return Err(KeyFault::TooLong { bytes: text.len() });
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(KeyFault::EmptySegment),
                "." | ".." => return Err(KeyFault::Dots),
                _ if segment.len() > SEGMENT_BYTES_MAX => {
                    return Err(KeyFault::SegmentTooLong { bytes: segment.len() });
                }
                _ if segment.chars().any(|character| character.is_control() || character == '\\') => {
                    return Err(KeyFault::Character);
                }
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_that_could_leave_the_root_are_refused() {
        for (text, fault) in [
            ("", KeyFault::Empty),
            ("/etc/passwd", KeyFault::EmptySegment),
            ("a//b", KeyFault::EmptySegment),
            ("a/", KeyFault::EmptySegment),
            ("..", KeyFault::Dots),
            ("a/../../b", KeyFault::Dots),
            ("a/./b", KeyFault::Dots),
            ("a\\..\\b", KeyFault::Character),
            ("a\0b", KeyFault::Character),
            ("a\nb", KeyFault::Character),
        ] {
            assert_eq!(text.parse::<Key>(), Err(fault), "{text:?}");
        }
        assert_eq!("é".repeat(128).parse::<Key>(), Err(KeyFault::SegmentTooLong { bytes: 256 }));
        assert_eq!("a/".repeat(600).parse::<Key>(), Err(KeyFault::TooLong { bytes: 1200 }));
    }

    #[test]
    fn ordinary_file_names_are_keys() {
        for text in ["model.pkl", "a b/ü.png", "...", "..a/b..", "a:b?c#d%2e%2e"] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn no_part_of_a_key_climbs(text in "[./a\\\\]{0,12}") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert!(key.segments().all(|part| !part.is_empty() && part != "." && part != ".."));
            }
        }
    }
}
