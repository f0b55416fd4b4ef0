//! Part of a download, or none of it: what a caller asked by HTTP's `Range`, `If-Range` and `If-None-Match`.

use std::ops::Range;

use tonic::metadata::MetadataMap;

/// What a request says of the part it wants. Empty for callers that do not come by HTTP.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    range: Option<String>,
    if_range: Option<String>,
    if_none_match: Option<String>,
}

/// What is sent of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Portion {
    Whole,
    Part(Range<u64>),
    /// Nothing: the caller has it.
    Unchanged,
    /// Nothing: the object ends before it.
    Beyond,
}

impl Asked {
    /// As the edge passed it on.
    pub fn of(metadata: &MetadataMap) -> Self {
        let text = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Self {
            range: text("cairn-http-range"),
            if_range: text("cairn-http-if-range"),
            if_none_match: text("cairn-http-if-none-match"),
        }
    }

    /// What that is of an object with this entity tag and size. A range that cannot be understood, and one of several,
    /// is as good as none: HTTP lets a server send the whole then.
    pub fn portion(&self, etag: &str, size: u64) -> Portion {
        if self.if_none_match.as_deref().is_some_and(|known| matches(known, etag)) {
            return Portion::Unchanged;
        }
        // A date would not do: an object is told from another by its tag alone.
        if self.if_range.as_deref().is_some_and(|known| known.trim() != etag) {
            return Portion::Whole;
        }
        match self.range.as_deref().and_then(|range| bytes(range, size)) {
            None => Portion::Whole,
            Some(range) if range.start >= size => Portion::Beyond,
            Some(range) => Portion::Part(range),
        }
    }
}

/// Whether a list of entity tags has this one, weak or not.
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The bytes that `bytes=2-5`, `bytes=2-` or `bytes=-4` names. They begin beyond the end where there are none.
fn bytes(range: &str, size: u64) -> Option<Range<u64>> {
    let (unit, range) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => {
            let count = number(last)?;
            Some(if count == 0 { size..size } else { size.saturating_sub(count)..size })
        }
        (first, "") => Some(number(first)?..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first..last.saturating_add(1).min(size))
        }
    }
}

/// A number of any length: what does not fit is beyond every end.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranged(range: &str) -> Asked {
        Asked { range: Some(range.into()), ..Asked::default() }
    }

    #[test]
    fn a_range_is_the_bytes_it_names_cut_to_the_object() {
        for (range, expected) in [
            ("bytes=0-3", 0..4),
            ("bytes=4-", 4..10),
            ("bytes=-4", 6..10),
            ("bytes=-40", 0..10),
            ("Bytes = 9-9", 9..10),
            ("bytes=8-99999999999999999999999", 8..10),
        ] {
            assert_eq!(ranged(range).portion("\"e\"", 10), Portion::Part(expected), "{range}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_is_said_to_be_and_one_that_means_nothing_is_ignored() {
        for range in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(ranged(range).portion("\"e\"", 10), Portion::Beyond, "{range}");
        }
        assert_eq!(ranged("bytes=0-").portion("\"e\"", 0), Portion::Beyond);
        for range in ["bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=1-2,4-5", "lines=1-2", "bytes=+1-2", "1-2"]
        {
            assert_eq!(ranged(range).portion("\"e\"", 10), Portion::Whole, "{range}");
        }
    }

    #[test]
    fn a_part_of_other_bytes_is_never_sent_and_known_bytes_are_not_sent_again() {
        let since = |tag: &str| Asked { if_range: Some(tag.into()), ..ranged("bytes=0-3") };
        assert_eq!(since("\"e\"").portion("\"e\"", 10), Portion::Part(0..4));
        for other in ["\"f\"", "W/\"e\"", "Sat, 01 Jan 2028 00:00:00 GMT"] {
            assert_eq!(since(other).portion("\"e\"", 10), Portion::Whole, "{other}");
        }
        let knowing = |tags: &str| Asked { if_none_match: Some(tags.into()), ..ranged("bytes=0-3") };
        for known in ["\"e\"", "\"a\", W/\"e\"", "*"] {
            assert_eq!(knowing(known).portion("\"e\"", 10), Portion::Unchanged, "{known}");
        }
        assert_eq!(knowing("\"f\"").portion("\"e\"", 10), Portion::Part(0..4));
    }
}
