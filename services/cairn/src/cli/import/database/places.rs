//! Whether all that a database speaks of can be read from here, and what is beyond it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::artifacts::Root;
use crate::cli::exit::Unusable;

/// Where artifacts are.
#[derive(Debug, Default)]
pub struct Places {
    /// How many runs and logged models a server hands artifacts out for.
    served: u64,
    /// How many keep them in a store, by the kind of store.
    stores: BTreeMap<String, u64>,
    /// Folders of this machine that experiments have their own folders in.
    homes: BTreeSet<PathBuf>,
}

/// Places of the artifacts of these experiments, a JSON list of names, or of all if it is empty.
pub fn of(connection: &Connection, wanted: &str) -> rusqlite::Result<Places> {
    let sql = "WITH wanted AS (
                   SELECT experiment_id, COALESCE(experiments.artifact_location, '') AS home FROM experiments
                   WHERE workspace = 'default' AND (?1 = '[]' OR name IN (SELECT value FROM json_each(?1))))
               SELECT artifact_uri, home FROM runs JOIN wanted USING (experiment_id) WHERE artifact_uri <> ''
               UNION ALL
               SELECT artifact_location, home FROM logged_models JOIN wanted USING (experiment_id)";
    let mut places = Places::default();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([wanted])?;
    while let Some(row) = rows.next()? {
        match Root::parse(&row.get::<_, String>(0)?) {
            Root::Served(_) => places.served += 1,
            Root::Store(kind) => *places.stores.entry(kind).or_default() += 1,
            Root::Folder(_) => {
                if let Root::Folder(home) = Root::parse(&row.get::<_, String>(1)?) {
                    places.homes.extend(home.parent().map(PathBuf::from));
                }
            }
        }
    }
    Ok(places)
}

impl Places {
    /// Refuses what would come without its artifacts.
    pub fn check(&self, is_served_folder_named: bool) -> anyhow::Result<()> {
        if let Some((kind, many)) = self.stores.first_key_value() {
            return Err(Unusable(format!(
                "{many} runs and logged models keep their artifacts in a store ({kind}://…), which is not read: start \
                 `mlflow server --backend-store-uri sqlite:///…` over the database, with the credential of the store, and \
                 import from that server's address"
            ))
            .into());
        }
        if self.served > 0 && !is_served_folder_named {
            return Err(Unusable(format!(
                "{} runs and logged models have artifacts that a server handed out (mlflow-artifacts:/…): say in which \
                 folder with --artifacts DIR; it is the server's --artifacts-destination, ./mlartifacts if it was given none",
                self.served
            ))
            .into());
        }
        // Each experiment's own folder is made with its first artifact; the one they are in was there before.
        if let Some(home) = self.homes.iter().find(|home| !home.as_os_str().is_empty() && !home.is_dir()) {
            return Err(Unusable(format!(
                "artifacts are in the folder {}, and there is none: bring it there, or make it if there were no artifacts",
                std::path::absolute(home).unwrap_or_else(|_| home.clone()).display()
            ))
            .into());
        }
        Ok(())
    }
}

/// What belongs to other workspaces.
pub fn other_workspaces(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT workspace, SUM(experiments), SUM(models) FROM (
                   SELECT workspace, 1 AS experiments, 0 AS models FROM experiments
                   UNION ALL SELECT workspace, 0, 1 FROM registered_models)
               WHERE workspace <> 'default' GROUP BY workspace ORDER BY workspace";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (workspace, experiments, models): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let why =
            format!("of its {experiments} experiments and {models} registered models none: the default one is read");
        Ok((format!("workspace {workspace:?}"), why))
    })?;
    rows.collect()
}

/// Logged models that are done and have no folder: whoever makes one as MLflow does puts a description of it there.
pub fn models_without_files(connection: &Connection, served: Option<&Path>) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT model_id, logged_models.artifact_location FROM logged_models JOIN experiments USING (experiment_id)
               WHERE status = 2 AND COALESCE(logged_models.lifecycle_stage, 'active') = 'active' AND workspace = 'default'";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut without = vec![];
    while let Some(row) = rows.next()? {
        let (model, uri): (String, String) = (row.get(0)?, row.get(1)?);
        if let Ok(folder) = Root::parse(&uri).folder(served)
            && !folder.exists()
        {
            let why = format!("their folder {} is not there; nothing is missing if it never had any", folder.display());
            without.push((format!("files of logged model {model}"), why));
        }
    }
    Ok(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(rows: &str, wanted: &str) -> rusqlite::Result<Places> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE TABLE experiments (experiment_id INTEGER, name TEXT, workspace TEXT, artifact_location TEXT);
             CREATE TABLE runs (experiment_id INTEGER, artifact_uri TEXT);
             CREATE TABLE logged_models (experiment_id INTEGER, artifact_location TEXT);
             INSERT INTO experiments VALUES (1, 'one', 'default', '/nowhere/mlruns/1'), (2, 'two', 'default', '/tmp/2'),
                                            (3, 'three', 'theirs', 's3://b/3');",
        )?;
        connection.execute_batch(rows)?;
        of(&connection, wanted)
    }

    fn refusal(rows: &str, wanted: &str, is_named: bool) -> rusqlite::Result<String> {
        let done = places(rows, wanted)?.check(is_named);
        Ok(done.map_or_else(|fault| fault.to_string(), |()| "all can be read".to_owned()))
    }

    #[test]
    fn what_would_come_without_its_artifacts_is_refused() -> rusqlite::Result<()> {
        let missing = "INSERT INTO runs VALUES (1, '/nowhere/mlruns/1/r/artifacts')";
        assert!(refusal(missing, "[]", false)?.contains("/nowhere/mlruns,"));
        assert_eq!(refusal(missing, r#"["two"]"#, false)?, "all can be read");
        let stored = "INSERT INTO logged_models VALUES (2, 's3://bucket/2/models/m/artifacts')";
        assert!(refusal(stored, "[]", true)?.contains("s3://"));
        let served = "INSERT INTO runs VALUES (2, 'mlflow-artifacts:/2/r/artifacts')";
        assert!(refusal(served, "[]", false)?.contains("--artifacts DIR"));
        assert_eq!(refusal(served, "[]", true)?, "all can be read");
        let theirs = "INSERT INTO runs VALUES (3, 's3://b/3/r/artifacts'), (2, NULL), (2, '/tmp/2/r/artifacts')";
        assert_eq!(refusal(theirs, "[]", false)?, "all can be read");
        Ok(())
    }
}
