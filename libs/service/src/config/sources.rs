use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where configuration comes from, the weakest first: a file, the environment, the command line.
#[derive(Clone, Default)]
pub struct Sources {
    pub(super) file: Option<PathBuf>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) flags: Vec<Flag>,
}

/// What the command line says of one key.
#[derive(Clone)]
pub(super) struct Flag {
    pub name: String,
    /// `section.key`.
    pub path: String,
    pub value: String,
}

impl Sources {
    /// None: every key has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// This process's environment, and `file` or else `cairn.toml` here if there is one.
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let file = file.or_else(|| Some(PathBuf::from("cairn.toml")).filter(|path| path.exists()));
        let variables = std::env::vars_os();
        // What is no text cannot be a value of ours, and its name is somebody else's.
        let environment =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let sources = Self::new().with_environment(environment);
        file.into_iter().fold(sources, Self::with_file)
    }

    /// A file to read. It must exist.
    pub fn with_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Variables as the environment has them.
    pub fn with_environment<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The value of `section.key`, from the flag of that name. Stronger than everything else.
    pub fn with_flag(mut self, name: &str, path: &str, value: impl Into<String>) -> Self {
        self.flags.push(Flag { name: name.to_owned(), path: path.to_owned(), value: value.into() });
        self
    }
}

/// Names only: among the values are secrets.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags: Vec<&str> = self.flags.iter().map(|flag| flag.path.as_str()).collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("flags", &flags)
            .finish()
    }
}
