use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use cairn_contract::Contract;
use cairn_eventstore::Carried;
use cairn_eventstore_jsonl::{Copied, Readable};
use cairn_eventstore_kurrentdb::Kurrent;
use cairn_eventstore_postgres::Postgres;
use cairn_eventstore_sqlite::Sqlite;
use cairn_kernel::{Secret, SystemClock};
use cairn_service::config::Loaded;
use uuid::Uuid;

use super::super::exit::{Missing, Unusable};
use crate::suite::{Engines, Folder, Trace};

/// Where a log is kept.
#[derive(Clone, Debug)]
pub enum Place {
    Sqlite(PathBuf),
    Jsonl(PathBuf),
    Postgres(Secret),
    /// With the place of this process's copy, if one is kept.
    Kurrentdb(Secret, Option<PathBuf>),
    /// A file that says where, so that no password is on a command line.
    Said(PathBuf),
}

/// A log that is open.
pub struct Log {
    pub carried: Box<dyn Carried>,
    /// Its name, where it has one.
    pub id: Option<Uuid>,
    /// What is needed only as long as it is open.
    _aside: Option<Aside>,
}

/// A folder that is gone afterwards.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix('@') {
            return Ok(Self::Said(file.into()));
        }
        let place = Self::read(text)?;
        if matches!(place, Self::Postgres(_) | Self::Kurrentdb(..)) && has_password(text) {
            return Err(
                "whoever lists processes would see the password: put the address into a file, and say @FILE".into()
            );
        }
        Ok(place)
    }
}

impl Place {
    fn read(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.trim_start_matches("//").into())),
            Some(("jsonl", path)) if !path.is_empty() => Ok(Self::Jsonl(path.trim_start_matches("//").into())),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(Secret::from(text.to_owned()))),
            Some(("kurrentdb" | "kurrentdb+discover" | "esdb" | "esdb+discover", _)) => {
                Ok(Self::Kurrentdb(Secret::from(text.to_owned()), None))
            }
            _ => Err(
                "it is none of sqlite:PATH, jsonl:PATH, postgres://…, kurrentdb://…, and @FILE with one of them in it"
                    .to_owned(),
            ),
        }
    }

    /// Where settings have the suite keep its log.
    pub fn configured(settings: &Loaded, folder: &Folder) -> anyhow::Result<Self> {
        let in_folder = |path: PathBuf, extension| match path.as_os_str().is_empty() {
            true => folder.events(extension),
            false => path,
        };
        match Engines::chosen(settings)?.as_str() {
            "sqlite" => Ok(Self::Sqlite(in_folder(settings.get::<cairn_eventstore_sqlite::Config>().path, "db"))),
            "jsonl" => Ok(Self::Jsonl(in_folder(settings.get::<cairn_eventstore_jsonl::Config>().path, "jsonl"))),
            "postgres" => Ok(Self::Postgres(settings.get::<cairn_eventstore_postgres::Config>().url)),
            "kurrentdb" => {
                let config = settings.get::<cairn_eventstore_kurrentdb::Config>();
                Ok(Self::Kurrentdb(config.url, Some(in_folder(config.path, "kurrentdb"))))
            }
            other => bail!("the log is kept by {other:?}, which does not say how it is carried"),
        }
    }

    /// Refuses a log that a data folder cannot go on with.
    pub fn check_switch(&self, folder: &Folder) -> anyhow::Result<()> {
        let is_there = match self {
            Self::Sqlite(path) => is_same(path, &folder.events("db")),
            Self::Jsonl(path) => is_same(path, &folder.events("jsonl")),
            Self::Postgres(_) | Self::Kurrentdb(..) | Self::Said(_) => true,
        };
        if is_there {
            return Ok(());
        }
        let (db, jsonl) = (folder.events("db"), folder.events("jsonl"));
        let why = format!(
            "--switch: a data folder goes on with PostgreSQL, KurrentDB, sqlite:{}, or jsonl:{}",
            db.display(),
            jsonl.display()
        );
        Err(Unusable(why).into())
    }

    /// What a data folder holds whose log is kept here.
    pub fn trace(&self) -> anyhow::Result<Trace> {
        match self {
            Self::Sqlite(_) => Ok(Trace::Sqlite),
            Self::Jsonl(_) => Ok(Trace::Jsonl),
            Self::Kurrentdb(..) => Ok(Trace::Kurrentdb),
            Self::Postgres(_) | Self::Said(_) => bail!("the log has no name"),
        }
    }

    /// Keeps in a data folder what that is to have of it.
    pub fn kept_in(self, folder: &Folder) -> Self {
        match self {
            Self::Kurrentdb(url, None) => Self::Kurrentdb(url, Some(folder.events("kurrentdb"))),
            other => other,
        }
    }

    /// With what its file says, if it is in one.
    pub fn resolved(self) -> anyhow::Result<Self> {
        let Self::Said(file) = self else { return Ok(self) };
        let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
        Self::read(text.trim()).map_err(|why| Unusable(format!("{}: {why}", file.display())).into())
    }

    /// Opens a log that must be there.
    pub async fn open(&self, settings: &Loaded) -> anyhow::Result<Log> {
        match self {
            Self::Sqlite(path) | Self::Jsonl(path) if !path.exists() => {
                Err(Missing(format!("no log at {}", path.display())).into())
            }
            Self::Jsonl(path) => {
                Ok(Log::new(copied(path.clone(), |path, readable| Copied::open(path, readable)).await?))
            }
            _ => self.begin(settings).await,
        }
    }

    /// Opens a log, or begins one.
    pub async fn begin(&self, settings: &Loaded) -> anyhow::Result<Log> {
        match self {
            Self::Sqlite(path) => {
                make_folder_of(path)?;
                let config = cairn_eventstore_sqlite::Config { path: path.clone(), ..settings.get() };
                Ok(Log::new(Sqlite::open(&config, Arc::new(SystemClock))?))
            }
            Self::Jsonl(path) => {
                make_folder_of(path)?;
                Ok(Log::new(copied(path.clone(), |path, readable| Copied::create(path, readable)).await?))
            }
            Self::Postgres(url) => {
                let config = cairn_eventstore_postgres::Config { url: url.clone(), ..settings.get() };
                let opened = Postgres::open(&config, Arc::new(SystemClock)).await?;
                Ok(Log { id: Some(opened.log()), carried: Box::new(opened), _aside: None })
            }
            Self::Kurrentdb(url, kept) => {
                let aside = kept.is_none().then(aside).transpose()?;
                let path = kept.clone().or_else(|| aside.as_ref().map(|aside| aside.0.join("copy.db")));
                let path = path.context("a copy has a place")?;
                let config = cairn_eventstore_kurrentdb::Config { url: url.clone(), path, ..settings.get() };
                let opened = Kurrent::open(&config, &settings.get(), Arc::new(SystemClock)).await?;
                Ok(Log { id: None, carried: Box::new(opened), _aside: aside })
            }
            Self::Said(_) => Box::pin(self.clone().resolved()?.begin(settings)).await,
        }
    }
}

