use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use cairn_kernel::Secret;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::task::spawn_blocking;

use crate::model::HookName;

/// Addresses of hooks, and what their requests are signed with: credentials, which the log must not keep for ever.
///
/// A file of its own, for its owner alone, with every deletion overwritten. Not a view: it cannot be rebuilt, and a hook
/// whose address is lost says so until it is given again.
#[derive(Clone)]
pub(super) struct Kept {
    connection: Arc<Mutex<Connection>>,
}

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum KeptFault {
    #[error("the file of hooks' secrets cannot be used: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the file of hooks' secrets cannot be made: {0}")]
    File(#[from] std::io::Error),
    #[error("the file of hooks' secrets is closing")]
    Stopping,
}

/// Deleted rows are overwritten, and there is no second file that would still hold them.
const SCHEMA: &str = "
PRAGMA journal_mode = TRUNCATE;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS kept (
    hook TEXT NOT NULL,
    id   TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (hook, id)
) WITHOUT ROWID;
";

impl Kept {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, KeptFault> {
        // Made before SQLite would make it: for its owner alone.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Keeps texts for a hook, each under its id, beside what it has.
    pub async fn keep(&self, hook: &HookName, texts: HashMap<String, Secret>) -> Result<(), KeptFault> {
        let hook = hook.to_string();
        self.run(move |connection| {
            let mut insert =
                connection.prepare_cached("INSERT OR REPLACE INTO kept (hook, id, text) VALUES (?1, ?2, ?3)")?;
            for (id, text) in texts {
                insert.execute(params![hook, id, text.expose()])?;
            }
            Ok(())
        })
        .await
    }

    /// A text of a hook.
    pub async fn find(&self, hook: &HookName, id: &str) -> Result<Option<Secret>, KeptFault> {
        let (hook, id) = (hook.to_string(), id.to_owned());
        self.run(move |connection| {
            let mut select = connection.prepare_cached("SELECT text FROM kept WHERE hook = ?1 AND id = ?2")?;
            Ok(select.query_row([hook, id], |row| row.get::<_, String>(0)).optional()?.map(Secret::from))
        })
        .await
    }

    /// Forgets what a hook has beside these.
    pub async fn forget_others(&self, hook: &HookName, ids: [String; 2]) -> Result<(), KeptFault> {
        let hook = hook.to_string();
        self.run(move |connection| {
            let [address, secret] = ids;
            connection.execute("DELETE FROM kept WHERE hook = ?1 AND id NOT IN (?2, ?3)", [hook, address, secret])?;
            Ok(())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, KeptFault> + Send + 'static,
    ) -> Result<T, KeptFault> {
        let connection = Arc::clone(&self.connection);
        spawn_blocking(move || work(&connection.lock())).await.map_err(|_| KeptFault::Stopping)?
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn what_is_forgotten_is_in_no_byte_of_the_file_which_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.sqlite");
        let kept = Kept::open(&path).unwrap();
        let hook: HookName = "projects/p/hooks/h".parse().unwrap();
        let texts = [("old", "canary-old"), ("new", "canary-new")];
        let texts = texts.map(|(id, text)| (id.to_owned(), Secret::from(text.to_owned())));
        kept.keep(&hook, texts.into()).await.unwrap();
        assert_eq!(kept.find(&hook, "old").await.unwrap().unwrap().expose(), "canary-old");
        kept.forget_others(&hook, ["new".into(), String::new()]).await.unwrap();
        assert_eq!(kept.find(&hook, "old").await.unwrap(), None);
        let bytes = std::fs::read(&path).unwrap();
        let holds = |needle: &str| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!holds("canary-old") && holds("canary-new"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
