use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use config::{Config, File, FileFormat, Map, Value, ValueKind};

use super::environment::{self, Environment};
use super::nearest::nearest;
use super::sources::Sources;
use super::unavailable::UNAVAILABLE;
use super::{Key, Section};

const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// All that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

/// The sections of a program: declared with [`Registry::with`], then loaded from [`Sources`].
#[derive(Default)]
pub struct Registry {
    sections: Vec<Declared>,
}

/// A section without its type.
struct Declared {
    name: &'static str,
    doc: String,
    keys: Vec<Key>,
    defaults: serde_json::Value,
    type_id: TypeId,
    /// Whether these values have the types of their keys.
    fits: fn(Map<String, Value>) -> Result<(), String>,
    read: fn(Map<String, Value>) -> Result<Read, Vec<String>>,
}

/// A section's values, typed and as they are shown.
#[derive(Clone)]
struct Read {
    typed: Arc<dyn Any + Send + Sync>,
    shown: serde_json::Value,
}

/// A configuration that is right.
#[derive(Clone)]
pub struct Loaded {
    sections: HashMap<TypeId, Read>,
    origins: BTreeMap<String, String>,
    /// What it was loaded from, to load it again with something said on top.
    sources: Sources,
}

impl Registry {
    /// Without sections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a crate's section.
    pub fn with<S: Section>(mut self) -> Self {
        debug_assert!(self.sections.iter().all(|section| section.name != S::NAME), "two sections named {}", S::NAME);
        self.sections.push(Declared {
            name: S::NAME,
            doc: S::doc(),
            keys: S::keys(),
            defaults: serde_json::to_value(S::default()).unwrap_or_default(),
            type_id: TypeId::of::<S>(),
            fits: |table| typed::<S>(table).map(drop),
            read: read::<S>,
        });
        self
    }

    /// Reads all sections, or reports everything that is wrong with any of them.
    pub fn load(&self, sources: &Sources) -> Result<Loaded, Problems> {
        let mut problems = self.unavailable(&sources.environment);
        for name in Environment::unknown(&sources.environment, self.keys()) {
            let names: Vec<String> = self.environment_names();
            problems.push(format!("{name} sets no key{}", did_you_mean(name, names.iter().map(String::as_str))));
        }
        for (name, near) in environment::misspelt(&sources.environment, self.keys()) {
            problems.push(format!("{name} sets no key; did you mean {near}? Unset it if not"));
        }
        let values = match self.collect(sources) {
            Ok(values) => values,
            Err(fault) => {
                problems.push(fault.to_string());
                return Err(Problems(problems));
            }
        };
        let mut loaded = Loaded { sections: HashMap::new(), origins: BTreeMap::new(), sources: sources.clone() };
        let mut tables = self.split(values, &mut problems);
        let file = sources.file.as_deref();
        for section in &self.sections {
            let mut table = tables.remove(section.name).unwrap_or_default();
            section.resolve_secrets(&mut table, &mut problems);
            section.check_keys(&mut table, &mut problems);
            for (key, value) in &table {
                let origin = value.origin().unwrap_or_default();
                // The file is told as it was named, not as it lies to the folder that the program happens to be in.
                let is_of_file = value.origin().is_some_and(|origin| file.is_some_and(|file| is_same(file, origin)));
                let origin =
                    file.filter(|_| is_of_file).map_or_else(|| origin.to_owned(), |file| file.display().to_string());
                loaded.origins.insert(format!("{}.{key}", section.name), origin);
            }
            match (section.read)(table) {
                Ok(read) => drop(loaded.sections.insert(section.type_id, read)),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
    }

    /// The keys that may change while the program runs: `section.key`, and what each means.
    pub fn reloadable(&self) -> Vec<(String, String)> {
        let keys = self.keys().filter(|(_, key)| key.is_reloadable);
        keys.map(|(section, key)| (format!("{section}.{}", key.name), key.doc.clone())).collect()
    }

    /// What `loaded` would be with these values on top, each by its `section.key`; or everything that is wrong with them.
    pub fn reload(&self, loaded: &Loaded, values: &BTreeMap<String, String>) -> Result<Loaded, Problems> {
        let sources = values.iter().fold(loaded.sources.clone(), |sources, (key, value)| {
            sources.with_flag("of the platform", key, value.as_str())
        });
        let reloaded = self.load(&sources)?;
        // What is said on top of it later is said on top of what the process was started with.
        Ok(Loaded { sources: loaded.sources.clone(), ..reloaded })
    }

    /// Every key with its section's name.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &Key)> {
        self.sections.iter().flat_map(|section| section.keys.iter().map(|key| (section.name, key)))
    }

    /// Name, documentation, and keys with their defaults, of every section.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, &str, Vec<(&Key, &serde_json::Value)>)> {
        self.sections.iter().map(|section| {
            let keys = section.keys.iter().map(|key| (key, &section.defaults[key.name])).collect();
            (section.name, section.doc.as_str(), keys)
        })
    }

