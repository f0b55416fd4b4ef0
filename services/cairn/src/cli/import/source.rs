//! Where an import reads from. Whatever it is, it tells things as MLflow's REST API does: the rest does not know which.

use std::path::{Path, PathBuf};

use anyhow::bail;
use reqwest::{Body, Url};
use serde_json::Value;

use super::database::{self, Database};
use super::files::Place;
use super::server::{self, Server};
use crate::cli::exit::Unusable;

pub enum Source {
    Server(Server),
    Database(Database),
}

/// A list that comes in pages.
pub enum Pages<'a> {
    Server(server::Pages<'a>),
    Database(database::Pages<'a>),
}

impl Source {
    /// Finds out what `--from` means. A server is not asked anything yet; a database is looked at.
    pub async fn open(from: &str, artifacts: Option<&Path>) -> anyhow::Result<Self> {
        match (Address::parse(from)?, artifacts) {
            (Address::Server(_), Some(_)) => {
                bail!(Unusable("--artifacts is for a database: a server hands out its artifacts itself".to_owned()))
            }
            (Address::Server(base), None) => Ok(Self::Server(Server::open(base)?)),
            (Address::File(file), artifacts) => Ok(Self::Database(Database::open(file, artifacts).await?)),
        }
    }

    /// What it is called where things say that they come from it.
    pub fn name(&self) -> &str {
        match self {
            Self::Server(server) => server.name(),
            Self::Database(database) => database.name(),
        }
    }

    /// Refuses before anything is written what could only be taken over in part: what has been taken over is not looked
    /// at again. `experiments` are the names of those that are wanted, or none for all.
    pub async fn check(&self, experiments: &[String]) -> anyhow::Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Database(database) => database.check(experiments).await,
        }
    }

    /// What is there and is not told by any of the lists, and why.
    pub async fn beyond(&self) -> anyhow::Result<Vec<(String, String)>> {
        match self {
            Self::Server(_) => Ok(vec![]),
            Self::Database(database) => database.beyond().await,
        }
    }

    /// Experiments, deleted ones too, oldest first.
    pub fn experiments(&self) -> Pages<'_> {
        match self {
            Self::Server(server) => Pages::Server(server.experiments()),
            Self::Database(database) => Pages::Database(database.experiments()),
        }
    }

    /// Runs of an experiment, deleted ones too, oldest first.
    pub fn runs(&self, experiment: &str) -> Pages<'_> {
        match self {
            Self::Server(server) => Pages::Server(server.runs(experiment)),
            Self::Database(database) => Pages::Database(database.runs(experiment)),
        }
    }

    /// Every point of every metric of a run, in the same order each time.
    pub fn points(&self, run: &Value) -> Pages<'_> {
        match self {
            Self::Server(server) => Pages::Server(server.points(run)),
            Self::Database(database) => Pages::Database(database.points(run)),
        }
    }

    /// Logged models that a run read.
    pub async fn model_inputs(&self, run: &str) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Server(server) => server.model_inputs(run).await,
            Self::Database(database) => database.model_inputs(run).await,
        }
    }

    /// Logged models of an experiment.
    pub fn logged_models(&self, experiment: &str) -> Pages<'_> {
        match self {
            Self::Server(server) => Pages::Server(server.logged_models(experiment)),
            Self::Database(database) => Pages::Database(database.logged_models(experiment)),
        }
    }

    /// Registered models, prompts among them.
    pub fn registered_models(&self) -> Pages<'_> {
        match self {
            Self::Server(server) => Pages::Server(server.registered_models()),
            Self::Database(database) => Pages::Database(database.registered_models()),
        }
    }

    /// Versions of a model, by their numbers.
    pub fn versions(&self, model: &str) -> Pages<'_> {
        match self {
            Self::Server(server) => Pages::Server(server.versions(model)),
            Self::Database(database) => Pages::Database(database.versions(model)),
        }
    }

    /// What lies in a folder of a run or logged model; its root is empty.
    pub async fn folder(&self, place: Place<'_>, folder: &str) -> anyhow::Result<Vec<Value>> {
        match self {
            Self::Server(server) => server.folder(place, folder).await,
            Self::Database(database) => database.folder(place, folder).await,
        }
    }

    /// The bytes of a file of a run or logged model, as they come.
    pub async fn file(&self, place: Place<'_>, path: &str) -> anyhow::Result<Body> {
        match self {
            Self::Server(server) => server.file(place, path).await,
            Self::Database(database) => database.file(place, path).await,
        }
    }

    /// Whether an experiment has traces.
    pub async fn has_traces(&self, experiment: &str) -> anyhow::Result<bool> {
        match self {
            Self::Server(server) => server.has_traces(experiment).await,
            Self::Database(database) => database.has_traces(experiment).await,
        }
    }
}

impl Pages<'_> {
    /// The next page; `None` when there is none.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        match self {
            Self::Server(pages) => pages.next().await,
            Self::Database(pages) => pages.next().await,
        }
    }
}

