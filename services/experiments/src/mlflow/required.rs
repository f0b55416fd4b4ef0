//! What MLflow's server demands of a request's fields, in its words.

use tonic::Status;

use super::fault::{invalid, missing};
use crate::model::entry::{KEY_BYTES_MAX, Key};

/// Longest id of a run or logged model.
const ID_CHARS_MAX: usize = 256;

/// A text that must be there and not be empty.
pub(super) fn required<'a>(parameter: &str, value: &'a Option<String>) -> Result<&'a str, Status> {
    value.as_deref().filter(|text| !text.is_empty()).ok_or_else(|| missing(parameter))
}

/// A run's id, which clients may send under its old name.
pub(super) fn run_id<'a>(run_id: &'a Option<String>, run_uuid: &'a Option<String>) -> Result<&'a str, Status> {
    required("run_id", run_id).or_else(|fault| required("run_uuid", run_uuid).map_err(|_| fault))
}

/// Whether a text can be the id of a run or logged model: what is none names no stream either.
pub(super) fn is_id(id: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    id.len() <= ID_CHARS_MAX
        && id.bytes().all(is_word)
        && id.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

/// Whether a text can name a metric, param or tag. `parameter` is how the message calls it.
pub(super) fn check_key(parameter: &str, key: &str) -> Result<(), Status> {
    if key.parse::<Key>().is_ok() {
        return Ok(());
    }
    let problem = if key.len() > KEY_BYTES_MAX {
        format!("'{parameter}' exceeds the maximum length of {KEY_BYTES_MAX} characters")
    } else if key.chars().any(|letter| !letter.is_alphanumeric() && !"_-.:/ ".contains(letter)) {
        format!(
            "Invalid value \"{key}\" for parameter '{parameter}' supplied: Names may only contain alphanumerics, \
             underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )
    } else {
        format!(
            "Invalid value \"{key}\" for parameter '{parameter}' supplied: Names may be treated as files in certain \
             cases, and must not resolve to other names when treated as such."
        )
    };
    Err(invalid(problem))
}

/// A page's size between 1 and `max`.
pub(super) fn page_size(value: i64, max: i64) -> Result<usize, Status> {
    let parameter = "'max_results'";
    if value < 1 {
        return Err(invalid(format!(
            "Invalid value {value} for parameter {parameter} supplied. It must be a positive integer"
        )));
    }
    if value > max {
        return Err(invalid(format!(
            "Invalid value {value} for parameter {parameter} supplied. It must be at most {max}"
        )));
    }
    Ok(value as usize)
}

/// The beginning of a text, at most so many characters of it.
pub(super) fn cut(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_at_characters_not_bytes() {
        assert_eq!(cut("äöü".into(), 2), "äö");
        assert_eq!(cut("äöü".into(), 3), "äöü");
        assert_eq!(cut(String::new(), 0), "");
    }

    #[test]
    fn only_ids_that_name_one_stream_pass() {
        for id in ["a", "0f", "m-1_x", &"a".repeat(256)] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", "-a", "_a", "a/b", "a b", "é", "a\n", &"a".repeat(257)] {
            assert!(!is_id(id), "{id:?}");
        }
    }
}
