//! Whether a file is a database of MLflow, and one whose tables are known.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use crate::cli::exit::Unusable;

/// The states of MLflow's schema, by the last of its migrations, in which the tables read here are alike: from the one that
/// brought workspaces (MLflow 3.10) to that of MLflow 3.17.
const KNOWN: &[&str] = &[
    "1b5f0d9ad7c1",
    "e1f2a3b4c5d6",
    "76601a5f987d",
    "c3d6457b6d8a",
    "a5b4c3d2e1f0",
    "ae8bbe7743c9",
    "7d34483879f0",
    "da6fb0208061",
    "89d3d66ed43f",
    "b7e4c1a90f23",
    "a8b9c0d1e2f3",
    "c1d2e3f4a5b6",
    "c3d9e7f1a2b4",
    "6f8d9c3b2a1e",
    "1971f2d9a75b",
    "17e22815139b",
    "b7e2c1a4d9f3",
    "75868b020152",
    "dc11669786a5",
];

/// Refuses what is no database of MLflow, and one whose tables may mean something else than is known. The first that is
/// read of a file, and so where it shows whether it can be.
pub fn check(connection: &Connection, file: &Path) -> anyhow::Result<()> {
    let is_there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'alembic_version')";
    let is_there: bool =
        connection.query_row(is_there, [], |row| row.get(0)).map_err(|fault| unreadable(file, fault))?;
    let version = match is_there {
        false => None,
        true => connection
            .query_row("SELECT version_num FROM alembic_version", [], |row| row.get::<_, String>(0))
            .optional()
            .map_err(|fault| unreadable(file, fault))?,
    };
    let shown = file.display();
    match version.as_deref() {
        Some(version) if KNOWN.contains(&version) => Ok(()),
        Some(version) => Err(Unusable(format!(
            "{shown} has the schema {version} of MLflow, and known are those from MLflow 3.10 to 3.17. An older one is \
             brought there by `mlflow db upgrade sqlite:///…` of MLflow 3.17 (on a copy, if the old server is to go on). \
             For a newer one, start `mlflow server --backend-store-uri sqlite:///…` of its own version over it, and import \
             from that server's address"
        ))
        .into()),
        None => Err(Unusable(format!(
            "{shown} is an SQLite database and not one of MLflow: it has no alembic_version"
        ))
        .into()),
    }
}

/// Why a file cannot be read, and what to do about it.
pub fn unreadable(file: &Path, fault: rusqlite::Error) -> anyhow::Error {
    let shown = file.display();
    let problem = match fault.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => return Unusable(format!("{shown} is no SQLite database")).into(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program keeps it locked: stop the server that writes to it, or import from a copy"
        }
        // Its journal must be played back first, which is a write.
        Some(ErrorCode::ReadOnly) => {
            "it was left in the middle of a write: let a program that may write to it mend it (`sqlite3 FILE .schema`), or \
             do that to a copy of it and of the -journal beside it"
        }
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; for one in WAL mode you must be allowed to write to its folder: import from a copy, with \
             the files beside it that begin with its name"
        }
        _ => "it cannot be read",
    };
    anyhow::Error::new(fault).context(format!("{shown}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(sql: &str) -> rusqlite::Result<String> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(sql)?;
        Ok(check(&connection, Path::new("mlflow.db")).map_or_else(|fault| fault.to_string(), |()| "known".to_owned()))
    }

    #[test]
    fn a_schema_that_is_not_known_is_refused_with_what_to_do() -> rusqlite::Result<()> {
        let of = |version: &str| {
            refusal(&format!(
                "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('{version}')"
            ))
        };
        assert_eq!(of("dc11669786a5")?, "known");
        let told = of("400f98739977")?;
        assert!(told.contains("400f98739977") && told.contains("mlflow db upgrade"), "{told}");
        Ok(())
    }

    #[test]
    fn a_database_of_something_else_is_refused() -> rusqlite::Result<()> {
        assert!(refusal("CREATE TABLE runs (n)")?.contains("no alembic_version"));
        assert!(refusal("CREATE TABLE alembic_version (version_num TEXT)")?.contains("no alembic_version"));
        Ok(())
    }
}