/// What `--from` says.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Server(Url),
    File(PathBuf),
}

impl Address {
    /// As MLflow reads a tracking URI: `sqlite:///` is followed by a path, and an absolute one begins with a further slash.
    fn parse(from: &str) -> anyhow::Result<Self> {
        let Some((scheme, rest)) = from.split_once("://") else {
            return match from.strip_prefix("file:") {
                Some(_) => Err(unusable(from, FOLDER)),
                None if from.is_empty() => Err(unusable(from, NOTHING)),
                None => Ok(Self::File(PathBuf::from(from))),
            };
        };
        // SQLAlchemy names the driver behind a plus.
        match scheme.split('+').next().unwrap_or_default() {
            "http" | "https" => {
                let base = Url::parse(&format!("{}/", from.trim_end_matches('/')));
                base.map(Self::Server).map_err(|_| unusable(from, NOTHING))
            }
            "sqlite" => {
                let path = rest.split('?').next().unwrap_or_default().strip_prefix('/').unwrap_or_default();
                if path.is_empty() || path == ":memory:" || path.starts_with("file:") {
                    return Err(unusable(from, "names no file: it is like sqlite:///mlflow.db, or a path"));
                }
                Ok(Self::File(PathBuf::from(path)))
            }
            "postgresql" | "postgres" | "mysql" | "mssql" | "mariadb" | "oracle" => Err(unusable(from, ENGINE)),
            "file" => Err(unusable(from, FOLDER)),
            _ => Err(unusable(from, NOTHING)),
        }
    }
}

const NOTHING: &str = "is neither the address of an MLflow server, which is like http://127.0.0.1:5000, nor a database file \
                       of MLflow, which is like sqlite:///mlflow.db";
const ENGINE: &str = "is a database of another engine than SQLite, and is not read directly: start a server over it with \
                      `mlflow server --backend-store-uri …` and the --artifacts-destination or --default-artifact-root \
                      that it had, and import from that server's address";
/// What a folder is told that MLflow kept its runs in.
pub const FOLDER: &str = "is a folder, where MLflow keeps runs in files, and is not read directly: start a server over it \
                          with `MLFLOW_ALLOW_FILE_STORE=true mlflow server --backend-store-uri …`, and import from that \
                          server's address";

/// What cannot be imported from, and what to do instead.
fn unusable(from: &str, problem: &str) -> anyhow::Error {
    // A database's address often holds its password.
    let shown = from.split_once("://").map_or(from.to_owned(), |(scheme, _)| format!("{scheme}://…"));
    Unusable(format!("--from {shown} {problem}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Address {
        Address::File(PathBuf::from(path))
    }

    #[test]
    fn a_file_is_named_as_mlflow_names_it_or_by_its_path() {
        let parsed = |from: &str| Address::parse(from).unwrap_or_else(|fault| panic!("{from}: {fault}"));
        assert_eq!(parsed("sqlite:///mlflow.db"), file("mlflow.db"));
        assert_eq!(parsed("sqlite:////srv/mlflow/my file.db"), file("/srv/mlflow/my file.db"));
        assert_eq!(parsed("sqlite+pysqlite:////srv/mlflow.db?timeout=20"), file("/srv/mlflow.db"));
        assert_eq!(parsed("/srv/mlflow.db"), file("/srv/mlflow.db"));
        assert_eq!(parsed("mlflow.db"), file("mlflow.db"));
    }

    #[test]
    fn a_server_is_named_by_its_address() {
        let Ok(Address::Server(base)) = Address::parse("https://mlflow.example:5000/under/") else {
            panic!("no server")
        };
        assert_eq!(base.as_str(), "https://mlflow.example:5000/under/");
    }

    #[test]
    fn what_is_not_read_is_told_what_to_do_and_shows_no_password() {
        for (from, advice) in [
            ("postgresql+psycopg2://ada:secret@db/mlflow", "mlflow server --backend-store-uri"),
            ("mysql://ada:secret@db/mlflow", "mlflow server --backend-store-uri"),
            ("mssql+pyodbc://ada:secret@db/mlflow", "mlflow server --backend-store-uri"),
            ("file:///srv/mlruns", "MLFLOW_ALLOW_FILE_STORE=true"),
            ("file:mlruns", "MLFLOW_ALLOW_FILE_STORE=true"),
            ("sqlite://", "sqlite:///mlflow.db"),
            ("sqlite:///:memory:", "sqlite:///mlflow.db"),
            ("databricks://secret", "http://127.0.0.1:5000"),
            ("http://", "http://127.0.0.1:5000"),
            ("", "http://127.0.0.1:5000"),
        ] {
            let fault = Address::parse(from).expect_err(from);
            assert!(fault.is::<Unusable>(), "{from}");
            assert!(fault.to_string().contains(advice), "{from}: {fault}");
            assert!(!fault.to_string().contains("secret"), "{from}: {fault}");
        }
    }
}
