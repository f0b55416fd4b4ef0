use std::fmt;
use std::str::FromStr;

use crate::{Position, Time};

/// The moment that a reader wants to see: everything up to it, and nothing after.
///
/// A position is exact. A time stands for the last position whose event was recorded at or before it, so that two readers
/// who say the same time may see different things until that time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// Up to and with the event at this position of the log.
    Position(Position),
    /// Up to and with the events of this time.
    Time(Time),
}

/// Why a text names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is neither a time in RFC 3339, like 2026-03-01T12:00:00Z, nor a position of the log, which is a whole number"
)]
pub struct AsOfFault {
    text: String,
}

/// What a fault repeats of the text it is about.
const SHOWN_CHARS_MAX: usize = 64;

impl FromStr for AsOf {
    type Err = AsOfFault;

    fn from_str(text: &str) -> Result<Self, AsOfFault> {
        let fault = || AsOfFault { text: text.chars().take(SHOWN_CHARS_MAX).collect() };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match is_number {
            true => text.parse().map(|position| Self::Position(Position(position))).map_err(|_| fault()),
            false => Time::parse(text).map(Self::Time).ok_or_else(fault),
        }
    }
}

/// As it is parsed.
impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_position_and_anything_else_a_time() {
        assert_eq!("42".parse(), Ok(AsOf::Position(Position(42))));
        assert_eq!("0".parse(), Ok(AsOf::Position(Position::START)));
        let time = Time::from_micros(1_700_000_000_123_456);
        assert_eq!("2023-11-14T22:13:20.123456Z".parse(), Ok(AsOf::Time(time)));
        assert_eq!("2023-11-14T23:13:20.123456+01:00".parse(), Ok(AsOf::Time(time)));
    }

    #[test]
    fn a_moment_prints_as_it_is_parsed() {
        for text in ["42", "2023-11-14T22:13:20.123456Z"] {
            assert_eq!(text.parse::<AsOf>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_both_ways_to_say_one() {
        for text in ["", "-1", "+1", "1.5", "yesterday", "2023-11-14", "99999999999999999999999"] {
            let problem = text.parse::<AsOf>().unwrap_err().to_string();
            assert!(problem.contains("RFC 3339") && problem.contains("position"), "{problem}");
        }
        let long = "x".repeat(10_000).parse::<AsOf>().unwrap_err().to_string();
        assert!(long.len() < 300);
    }
}
