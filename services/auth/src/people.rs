mod entry;

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use cairn_projection::rusqlite::{self, Connection, ErrorCode, OptionalExtension, params};
use tokio::task::spawn_blocking;

pub use entry::Entry;

/// Longest mail address (RFC 5321).
pub const ADDRESS_CHARS_MAX: usize = 254;

/// Whether a text looks like a mail address.
pub fn is_address(text: &str) -> bool {
    let parts = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    parts && !text.contains(char::is_whitespace)
}

/// Who the users are: the one thing auth keeps that is not in the log, because it must be possible to forget it.
///
/// A file of its own, small, with every deletion overwritten. Not a view: it cannot be rebuilt, and is to be backed up
/// apart from the log and for no longer than erasure may take.
#[derive(Clone)]
pub struct People {
    connection: Arc<parking_lot::Mutex<Connection>>,
}

/// What is known about a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub display_name: String,
    pub email: String,
}

/// Why what is known about a person could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum PeopleFault {
    #[error("another user has this mail address")]
    EmailTaken,
    #[error("another user has this userName")]
    UserNameTaken,
    #[error("the table of people cannot be used: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("the file of the table of people cannot be made: {0}")]
    File(#[from] std::io::Error),
    #[error("the table of people is stopping")]
    Stopping,
}

/// Deleted rows are overwritten, and there is no second file that would still hold them.
const SCHEMA: &str = "
PRAGMA journal_mode = TRUNCATE;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS people (
    user         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    email        TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS people_by_email ON people (email) WHERE email <> '';
";

impl People {
    /// Opens or creates the file.
    pub fn open(path: &Path) -> Result<Self, PeopleFault> {
        // Made before SQLite would make it: for its owner alone.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let connection = Connection::open(path)?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(entry::SCHEMA)?;
        Ok(Self { connection: Arc::new(parking_lot::Mutex::new(connection)) })
    }

    /// What is known about one user; nothing if they are unknown or forgotten.
    pub async fn find(&self, user: &str) -> Result<Person, PeopleFault> {
        let mut found = self.find_all(vec![user.to_owned()]).await?;
        Ok(found.remove(user).unwrap_or_default())
    }

    /// What is known about several users.
    pub async fn find_all(&self, users: Vec<String>) -> Result<HashMap<String, Person>, PeopleFault> {
        self.run(move |connection| {
            let mut select = connection.prepare_cached("SELECT display_name, email FROM people WHERE user = ?1")?;
            let mut found = HashMap::new();
            for user in users {
                let person =
                    select.query_row([&user], |row| Ok(Person { display_name: row.get(0)?, email: row.get(1)? }));
                if let Some(person) = person.optional()? {
                    found.insert(user, person);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Keeps what is known about a user. Mail addresses are compared without regard to case.
    pub async fn keep(&self, user: String, person: Person) -> Result<(), PeopleFault> {
        self.run(move |connection| {
            let sql = "INSERT INTO people (user, display_name, email) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (user) DO UPDATE SET display_name = excluded.display_name, email = excluded.email";
            told(connection.execute(sql, params![user, person.display_name, person.email.to_lowercase()]))
        })
        .await
    }

    /// Keeps what is known about a user who is being made. What is known already stays: a repeat of the request that
    /// says something else is refused, and must have changed nothing.
    pub async fn keep_new(&self, user: String, person: Person) -> Result<(), PeopleFault> {
        self.run(move |connection| {
            let sql =
                "INSERT INTO people (user, display_name, email) VALUES (?1, ?2, ?3) ON CONFLICT (user) DO NOTHING";
            told(connection.execute(sql, params![user, person.display_name, person.email.to_lowercase()]))
        })
        .await
    }

    /// Forgets a user. Repeating it changes nothing.
    pub async fn forget(&self, user: String) -> Result<(), PeopleFault> {
        self.run(move |connection| {
            let change = connection.unchecked_transaction()?;
            change.execute("DELETE FROM people WHERE user = ?1", [&user])?;
            entry::forget(&change, &user)?;
            Ok(change.commit()?)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, PeopleFault> + Send + 'static,
    ) -> Result<T, PeopleFault> {
        let connection = Arc::clone(&self.connection);
        spawn_blocking(move || work(&connection.lock())).await.map_err(|_| PeopleFault::Stopping)?
    }
}

/// The table has one rule that a person can break.
fn told(written: rusqlite::Result<usize>) -> Result<(), PeopleFault> {
    match written {
        Err(fault) if fault.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Err(PeopleFault::EmailTaken),
        written => Ok(written.map(|_| ())?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(display_name: &str, email: &str) -> Person {
        Person { display_name: display_name.into(), email: email.into() }
    }

    #[tokio::test]
    async fn a_mail_address_belongs_to_one_user_whatever_its_case() {
        let folder = tempfile::tempdir().unwrap();
        let people = People::open(&folder.path().join("people.sqlite")).unwrap();
        people.keep("users/a".into(), person("Ada", "Ada@example.org")).await.unwrap();
        let taken = people.keep("users/b".into(), person("Bob", "ada@EXAMPLE.org")).await;
        assert!(matches!(taken, Err(PeopleFault::EmailTaken)));
        people.keep("users/b".into(), person("Bob", "")).await.unwrap();
        people.keep("users/c".into(), person("Cleo", "")).await.unwrap();
        assert_eq!(people.find("users/a").await.unwrap(), person("Ada", "ada@example.org"));
    }

    #[tokio::test]
    async fn who_is_forgotten_is_in_no_byte_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.sqlite");
        let people = People::open(&path).unwrap();
        people.keep("users/a".into(), person("Wilhelmina Canary", "canary@example.org")).await.unwrap();
        people.keep("users/b".into(), person("Bob", "bob@example.org")).await.unwrap();
        let holds = |needle: &str| {
            std::fs::read_dir(folder.path()).unwrap().any(|file| {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
            })
        };
        assert!(holds("Canary") && holds("canary@example.org"));
        people.forget("users/a".into()).await.unwrap();
        assert!(!holds("Canary") && !holds("canary@example.org"));
        assert_eq!(people.find("users/a").await.unwrap(), Person::default());
        assert_eq!(people.find("users/b").await.unwrap(), person("Bob", "bob@example.org"));
    }
}
