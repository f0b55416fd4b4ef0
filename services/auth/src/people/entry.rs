//! What a directory says of a person beside their name and address. In the same file, so that it is forgotten with them.

use std::collections::HashMap;

use cairn_projection::rusqlite::{self, Connection, OptionalExtension, params};

use super::{People, PeopleFault, Person, told};

/// What a directory said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// No two users have the same, whatever the case of its letters.
    pub user_name: String,
    /// What the directory calls the person. Empty: nothing.
    pub external_id: String,
    /// All of it, as JSON.
    pub document: String,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS directory_entries (
    user        TEXT PRIMARY KEY,
    user_name   TEXT NOT NULL,
    external_id TEXT NOT NULL,
    document    TEXT NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS directory_entries_by_user_name ON directory_entries (user_name);
CREATE INDEX IF NOT EXISTS directory_entries_by_external_id ON directory_entries (external_id) WHERE external_id <> '';
";

pub(super) fn forget(connection: &Connection, user: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM directory_entries WHERE user = ?1", [user]).map(|_| ())
}

impl People {
    /// What directories said of several users.
    pub async fn entries(&self, users: Vec<String>) -> Result<HashMap<String, Entry>, PeopleFault> {
        self.run(move |connection| {
            let sql = "SELECT document FROM directory_entries WHERE user = ?1";
            let mut select = connection.prepare_cached(sql)?;
            let mut found = HashMap::new();
            for user in users {
                let document = select.query_row([&user], |row| row.get(0)).optional()?;
                if let Some(document) = document {
                    found.insert(user, Entry { document, ..Entry::default() });
                }
            }
            Ok(found)
        })
        .await
    }

    /// The users who go by a name: as their directory says, or by their mail address where none says anything.
    pub async fn by_user_name(&self, name: &str) -> Result<Vec<String>, PeopleFault> {
        let name = name.to_lowercase();
        self.run(move |connection| {
            let sql = "SELECT user FROM directory_entries WHERE user_name = ?1 \
                       UNION SELECT user FROM people WHERE email = ?1 AND email <> ''";
            let mut select = connection.prepare_cached(sql)?;
            Ok(select.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The users whom a directory calls so.
    pub async fn by_external_id(&self, id: &str) -> Result<Vec<String>, PeopleFault> {
        let id = id.to_owned();
        self.run(move |connection| {
            let sql = "SELECT user FROM directory_entries WHERE external_id = ?1 AND external_id <> '' LIMIT 1000";
            let mut select = connection.prepare_cached(sql)?;
            Ok(select.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Whether what a directory says of a user can be kept: nobody else goes by the name or has the address.
    pub async fn check_entry(&self, user: String, person: Person, entry: Entry) -> Result<(), PeopleFault> {
        self.run(move |connection| check(connection, &user, &person, &entry)).await
    }

    /// Keeps what a directory says of a user, all of it or nothing.
    pub async fn keep_entry(&self, user: String, person: Person, entry: Entry) -> Result<(), PeopleFault> {
        self.run(move |connection| {
            let change = connection.unchecked_transaction()?;
            check(&change, &user, &person, &entry)?;
            let sql = "INSERT INTO people (user, display_name, email) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (user) DO UPDATE SET display_name = excluded.display_name, email = excluded.email";
            told(change.execute(sql, params![user, person.display_name, person.email.to_lowercase()]))?;
            let sql = "INSERT INTO directory_entries (user, user_name, external_id, document) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT (user) DO UPDATE SET user_name = excluded.user_name, \
                       external_id = excluded.external_id, document = excluded.document";
            let name = entry.user_name.to_lowercase();
            change.execute(sql, params![user, name, entry.external_id, entry.document])?;
            Ok(change.commit()?)
        })
        .await
    }
}

fn check(connection: &Connection, user: &str, person: &Person, entry: &Entry) -> Result<(), PeopleFault> {
    let is_there = |sql: &str, text: String| -> rusqlite::Result<bool> {
        connection.prepare_cached(sql)?.exists(params![user, text])
    };
    let sql = "SELECT 1 FROM directory_entries WHERE user_name = ?2 AND user <> ?1 \
               UNION SELECT 1 FROM people WHERE email = ?2 AND email <> '' AND user <> ?1 \
               AND user NOT IN (SELECT user FROM directory_entries)";
    if is_there(sql, entry.user_name.to_lowercase())? {
        return Err(PeopleFault::UserNameTaken);
    }
    let sql = "SELECT 1 FROM people WHERE email = ?2 AND email <> '' AND user <> ?1";
    if is_there(sql, person.email.to_lowercase())? {
        return Err(PeopleFault::EmailTaken);
    }
    Ok(())
}
