use std::str::FromStr;

use super::{Json, SecretName};

/// How a text begins that refers to a secret.
const SCHEME: &str = "secret://";

/// A secret that a value refers to: `secret://projects/{project}/secrets/{secret}[@{version}]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub secret: SecretName,
    /// `None`: the newest that is enabled.
    pub version: Option<u32>,
}

impl Reference {
    /// What a value refers to; or the text of it that means to refer to something and does not.
    pub fn all_in(value: &Json) -> Result<Vec<Self>, String> {
        let meant = value.texts().into_iter().filter(|text| text.starts_with(SCHEME));
        meant.map(|text| text.parse().map_err(|()| text.to_owned())).collect()
    }
}

impl FromStr for Reference {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix(SCHEME).ok_or(())?;
        // An id holds no `@`.
        let (secret, version) = rest.split_once('@').map_or((rest, None), |(secret, version)| (secret, Some(version)));
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0).ok_or(());
        Ok(Self { secret: secret.parse().map_err(|_| ())?, version: version.map(number).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_however_deep_and_broken_ones_are_named() {
        let value = json!({"url": "https://x", "auth": ["secret://projects/p/secrets/key@3", "none"]});
        let found = Reference::all_in(&value.into()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].secret.as_str(), found[0].version), ("projects/p/secrets/key", Some(3)));
        for broken in
            ["secret://", "secret://key", "secret://projects/p/secrets/key@", "secret://projects/p/secrets/k@0"]
        {
            assert_eq!(Reference::all_in(&json!(broken).into()), Err(broken.to_owned()));
        }
        assert_eq!(Reference::all_in(&json!(7).into()), Ok(vec![]));
    }
}
