//! The engines that the log can be kept in, by the names that settings know them by.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use cairn_contract::Contract;
use cairn_eventstore::EventStore;
use cairn_eventstore_jsonl::{Jsonl, Readable};
use cairn_eventstore_kurrentdb::Kurrent;
use cairn_eventstore_postgres::Postgres;
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::{Clock, SystemClock};
use cairn_service::config::Loaded;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Config, Folder};

/// Opens a log: with what settings say, in the data folder or wherever else it is kept.
type Engine = Arc<dyn for<'a> Fn(&'a Loaded, &'a Folder) -> Opening<'a> + Send + Sync>;

/// An engine about to give its log.
pub type Opening<'a> = BoxFuture<'a, anyhow::Result<Arc<dyn EventStore>>>;

/// The engines there are. `server.event_store` says which is used.
///
/// A program of somebody else that brings an engine of its own is a `main` of one line:
///
/// ```no_run
/// use std::sync::Arc;
///
/// use cairn::suite::Engines;
/// use cairn_eventstore::{EventStore, Memory};
///
/// fn main() -> std::process::ExitCode {
///     let engines = Engines::default().with("memory", |_settings, _folder| {
///         Box::pin(async { Ok(Arc::new(Memory::new()) as Arc<dyn EventStore>) })
///     });
///     cairn::cli::main(engines)
/// }
/// ```
#[derive(Clone)]
pub struct Engines(BTreeMap<&'static str, Engine>);

impl Default for Engines {
    /// Those that come with the suite.
    fn default() -> Self {
        Self(BTreeMap::new())
            .with("sqlite", sqlite)
            .with("postgres", postgres)
            .with("kurrentdb", kurrentdb)
            .with("jsonl", jsonl)
    }
}

impl Engines {
    /// With one more, or with another in the place of one.
    #[must_use]
    pub fn with(
        mut self,
        name: &'static str,
        open: impl for<'a> Fn(&'a Loaded, &'a Folder) -> Opening<'a> + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(name, Arc::new(open));
        self
    }

    /// Whether processes can share the log that settings name.
    pub fn is_shared(loaded: &Loaded) -> anyhow::Result<bool> {
        Ok(!matches!(chosen(loaded)?.as_str(), "sqlite" | "jsonl"))
    }

    /// The engine that settings name, or that follows from them.
    pub fn chosen(loaded: &Loaded) -> anyhow::Result<String> {
        chosen(loaded)
    }

    /// Opens the log in the engine that settings name.
    pub async fn open(&self, loaded: &Loaded, folder: &Folder) -> anyhow::Result<Arc<dyn EventStore>> {
        let name = chosen(loaded)?;
        let Some(engine) = self.0.get(name.as_str()) else {
            let known: Vec<_> = self.0.keys().copied().collect();
            bail!("server.event_store is {name:?}, and this program knows {}", known.join(", "));
        };
        engine(loaded, folder).await
    }
}

/// The engine that settings name, or that follows from them.
fn chosen(loaded: &Loaded) -> anyhow::Result<String> {
    let postgres = loaded.get::<cairn_eventstore_postgres::Config>().url;
    let kurrentdb = loaded.get::<cairn_eventstore_kurrentdb::Config>().url;
    let named = [
        ("postgres", "events_postgres.url (DATABASE_URL)", postgres),
        ("kurrentdb", "events_kurrentdb.url (KURRENTDB_URL)", kurrentdb),
    ];
    let mut named = named.into_iter().filter(|(_, _, url)| !url.expose().is_empty());
    match (loaded.get::<Config>().event_store.as_str(), named.next(), named.next()) {
        ("", None, _) => Ok("sqlite".to_owned()),
        ("", Some((engine, ..)), None) => Ok(engine.to_owned()),
        // The other may be of use otherwise: read models are kept in PostgreSQL too.
        ("", Some((_, one, _)), Some((_, other, _))) => {
            bail!("{one} and {other} are both given: say in server.event_store where the log is")
        }
        // Whoever names a database relies on it.
        (name @ ("sqlite" | "jsonl"), Some((_, url, _)), _) => {
            bail!("server.event_store is {name:?}, so {url} would not be used: unset one of them")
        }
        (name, ..) => Ok(name.to_owned()),
    }
}

/// What an engine leaves in the data folder, by the ends of its names.
pub(super) const TRACES: &[&str] = &["db", "jsonl", "kurrentdb", "postgres"];

/// Refuses to begin an empty log where another engine has kept one: all that is there would seem to be gone.
fn begin_or_go_on(folder: &Folder, ours: &str) -> anyhow::Result<PathBuf> {
    let path = folder.events(ours);
    let others = TRACES.iter().filter(|trace| **trace != ours).map(|trace| folder.events(trace));
    if let Some(other) = others.filter(|_| !path.exists()).find(|other| other.exists()) {
        bail!(
            "{} holds a log that another engine keeps: set server.event_store back, or use another data folder",
            other.display()
        );
    }
    Ok(path)
}

/// The embedded database.
pub fn sqlite<'a>(loaded: &'a Loaded, folder: &'a Folder) -> Opening<'a> {
    async {
        let mut config = loaded.get::<cairn_eventstore_sqlite::Config>();
        if config.path.as_os_str().is_empty() {
            config.path = begin_or_go_on(folder, "db")?;
        }
        Ok(Arc::new(Sqlite::open(&config, clock())?) as Arc<dyn EventStore>)
    }
    .boxed()
}

/// A file of JSON Lines.
pub fn jsonl<'a>(loaded: &'a Loaded, folder: &'a Folder) -> Opening<'a> {
    async {
        let mut config = loaded.get::<cairn_eventstore_jsonl::Config>();
        if config.path.as_os_str().is_empty() {
            config.path = begin_or_go_on(folder, "jsonl")?;
        }
        let contract = Contract::embedded().map_err(|violations| anyhow!("{violations}"))?;
        let readable: Readable = Arc::new(move |kind, payload| contract.event_json(kind, payload).ok());
        // A long file takes a while to read.
        let opened = tokio::task::spawn_blocking(move || Jsonl::open(&config, clock(), readable)).await?;
        Ok(Arc::new(opened?) as Arc<dyn EventStore>)
    }
    .boxed()
}

/// A database of PostgreSQL. What else is in the data folder was made from one log and belongs to it, so the folder remembers
/// which one that is; and since others may write to the log, it is the folder that one process has for itself.
pub fn postgres<'a>(loaded: &'a Loaded, folder: &'a Folder) -> Opening<'a> {
    async {
        let trace = begin_or_go_on(folder, "postgres")?;
        let lock = lock_shared(folder)?;
        let opened = Postgres::open(&loaded.get(), clock()).await?.holding(lock);
        remember(&trace, &opened.log().to_string()).with_context(|| format!("{}", trace.display()))?;
        Ok(Arc::new(opened) as Arc<dyn EventStore>)
    }
    .boxed()
}

/// KurrentDB, or another Cairn that speaks its protocol. The copy of the log is in the data folder, and knows which log it is of.
pub fn kurrentdb<'a>(loaded: &'a Loaded, folder: &'a Folder) -> Opening<'a> {
    async {
        let mut config = loaded.get::<cairn_eventstore_kurrentdb::Config>();
        if config.path.as_os_str().is_empty() {
            config.path = begin_or_go_on(folder, "kurrentdb")?;
        }
        let lock = lock_shared(folder)?;
        let opened = Kurrent::open(&config, &loaded.get(), clock()).await?.holding(lock);
        Ok(Arc::new(opened) as Arc<dyn EventStore>)
    }
    .boxed()
}

/// Takes a folder for this process whose log others may write to as well.
pub(crate) fn lock_shared(folder: &Folder) -> anyhow::Result<fs::File> {
    lock(&folder.events("postgres.lock"))
}

/// Takes a folder for this process, until what is given is dropped or the process ends.
fn lock(path: &Path) -> anyhow::Result<fs::File> {
    let folder = path.parent().context("it has no folder")?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = fs::File::create(path).with_context(|| format!("{}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!("the data folder is in use by another process ({})", path.display()),
        Err(fs::TryLockError::Error(fault)) => Err(fault).with_context(|| format!("{}", path.display())),
    }
}

/// Notes which log a folder belongs to, or sees that it is still the same.
pub(super) fn remember(trace: &Path, log: &str) -> anyhow::Result<()> {
    if let Some(known) = trace.exists().then(|| fs::read_to_string(trace)).transpose()? {
        if known.trim() != log {
            bail!(
                "this data folder belongs to log {}, and the database holds {log}: use another data folder",
                known.trim()
            );
        }
        return Ok(());
    }
    let begun = trace.with_extension("postgres.new");
    let mut file = fs::File::create(&begun)?;
    writeln!(file, "{log}")?;
    file.sync_all()?;
    Ok(fs::rename(begun, trace)?)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

#[cfg(test)]
mod tests {
    use cairn_service::config::Sources;

    use super::super::config::registry;
    use super::*;

    #[tokio::test]
    async fn no_engine_begins_a_log_where_another_has_kept_one() {
        for (first, second) in [("sqlite", "jsonl"), ("jsonl", "sqlite")] {
            let folder = tempfile::tempdir().unwrap();
            let folder = Folder::open(folder.path()).unwrap();
            let open = async |name: &str| {
                let loaded = registry().load(&Sources::new().with_environment([("EVENT_STORE", name)])).unwrap();
                Engines::default().open(&loaded, &folder).await
            };
            drop(open(first).await.unwrap());
            let refused = open(second).await.err().unwrap().to_string();
            assert!(refused.contains("another engine"), "{refused}");
            open(first).await.unwrap();
        }
    }

    #[test]
    fn a_database_chooses_its_engine_and_nobody_else_leaves_it_unused() {
        let chosen_by = |environment: &[(&str, &str)]| {
            chosen(&registry().load(&Sources::new().with_environment(environment.iter().copied())).unwrap())
        };
        let url = ("DATABASE_URL", "postgres://ada:hunter2@localhost/cairn");
        assert_eq!(chosen_by(&[]).unwrap(), "sqlite");
        assert_eq!(chosen_by(&[url]).unwrap(), "postgres");
        assert_eq!(chosen_by(&[url, ("EVENT_STORE", "postgres")]).unwrap(), "postgres");
        assert_eq!(chosen_by(&[("EVENT_STORE", "jsonl")]).unwrap(), "jsonl");
        let refused = chosen_by(&[url, ("EVENT_STORE", "jsonl")]).unwrap_err().to_string();
        assert!(refused.contains("DATABASE_URL") && !refused.contains("hunter2"), "{refused}");
        let other = ("KURRENTDB_URL", "kurrentdb://ada:hunter2@localhost:2113?tls=false");
        assert_eq!(chosen_by(&[other]).unwrap(), "kurrentdb");
        assert_eq!(chosen_by(&[url, other, ("EVENT_STORE", "kurrentdb")]).unwrap(), "kurrentdb");
        let refused = chosen_by(&[url, other]).unwrap_err().to_string();
        assert!(refused.contains("server.event_store") && !refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_database_of_another_kind_is_refused_without_its_password() {
        let sources = Sources::new().with_environment([("DATABASE_URL", "mysql://ada:hunter2@localhost/cairn")]);
        let refused = registry().load(&sources).err().unwrap().to_string();
        assert!(refused.contains("events_postgres.url must begin with postgres://"), "{refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[tokio::test]
    async fn a_data_folder_belongs_to_one_log_wherever_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        let trace = begin_or_go_on(&folder, "postgres").unwrap();
        let lock_file = trace.with_extension("postgres.lock");
        let held = lock(&lock_file).unwrap();
        assert!(lock(&lock_file).unwrap_err().to_string().contains("in use by another process"));
        drop(held);
        lock(&lock_file).unwrap();
        remember(&trace, "one").unwrap();
        remember(&begin_or_go_on(&folder, "postgres").unwrap(), "one").unwrap();
        assert!(remember(&trace, "two").unwrap_err().to_string().contains("belongs to log one"));
        let loaded = registry().load(&Sources::new()).unwrap();
        let refused = Engines::default().open(&loaded, &folder).await.err().unwrap().to_string();
        assert!(refused.contains("another engine"), "{refused}");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_known_is_refused_with_those_that_are() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Folder::open(folder.path()).unwrap();
        let loaded = registry().load(&Sources::new().with_environment([("EVENT_STORE", "oracle")])).unwrap();
        let refused = Engines::default().open(&loaded, &folder).await.err().unwrap();
        assert_eq!(
            refused.to_string(),
            r#"server.event_store is "oracle", and this program knows jsonl, kurrentdb, postgres, sqlite"#
        );
    }
}
