//! What people write on models and versions: names, tags, aliases.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_kernel::newtype;

/// Longest key of a tag, hyper-parameter or metric, in bytes.
pub const KEY_BYTES_MAX: usize = 250;
/// Longest value of a tag, in characters.
pub const TAG_CHARS_MAX: usize = 100_000;
/// Longest value of a hyper-parameter, in characters.
pub const HYPERPARAMETER_CHARS_MAX: usize = 6000;
/// Longest notes of a model or version, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 100_000;
/// Longest display name of a model, in characters.
pub const DISPLAY_NAME_CHARS_MAX: usize = 500;
/// Longest alias, in characters.
pub const ALIAS_CHARS_MAX: usize = 255;
/// Longest address, id or framework of a version, in characters.
pub const SOURCE_CHARS_MAX: usize = 2000;
/// Longest comment on a promotion, in characters.
pub const COMMENT_CHARS_MAX: usize = 4000;
/// Most tags of one model or version, and most hyper-parameters and metrics of a version. They stand in one state, which
/// is kept in memory while it is being written.
pub const ENTRIES_MAX: usize = 1000;
/// Most columns or tensors on either side of a signature.
pub const TENSORS_MAX: usize = 2000;
/// Most aliases of one model.
pub const ALIASES_MAX: usize = 1000;
/// Most promotions of one model that wait at the same time.
pub const OPEN_PROMOTIONS_MAX: usize = 100;
/// Most moves of one promotion.
pub const MOVES_MAX: usize = 100;

/// Names of tags that mean something to us.
pub mod tag {
    /// Marks what MLflow's clients keep among the models without its being one.
    pub const IS_PROMPT: &str = "mlflow.prompt.is_prompt";
}

/// Values by key. Shared, because states are copied for every command and most commands change none of it.
pub type Pairs = Arc<BTreeMap<String, String>>;

newtype!(
    /// The name of a tag, hyper-parameter or metric: letters, digits, `_ - . : /` and spaces, and a path that means itself.
    Key,
    "key (1 to 250 bytes of letters, digits, `_-.:/` and spaces that are not another name's path)",
    is_key
);

newtype!(
    /// What people call a model.
    DisplayName,
    "display name (1 to 500 characters without `/` and `:`, and neither blank nor dots)",
    |text| {
        let is_dots = matches!(text, "." | "..");
        !text.trim().is_empty() && text.chars().count() <= DISPLAY_NAME_CHARS_MAX && !text.contains(['/', ':']) && !is_dots
    }
);

newtype!(
    /// A name that points at one version, and can point at another later. Not what could be taken for a version's number.
    Alias,
    "alias (1 to 255 letters, digits, `_` and `-`; not `latest`, and not like `v1`)",
    |text| is_alias(text) && !is_reserved(text)
);

fn is_key(text: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "_-.:/ ".contains(c);
    let is_normal = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    text.len() <= KEY_BYTES_MAX && text.chars().all(is_plain) && text.split('/').all(is_normal)
}

/// Whether a text has an alias's letters.
pub fn is_alias(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().count() <= ALIAS_CHARS_MAX && text.chars().all(is_word)
}

/// Whether a text with an alias's letters means something else.
pub fn is_reserved(text: &str) -> bool {
    let number = text.strip_prefix(['v', 'V']);
    let is_number = number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    is_number || text.eq_ignore_ascii_case(LATEST)
}

/// Stands for the newest version wherever an alias is looked up.
pub const LATEST: &str = "latest";

/// What of `set` is new or different, and what of `delete` is there.
pub(crate) fn changes(
    current: &BTreeMap<String, String>,
    set: BTreeMap<String, String>,
    delete: Vec<String>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let deleted = delete.into_iter().filter(|key| current.contains_key(key) && !set.contains_key(key)).collect();
    let changed = set.into_iter().filter(|(key, value)| current.get(key) != Some(value)).collect();
    (changed, deleted)
}

/// How many there are afterwards.
pub(crate) fn count_after(
    current: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    deleted: &[String],
) -> usize {
    current.len() - deleted.len() + set.keys().filter(|key| !current.contains_key(*key)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_no_version_and_not_the_latest() {
        for alias in ["champion", "a-b_c", "v", "v1x", "x1", "é", "latest2", "1"] {
            assert!(alias.parse::<Alias>().is_ok(), "{alias:?} was refused");
        }
        for alias in ["", "v1", "V22", "latest", "LATEST", "a b", "a/b", "a.b", &"a".repeat(256)] {
            assert!(alias.parse::<Alias>().is_err(), "{alias:?} was accepted");
        }
    }

    #[test]
    fn a_display_name_is_no_address() {
        for name in ["fraud", "fraud detector", "a.b", "é", "50%"] {
            assert!(name.parse::<DisplayName>().is_ok(), "{name:?} was refused");
        }
        for name in ["", "  ", "a/b", "a:b", ".", "..", &"a".repeat(501)] {
            assert!(name.parse::<DisplayName>().is_err(), "{name:?} was accepted");
        }
    }
}
