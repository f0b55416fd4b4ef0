use std::str::FromStr;

use cairn_registry::model::function::{FunctionId, LATEST, VersionId};

use crate::cli::exit::Unusable;

/// A function that is wanted: `FUNCTION[@VERSION]`, or `hub://HUB/FUNCTION[@VERSION]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    hub: Option<String>,
    pub function: String,
    /// Absent: the version published last.
    pub version: Option<String>,
}

impl FromStr for Wanted {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        let unusable = |problem: String| Unusable(format!("{text:?} names no function: {problem}"));
        let (hub, rest) = match text.strip_prefix("hub://") {
            None => (None, text),
            Some(rest) => {
                let (hub, rest) = rest
                    .split_once('/')
                    .ok_or_else(|| unusable("it must be like hub://HUB/FUNCTION[@VERSION]".to_owned()))?;
                (Some(hub.to_owned()), rest)
            }
        };
        let (function, version) = match rest.split_once('@') {
            Some((function, version)) => (function, Some(version).filter(|version| *version != LATEST)),
            None => (rest, None),
        };
        function.parse::<FunctionId>().map_err(|fault| unusable(fault.to_string()))?;
        if let Some(version) = version {
            version.parse::<VersionId>().map_err(|fault| unusable(fault.to_string()))?;
        }
        Ok(Self { hub, function: function.to_owned(), version: version.map(str::to_owned) })
    }
}

impl Wanted {
    /// The hub it names, or the one that was named beside it.
    pub fn hub<'a>(&'a self, beside: Option<&'a str>) -> Result<Option<&'a str>, Unusable> {
        match (self.hub.as_deref(), beside) {
            (Some(own), Some(other)) if own != other => {
                Err(Unusable(format!("the address names the hub {own}, and --hub says {other}")))
            }
            (own, other) => Ok(own.or(other)),
        }
    }

    /// As people say it.
    pub fn shown(&self) -> String {
        match &self.version {
            Some(version) => format!("{}@{version}", self.function),
            None => self.function.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(hub: Option<&str>, function: &str, version: Option<&str>) -> Wanted {
        Wanted { hub: hub.map(str::to_owned), function: function.into(), version: version.map(str::to_owned) }
    }

    #[test]
    fn a_function_is_named_with_or_without_its_hub_and_version() {
        for (text, expected) in [
            ("train", wanted(None, "train", None)),
            ("train@1.0", wanted(None, "train", Some("1.0"))),
            ("train@latest", wanted(None, "train", None)),
            ("hub://private/train", wanted(Some("private"), "train", None)),
            ("hub://private/train@1.0+a", wanted(Some("private"), "train", Some("1.0+a"))),
        ] {
            assert_eq!(text.parse::<Wanted>().unwrap(), expected);
        }
        for text in ["", "a/b", "../x", "hub://private", "hub://private/", "hub://private/a/b", "a@", "a@../b", "-a"] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }

    #[test]
    fn two_hubs_cannot_be_meant() {
        let wanted: Wanted = "hub://one/f".parse().unwrap();
        assert_eq!(wanted.hub(Some("one")).unwrap(), Some("one"));
        assert!(wanted.hub(Some("two")).is_err());
    }
}
