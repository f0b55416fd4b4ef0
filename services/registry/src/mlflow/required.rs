//! What MLflow's server demands of a request's fields, in its words.

use std::collections::BTreeMap;

use tonic::Status;

use super::fault::{invalid, missing};
use crate::model::entry::{ALIAS_CHARS_MAX, KEY_BYTES_MAX, Key, TAG_CHARS_MAX, is_alias, is_reserved};
use crate::model::{Alias, DisplayName};

/// A text that must be there and not be empty.
pub(super) fn required<'a>(parameter: &str, value: &'a Option<String>) -> Result<&'a str, Status> {
    value.as_deref().filter(|text| !text.is_empty()).ok_or_else(|| missing(parameter))
}

/// What a model is called.
pub(super) fn model_name(parameter: &str, value: &Option<String>) -> Result<DisplayName, Status> {
    let name = required(parameter, value)?;
    if name.trim().is_empty() {
        return Err(missing("name"));
    }
    if name.contains(['/', ':']) {
        return Err(invalid(format!("Invalid model name '{name}'. Names cannot contain '/' or ':'.")));
    }
    name.parse().map_err(|_| {
        invalid(format!(
            "Invalid value \"{name}\" for parameter 'name' supplied: Names may be treated as files in certain cases, \
             must not resolve to other names when treated as such, and have at most 500 characters."
        ))
    })
}

/// The number of a version. `None`: a number that no version has.
pub(super) fn version_number(value: &Option<String>) -> Result<Option<u32>, Status> {
    let text = required("version", value)?;
    match text.trim().parse::<i64>() {
        Ok(number) => Ok(u32::try_from(number).ok().filter(|number| *number > 0)),
        Err(_) => Err(invalid(format!("Parameter 'version' must be an integer, got '{text}'."))),
    }
}

/// An alias that can be set.
pub(super) fn new_alias(value: &Option<String>) -> Result<Alias, Status> {
    let text = alias(value)?;
    if is_reserved(text) {
        return Err(invalid(format!("'{text}' is reserved: an alias is neither 'latest' nor like a version.")));
    }
    text.parse().map_err(|_| invalid(format!("Invalid alias name: '{text}'.")))
}

/// An alias that may be there.
pub(super) fn alias(value: &Option<String>) -> Result<&str, Status> {
    let text = required("alias", value)?;
    if text.chars().count() > ALIAS_CHARS_MAX {
        return Err(invalid(format!(
            "'Registered model alias name' exceeds the maximum length of {ALIAS_CHARS_MAX} characters"
        )));
    }
    match is_alias(text) {
        true => Ok(text),
        false => Err(invalid(format!(
            "Invalid alias name: '{text}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        ))),
    }
}

/// Tags by key, the last of each.
pub(super) fn tags(given: Vec<(Option<String>, Option<String>)>) -> Result<BTreeMap<String, String>, Status> {
    let mut tags = BTreeMap::new();
    for (key, value) in given {
        let (key, value) = tag(&key, value)?;
        tags.insert(key, value);
    }
    Ok(tags)
}

/// A tag to set.
pub(super) fn tag(key: &Option<String>, value: Option<String>) -> Result<(String, String), Status> {
    let key = tag_key(key)?.to_owned();
    let value = value.unwrap_or_default();
    if value.len() > TAG_CHARS_MAX && value.chars().count() > TAG_CHARS_MAX {
        return Err(invalid(format!("'value' exceeds the maximum length of {TAG_CHARS_MAX} characters")));
    }
    Ok((key, value))
}

/// The key of a tag.
pub(super) fn tag_key(key: &Option<String>) -> Result<&str, Status> {
    let key = required("key", key)?;
    if key.parse::<Key>().is_ok() {
        return Ok(key);
    }
    if key.len() > KEY_BYTES_MAX {
        return Err(invalid(format!("'key' exceeds the maximum length of {KEY_BYTES_MAX} characters")));
    }
    Err(invalid(format!(
        "Invalid value \"{key}\" for parameter 'key' supplied: Names may only contain alphanumerics, underscores (_), \
         dashes (-), periods (.), spaces ( ), colon(:) and slashes (/), and must not resolve to other names."
    )))
}

/// A page's size between 1 and `max`.
pub(super) fn page_size(value: i64, max: i64) -> Result<usize, Status> {
    if value < 1 {
        return Err(invalid(format!(
            "Invalid value {value} for parameter 'max_results' supplied. It must be a positive integer"
        )));
    }
    if value > max {
        return Err(invalid(format!(
            "Invalid value {value} for parameter 'max_results' supplied. It must be at most {max}"
        )));
    }
    Ok(value as usize)
}