impl Log {
    fn new(carried: impl Carried + 'static) -> Self {
        Self { carried: Box::new(carried), id: None, _aside: None }
    }
}

/// A folder of its own for what nobody needs afterwards.
fn aside() -> anyhow::Result<Aside> {
    let folder = std::env::temp_dir().join(format!("cairn-log-{}", Uuid::new_v4()));
    DirBuilder::new().mode(0o700).create(&folder).with_context(|| format!("{}", folder.display()))?;
    Ok(Aside(folder))
}

/// A file of lines takes a while to be read.
async fn copied(
    path: PathBuf,
    open: impl FnOnce(&Path, Readable) -> Result<Copied, cairn_eventstore_jsonl::OpenFault> + Send + 'static,
) -> anyhow::Result<Copied> {
    let contract = Contract::embedded().map_err(|violations| anyhow!("{violations}"))?;
    let readable: Readable = Arc::new(move |kind, payload| contract.event_json(kind, payload).ok());
    Ok(tokio::task::spawn_blocking(move || open(&path, readable)).await??)
}

/// Whether two paths are of one file, which need not be there.
fn is_same(one: &Path, other: &Path) -> bool {
    let absolute = |path: &Path| {
        let folder = path.parent()?.canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    one == other || absolute(one).is_some_and(|one| Some(one) == absolute(other))
}

fn make_folder_of(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(|| format!("{}", folder.display()))
}

/// Whether an address has a password in it, in front of the host or behind the question mark.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_taken_from_a_command_line() {
        for url in ["postgres://a:b@host/c", "postgresql://host/c?user=a&password=b", "postgres://a:b@h:5432/c?x=y"] {
            let refused = url.parse::<Place>().unwrap_err();
            assert!(refused.contains("@FILE") && !refused.contains(":b"), "{refused}");
        }
        for url in ["postgres://a@host:5432/c", "postgres://host/c?user=a", "postgres:///c?host=/run/postgresql"] {
            assert!(matches!(url.parse(), Ok(Place::Postgres(_))), "{url}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "events.db", "sqlite:", "mysql://host/db", "jsonl:"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert!(matches!("sqlite:a/b.db".parse(), Ok(Place::Sqlite(path)) if path == Path::new("a/b.db")));
        assert!(matches!("sqlite:///b.db".parse(), Ok(Place::Sqlite(path)) if path == Path::new("/b.db")));
    }
}
