use cairn_kernel::{Name, NameFault, newtype, resource_name};

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Longest id of a secret, in bytes.
const SECRET_ID_BYTES_MAX: usize = 128;
/// Stands for the newest version that is enabled.
pub const LATEST: &str = "latest";

newtype!(
    /// `projects/{project}`
    ProjectName, "project name", |text| has_shape(text, "projects/*")
);
newtype!(
    /// `projects/{project}/environments/{environment}`, or `environments/platform` for the settings of the suite itself.
    EnvironmentName, "environment name", |text| text == PLATFORM || has_shape(text, "projects/*/environments/*")
);
newtype!(
    /// An id that people choose: 2 to 63 lower case letters, digits and dashes, beginning with a letter and not ending
    /// with a dash.
    EnvironmentId, "environment id", |text| {
        (2..=63).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    }
);
newtype!(
    /// What an entry is called: words of lower case letters, digits and underscores, with dots between them.
    Key, "key", |text| {
        let is_word = |word: &str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        text.len() <= KEY_BYTES_MAX && text.split('.').all(is_word)
    }
);
newtype!(
    /// What a secret is called within its project.
    SecretId, "secret id", |text| {
        text.len() <= SECRET_ID_BYTES_MAX
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    }
);
resource_name!(
    /// `projects/{project}/secrets/{secret}`
    SecretName, "secret name", "projects/*/secrets/*", project, secret
);
resource_name!(
    /// `projects/{project}/schemas/{key}`
    SchemaName, "schema name", "projects/*/schemas/*", project, key
);

/// `projects/{project}/secrets/{secret}/versions/{version}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionName {
    pub secret: SecretName,
    /// `None`: the newest that is enabled.
    pub number: Option<u32>,
}

/// Where the settings of the suite itself are.
const PLATFORM: &str = "environments/platform";

impl EnvironmentName {
    /// An environment of a scope.
    pub fn of(scope: &Name, id: &EnvironmentId) -> Self {
        if scope.is_root() {
            Self::stored(format!("environments/{id}"))
        } else {
            Self::stored(format!("{scope}/environments/{id}"))
        }
    }

    /// That of the settings of the suite itself.
    pub fn platform() -> Self {
        Self::stored(PLATFORM)
    }

    /// Whether it is that one.
    pub fn is_platform(&self) -> bool {
        self.as_str() == PLATFORM
    }

    /// Where it lies, and its entries with it: `projects/{project}`.
    pub fn scope(&self) -> Name {
        self.as_str().parse::<Name>().ok().and_then(|name| name.parent()).unwrap_or_default()
    }

    /// Its id.
    pub fn id(&self) -> EnvironmentId {
        EnvironmentId::stored(self.as_str().rsplit('/').next().unwrap_or_default())
    }

    /// The name of an entry.
    pub fn entry(&self, key: &str) -> String {
        format!("{self}/entries/{key}")
    }

    /// The name of a revision.
    pub fn revision(&self, number: u32) -> String {
        format!("{self}/revisions/{number}")
    }

    /// An environment and a key, from the name of an entry.
    pub fn of_entry(text: &str) -> Result<(Self, Key), NameFault> {
        let (environment, key) = text.rsplit_once("/entries/").ok_or_else(|| NameFault::invalid("entry name", text))?;
        Ok((environment.parse()?, key.parse()?))
    }
}

impl SchemaName {
    /// Where it counts.
    pub fn scope(&self) -> Name {
        self.name().parent().unwrap_or_default()
    }
}

impl SecretName {
    /// A version, by its number.
    pub fn version(&self, number: u32) -> String {
        format!("{self}/versions/{number}")
    }

    /// What the value of a version is sealed for.
    pub fn subject(&self, number: u32) -> Name {
        self.version(number).parse().expect("the name of a version is one")
    }
}

impl std::str::FromStr for VersionName {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let invalid = || NameFault::invalid("name of a secret's version", text);
        let (secret, number) = text.rsplit_once("/versions/").ok_or_else(invalid)?;
        let secret = secret.parse().map_err(|_| invalid())?;
        // One spelling for each: `01` and `+1` are none.
        let parsed = number.parse::<u32>().ok().filter(|parsed| *parsed > 0 && parsed.to_string() == number);
        match (number, parsed) {
            (LATEST, _) => Ok(Self { secret, number: None }),
            (_, Some(number)) => Ok(Self { secret, number: Some(number) }),
            _ => Err(invalid()),
        }
    }
}

fn has_shape(text: &str, pattern: &str) -> bool {
    text.parse::<Name>().is_ok_and(|name| name.matches(pattern).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_words_with_dots_between_them() {
        for good in ["a", "batch_size", "model.threshold", "a1.b_2"] {
            assert!(good.parse::<Key>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "1a", "a-b", "a b", "a/b", &"a".repeat(129)] {
            assert!(bad.parse::<Key>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_is_a_number_written_one_way_or_the_latest() {
        let number = |text: &str| {
            format!("projects/p/secrets/s/versions/{text}").parse::<VersionName>().map(|version| version.number)
        };
        assert_eq!(number("7"), Ok(Some(7)));
        assert_eq!(number("latest"), Ok(None));
        for bad in ["0", "07", "-1", "+1", "x", "4294967296", ""] {
            assert!(number(bad).is_err(), "{bad}");
        }
        assert!("projects/p/versions/1".parse::<VersionName>().is_err());
    }

    #[test]
    fn an_environment_knows_where_it_lies() {
        let name: EnvironmentName = "projects/p/environments/dev".parse().unwrap();
        assert_eq!((name.scope().as_str(), name.id().as_str()), ("projects/p", "dev"));
        let (environment, key) = EnvironmentName::of_entry("projects/p/environments/dev/entries/a.b").unwrap();
        assert_eq!((environment, key.as_str()), (name, "a.b"));
        assert!(EnvironmentName::of_entry("projects/p/environments/dev").is_err());
        assert!("projects/p/environments/dev/x/y".parse::<EnvironmentName>().is_err());
    }
}
