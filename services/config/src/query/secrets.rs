use cairn_contract::cairn::config::v1::secret_version::State;
use cairn_contract::cairn::config::v1::{Secret, SecretVersion};
use cairn_kernel::Name;
use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{self, OptionalExtension, Row, named_params, params};
use cairn_service::Page;

use super::{Query, VISIBLE, Visible, moment};
use crate::model::SecretName;

const COLUMNS: &str = "name, revision, description, latest_version, last_version, is_deleted, create_time, update_time";
const VERSION_COLUMNS: &str = "secret, number, state, creator, v.create_time, v.update_time, s.revision";
const VERSIONS: &str = "secret_versions v JOIN secrets s ON s.name = v.secret";

/// What the value of a version is in, and how the version stands.
pub struct Sealed {
    pub number: u32,
    pub state: State,
    pub bytes: Vec<u8>,
}

impl Query {
    /// One secret, deleted or not.
    pub async fn secret(&self, name: &SecretName) -> Result<Option<Secret>, QueryFault> {
        let name = name.to_string();
        self.ask(move |db| {
            let sql = format!("SELECT {COLUMNS} FROM secrets WHERE name = ?1");
            db.prepare_cached(&sql)?.query_row([name], read).optional()
        })
        .await
    }

    /// A page of the secrets at or below `under` that lie at or below `visible`.
    pub async fn secrets(&self, under: &Name, visible: &[Name], page: &Page) -> Result<Vec<Secret>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let prefix = if under.is_root() { String::new() } else { format!("{under}/") };
        self.ask(move |db| {
            let sql = format!(
                "SELECT {COLUMNS} FROM secrets WHERE name > :after AND NOT is_deleted \
                 AND substr(name, 1, length(:prefix)) = :prefix AND {VISIBLE} ORDER BY name LIMIT :rows"
            );
            let parameters = named_params! {
                ":after": after.max(prefix.clone()), ":prefix": prefix, ":rows": rows,
                ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            db.prepare_cached(&sql)?.query_map(parameters, read)?.collect()
        })
        .await
    }

    /// One version.
    pub async fn version(&self, secret: &SecretName, number: u32) -> Result<Option<SecretVersion>, QueryFault> {
        let secret = secret.to_string();
        self.ask(move |db| {
            let sql = format!("SELECT {VERSION_COLUMNS} FROM {VERSIONS} WHERE secret = ?1 AND number = ?2");
            db.prepare_cached(&sql)?.query_row(params![secret, number], read_version).optional()
        })
        .await
    }

    /// A page of versions, newest first. The page goes on below a number.
    pub async fn versions(&self, secret: &SecretName, page: &Page) -> Result<Vec<SecretVersion>, QueryFault> {
        let (secret, rows) = (secret.to_string(), page.rows());
        let below = page.after.parse().unwrap_or(i64::MAX);
        self.ask(move |db| {
            let sql = format!(
                "SELECT {VERSION_COLUMNS} FROM {VERSIONS} WHERE secret = ?1 AND number < ?2 \
                 ORDER BY number DESC LIMIT ?3"
            );
            db.prepare_cached(&sql)?.query_map(params![secret, below, rows], read_version)?.collect()
        })
        .await
    }

    /// What a value is sealed in: that of a number, or of the newest that is enabled.
    pub async fn sealed(&self, secret: &SecretName, number: Option<u32>) -> Result<Option<Sealed>, QueryFault> {
        let secret = secret.to_string();
        self.ask(move |db| {
            let sql = "SELECT number, state, sealed FROM secret_versions WHERE secret = ?1 \
                       AND CASE WHEN ?2 IS NULL THEN state = 'enabled' ELSE number = ?2 END \
                       ORDER BY number DESC LIMIT 1";
            let read = |row: &Row<'_>| {
                Ok(Sealed { number: row.get(0)?, state: state(row.get_ref(1)?.as_str()?), bytes: row.get(2)? })
            };
            db.prepare_cached(sql)?.query_row(params![secret, number], read).optional()
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Secret> {
    Ok(Secret {
        name: row.get(0)?,
        etag: row.get::<_, i64>(1)?.to_string(),
        description: row.get(2)?,
        latest_version: row.get(3)?,
        last_version: row.get(4)?,
        deleted: row.get(5)?,
        create_time: moment(row.get(6)?),
        update_time: moment(row.get(7)?),
    })
}

fn read_version(row: &Row<'_>) -> rusqlite::Result<SecretVersion> {
    let (secret, number): (String, u32) = (row.get(0)?, row.get(1)?);
    Ok(SecretVersion {
        name: format!("{secret}/versions/{number}"),
        etag: row.get::<_, i64>(6)?.to_string(),
        state: state(row.get_ref(2)?.as_str()?).into(),
        creator: row.get(3)?,
        create_time: moment(row.get(4)?),
        update_time: moment(row.get(5)?),
    })
}

fn state(word: &str) -> State {
    match word {
        "enabled" => State::Enabled,
        "disabled" => State::Disabled,
        _ => State::Destroyed,
    }
}