    /// A key's value as it may be shown.
    pub(super) fn shown<'a>(&self, loaded: &'a Loaded, section: &str, key: &Key) -> Option<&'a serde_json::Value> {
        let declared = self.sections.iter().find(|declared| declared.name == section)?;
        loaded.sections.get(&declared.type_id)?.shown.get(key.name)
    }

    fn environment_names(&self) -> Vec<String> {
        self.keys().flat_map(|(section, key)| super::environment::names(section, key)).map(|(name, _)| name).collect()
    }

    fn unavailable(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        let declared = self.environment_names();
        let set = UNAVAILABLE.iter().filter(|unavailable| {
            environment.get(unavailable.name).is_some_and(|value| !value.is_empty())
                && !declared.iter().any(|name| name == unavailable.name)
        });
        set.map(|unavailable| format!("{} is set, but {}", unavailable.name, unavailable.why)).collect()
    }

    fn collect(&self, sources: &Sources) -> Result<Value, config::ConfigError> {
        let mut builder = Config::builder();
        if let Some(path) = &sources.file {
            builder = builder.add_source(File::from(path.as_path()).format(FileFormat::Toml).required(true));
        }
        let environment = Environment::read(&sources.environment, self.keys());
        let flags = Environment::flags(&sources.flags, self.keys());
        Ok(builder.add_source(environment).add_source(flags).build()?.cache)
    }

    /// The tables by section.
    fn split(&self, values: Value, problems: &mut Vec<String>) -> HashMap<&'static str, Map<String, Value>> {
        let mut tables = HashMap::new();
        for (name, value) in values.into_table().unwrap_or_default() {
            let origin = origin_of(&value);
            let section = self.sections.iter().find(|section| section.name == name);
            match (section, value.kind) {
                (Some(section), ValueKind::Table(table)) => drop(tables.insert(section.name, table)),
                (Some(_), _) => problems.push(format!("{name}{origin} must be a table: [{name}]")),
                (None, _) => {
                    let names = self.sections.iter().map(|section| section.name);
                    problems.push(format!("there is no section {name}{origin}{}", did_you_mean(&name, names)));
                }
            }
        }
        tables
    }
}

impl Declared {
    /// Removes what is no key, and what does not have its key's type, and says so.
    fn check_keys(&self, table: &mut Map<String, Value>, problems: &mut Vec<String>) {
        table.retain(|name, value| {
            let origin = origin_of(value);
            if !self.keys.iter().any(|key| key.name == name) {
                let names = self.keys.iter().map(|key| key.name);
                problems.push(format!("there is no key {}.{name}{origin}{}", self.name, did_you_mean(name, names)));
                return false;
            }
            // One by one, because reading them together stops at the first that does not fit.
            let fits = (self.fits)(Map::from_iter([(name.clone(), value.clone())]));
            fits.map_err(|problem| problems.push(problem)).is_ok()
        });
    }

    /// Reads secrets from the files that hold them, and refuses those that stand in the open.
    fn resolve_secrets(&self, table: &mut Map<String, Value>, problems: &mut Vec<String>) {
        for key in self.keys.iter().filter(|key| key.is_secret()) {
            let path = format!("{}.{}", self.name, key.name);
            let file_key = format!("{}_file", key.name);
            if table
                .get(key.name)
                .is_some_and(|value| !value.origin().unwrap_or_default().starts_with(environment::ORIGIN))
            {
                problems.push(format!("{path} is a secret: put it into a file and name that in {path}_file"));
                table.remove(key.name);
            }
            let Some(file) = table.remove(&file_key) else { continue };
            let origin = format!("{path}_file{}", origin_of(&file));
            match file.into_string().map_err(|fault| fault.to_string()).and_then(|file| secret(Path::new(&file))) {
                Ok(text) => {
                    let value = Value::new(Some(&origin), ValueKind::String(text));
                    table.entry(key.name.to_owned()).or_insert(value);
                }
                Err(problem) => problems.push(format!("{origin}: {problem}")),
            }
        }
    }
}

impl Loaded {
    /// A section's values.
    ///
    /// # Panics
    /// If the section was not registered: a mistake of the program, not of whoever configures it.
    pub fn get<S: Section>(&self) -> S {
        let read = self.sections.get(&TypeId::of::<S>()).expect("the section was registered");
        read.typed.downcast_ref::<S>().expect("a section is stored under its own type").clone()
    }

    /// Where a key's value comes from; `None`: it is the default.
    pub fn origin(&self, section: &str, key: &str) -> Option<&str> {
        self.origins.get(&format!("{section}.{key}")).map(String::as_str)
    }
}

/// Whether two paths lead to the same file.
fn is_same(file: &Path, other: &str) -> bool {
    let full = |path: &Path| path.canonicalize().ok();
    full(file).is_some_and(|file| full(Path::new(other)) == Some(file))
}

fn typed<S: Section>(table: Map<String, Value>) -> Result<S, String> {
    let table = Value::new(None, ValueKind::Table(table));
    table.try_deserialize().map_err(|fault| format!("{}: {fault}", S::NAME))
}

fn read<S: Section>(table: Map<String, Value>) -> Result<Read, Vec<String>> {
    let typed: S = typed(table).map_err(|problem| vec![problem])?;
    let problems = typed.problems();
    if !problems.is_empty() {
        return Err(problems.into_iter().map(|problem| format!("{}.{problem}", S::NAME)).collect());
    }
    Ok(Read { shown: serde_json::to_value(&typed).unwrap_or_default(), typed: Arc::new(typed) })
}

fn secret(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|fault| format!("{}: {fault}", path.display()))?.len();
    if size > SECRET_BYTES_MAX {
        return Err(format!("{} has {size} bytes, too many for a secret", path.display()));
    }
    let text = std::fs::read_to_string(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn origin_of(value: &Value) -> String {
    value.origin().map(|origin| format!(" (in {origin})")).unwrap_or_default()
}

fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
