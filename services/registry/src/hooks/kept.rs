use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use cairn_kernel::Secret;
use cairn_seal::{SealFault, Sealer};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::task::spawn_blocking;

use crate::model::HookName;

/// Addresses of hooks, and what their requests are signed with: credentials, which the log must not keep for ever.
///
/// Sealed, in a file of its own, for its owner alone, with every deletion overwritten. Not a view: it cannot be rebuilt,
/// and a hook whose address is lost says so until it is given again.
#[derive(Clone)]
pub(super) struct Kept {
    connection: Arc<Mutex<Connection>>,
    sealer: Sealer,
}

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum KeptFault {
    #[error("the file of hooks' secrets cannot be used: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the file of hooks' secrets cannot be made: {0}")]
    File(#[from] std::io::Error),
    #[error("a hook's secret cannot be sealed or opened: {0}")]
    Seal(#[from] SealFault),
    #[error("a hook's secret is no text")]
    Damaged,
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
    text BLOB NOT NULL,
    is_sealed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (hook, id)
) WITHOUT ROWID;
";

/// A file of an earlier build has texts as they are.
const SEALED_SINCE: &str = "ALTER TABLE kept ADD COLUMN is_sealed INTEGER NOT NULL DEFAULT 0";

impl Kept {
    /// Opens or creates the file.
    pub fn open(path: &Path, sealer: Sealer) -> Result<Self, KeptFault> {
        // Made before SQLite would make it: for its owner alone.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        let is_of_now = connection.prepare("SELECT is_sealed FROM kept LIMIT 0").is_ok();
        if !is_of_now {
            connection.execute_batch(SEALED_SINCE)?;
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)), sealer })
    }

    /// Seals what an earlier build kept as it was.
    pub async fn seal_the_open(&self) -> Result<(), KeptFault> {
        let rows: Vec<(String, String, String)> = self
            .run(|connection| {
                let mut select = connection.prepare("SELECT hook, id, text FROM kept WHERE NOT is_sealed")?;
                let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await?;
        for (hook, id, text) in rows {
            let Ok(hook) = hook.parse::<HookName>() else { continue };
            self.keep(&hook, HashMap::from([(id, Secret::from(text))])).await?;
        }
        Ok(())
    }

    /// Keeps texts for a hook, each under its id, beside what it has.
    pub async fn keep(&self, hook: &HookName, texts: HashMap<String, Secret>) -> Result<(), KeptFault> {
        let mut sealed = vec![];
        for (id, text) in texts {
            let bytes = self.sealer.seal(hook.name(), &purpose(&id), text.expose().to_owned().into()).await?;
            sealed.push((id, bytes.into_bytes()));
        }
        let hook = hook.to_string();
        self.run(move |connection| {
            let sql = "INSERT OR REPLACE INTO kept (hook, id, text, is_sealed) VALUES (?1, ?2, ?3, 1)";
            let mut insert = connection.prepare_cached(sql)?;
            for (id, sealed) in sealed {
                insert.execute(params![hook, id, sealed])?;
            }
            Ok(())
        })
        .await
    }

    /// A text of a hook.
    pub async fn find(&self, hook: &HookName, id: &str) -> Result<Option<Secret>, KeptFault> {
        let (name, text) = (hook.to_string(), id.to_owned());
        let row: Option<(Vec<u8>, bool)> = self
            .run(move |connection| {
                let sql = "SELECT CAST(text AS BLOB), is_sealed FROM kept WHERE hook = ?1 AND id = ?2";
                let mut select = connection.prepare_cached(sql)?;
                Ok(select.query_row([name, text], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
            })
            .await?;
        let bytes = match row {
            None => return Ok(None),
            Some((bytes, false)) => bytes,
            Some((sealed, true)) => self.sealer.open(hook.name(), &purpose(id), &sealed).await?.expose().to_vec(),
        };
        String::from_utf8(bytes).map(|text| Some(text.into())).map_err(|_| KeptFault::Damaged)
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

/// What a text of a hook is sealed for.
fn purpose(id: &str) -> String {
    format!("registry.hook.{id}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    async fn sealer(folder: &Path) -> Sealer {
        cairn_seal::Config::default().start(folder, "d").await.unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_is_in_no_byte_of_the_file_which_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.sqlite");
        let kept = Kept::open(&path, sealer(folder.path()).await).unwrap();
        let hook: HookName = "projects/p/hooks/h".parse().unwrap();
        let texts = [("old", "canary-old"), ("new", "canary-new")];
        let texts = texts.map(|(id, text)| (id.to_owned(), Secret::from(text.to_owned())));
        kept.keep(&hook, texts.into()).await.unwrap();
        assert_eq!(kept.find(&hook, "old").await.unwrap().unwrap().expose(), "canary-old");
        kept.forget_others(&hook, ["new".into(), String::new()]).await.unwrap();
        assert_eq!(kept.find(&hook, "old").await.unwrap(), None);
        assert_eq!(kept.find(&hook, "new").await.unwrap().unwrap().expose(), "canary-new");
        assert!(!holds(&path, "canary"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_an_earlier_build_kept_as_it_was_is_read_and_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.sqlite");
        let earlier = "CREATE TABLE kept (hook TEXT NOT NULL, id TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (hook, id)) \
                       WITHOUT ROWID; INSERT INTO kept VALUES ('projects/p/hooks/h', 'address', 'https://canary');";
        Connection::open(&path).unwrap().execute_batch(earlier).unwrap();
        let kept = Kept::open(&path, sealer(folder.path()).await).unwrap();
        let hook: HookName = "projects/p/hooks/h".parse().unwrap();
        for _ in 0..2 {
            assert_eq!(kept.find(&hook, "address").await.unwrap().unwrap().expose(), "https://canary");
            kept.seal_the_open().await.unwrap();
            assert!(!holds(&path, "canary"));
        }
    }

    fn holds(path: &Path, needle: &str) -> bool {
        std::fs::read(path).unwrap().windows(needle.len()).any(|window| window == needle.as_bytes())
    }
}
