//! Which events of the whole log a client wants.

use cairn_kurrent_protocol::streams::read_req::options::FilterOptions;
use cairn_kurrent_protocol::streams::read_req::options::filter_options::{self, Expression, Window};
use fancy_regex::{Regex, RegexBuilder};
use tonic::Status;

use crate::{Config, refusals};

/// Events considered between two checkpoints, where a client does not say how many.
const WINDOW: u32 = 32;
/// Longest pattern, in bytes, and most beginnings.
const PATTERN_BYTES_MAX: usize = 4 << 10;
const PREFIXES_MAX: usize = 1_000;

/// What is looked at of an event, and what must be true of it.
#[derive(Debug)]
pub struct Filter {
    is_by_stream: bool,
    wants: Wants,
    /// Events considered between two checkpoints.
    pub interval: u64,
}

#[derive(Debug)]
enum Wants {
    Prefixes(Vec<String>),
    Pattern(Box<Regex>),
}

impl Filter {
    pub fn read(options: FilterOptions, is_subscription: bool, config: &Config) -> Result<Self, Status> {
        let invalid = |problem: &str| refusals::invalid("filter", problem);
        let (is_by_stream, expression) = match options.filter {
            Some(filter_options::Filter::StreamIdentifier(expression)) => (true, expression),
            Some(filter_options::Filter::EventType(expression)) => (false, expression),
            None => return Err(invalid("says neither streams nor types")),
        };
        if is_subscription && options.checkpoint_interval_multiplier == 0 {
            return Err(invalid("must have a checkpointIntervalMultiplier above 0"));
        }
        let window = match options.window {
            Some(Window::Max(0)) => return Err(invalid("must have a window above 0")),
            Some(Window::Max(max)) => max,
            Some(Window::Count(_)) | None => WINDOW,
        };
        Ok(Self {
            is_by_stream,
            wants: Wants::read(expression, config)?,
            interval: u64::from(window) * u64::from(options.checkpoint_interval_multiplier.max(1)),
        })
    }

    /// Whether an event is wanted; or that its name cannot be matched in the time there is.
    pub fn wants(&self, stream: &str, kind: &str) -> Result<bool, Status> {
        let name = if self.is_by_stream { stream } else { kind };
        match &self.wants {
            Wants::Prefixes(prefixes) => Ok(prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))),
            Wants::Pattern(pattern) => pattern.is_match(name).map_err(|fault| refusals::invalid("filter", fault)),
        }
    }
}

impl Wants {
    fn read(expression: Expression, config: &Config) -> Result<Self, Status> {
        let Expression { regex, prefix } = expression;
        let invalid = |problem: String| refusals::invalid("filter", problem);
        if !prefix.is_empty() {
            if prefix.len() > PREFIXES_MAX {
                return Err(invalid(format!("has more than {PREFIXES_MAX} prefixes")));
            }
            return Ok(Self::Prefixes(prefix));
        }
        if regex.len() > PATTERN_BYTES_MAX {
            return Err(invalid(format!("has a pattern of more than {PATTERN_BYTES_MAX} bytes")));
        }
        let pattern = RegexBuilder::new(&regex).backtrack_limit(config.pattern_steps_max).build();
        pattern.map(|pattern| Self::Pattern(Box::new(pattern))).map_err(|fault| invalid(fault.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(filter: filter_options::Filter) -> Result<Filter, Status> {
        let options =
            FilterOptions { filter: Some(filter), window: Some(Window::Max(10)), checkpoint_interval_multiplier: 3 };
        Filter::read(options, true, &Config { pattern_steps_max: 10_000, ..Config::default() })
    }

    fn pattern(regex: &str) -> Result<Filter, Status> {
        filter(filter_options::Filter::EventType(Expression { regex: regex.to_owned(), prefix: vec![] }))
    }

    #[test]
    fn a_pattern_is_one_as_clients_write_it() {
        // What excludes the events of the system, as clients send it by themselves.
        let excluding = pattern(r"^(?!(\$.+$|PersistentConfig\d+$|Result$)).*").unwrap();
        for (kind, is_wanted) in [
            ("OrderPlaced", true),
            ("$metadata", false),
            ("PersistentConfig1", false),
            ("Result", false),
            ("Results", true),
        ] {
            assert_eq!(excluding.wants("s", kind).unwrap(), is_wanted, "{kind}");
        }
        assert!(pattern("rder").unwrap().wants("s", "OrderPlaced").unwrap(), "anywhere in the name");
        assert_eq!(excluding.interval, 30);
    }

    #[test]
    fn prefixes_are_of_streams_or_of_types() {
        let expression = || Expression { regex: String::new(), prefix: vec!["app.a".into(), "app.b".into()] };
        let by_stream = filter(filter_options::Filter::StreamIdentifier(expression())).unwrap();
        assert!(by_stream.wants("app.b-1", "x").unwrap() && !by_stream.wants("x", "app.b-1").unwrap());
        let by_type = filter(filter_options::Filter::EventType(expression())).unwrap();
        assert!(by_type.wants("x", "app.b-1").unwrap() && !by_type.wants("app.b-1", "x").unwrap());
    }

    #[test]
    fn a_pattern_that_takes_too_long_ends_the_reading_and_not_the_process() {
        let endless = pattern(r"^(?:(?=a)a|(?=a)a)*b").unwrap();
        let refused = endless.wants("s", &"a".repeat(40)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(pattern("(").is_err() && pattern(&"a".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    }
}
