use std::collections::BTreeMap;

use cairn_projection::QueryFault;
use cairn_projection::rusqlite::{self, Connection, OptionalExtension, Row, params};

use super::Query;
use crate::model::{EnvironmentName, Json, Key};

/// Most environments that inherit in a row. The rules allow fewer; this ends a walk whatever the tables hold.
const DEPTH_MAX: usize = 32;

/// An entry in force.
#[derive(Clone, Debug)]
pub struct InForce {
    pub value: Json,
    /// The environment that says it.
    pub origin: EnvironmentName,
    pub revision: u32,
    pub author: String,
    pub set_micros: i64,
}

impl Query {
    /// Everything that an environment says, with what it inherits; and its own revision. `None`: it is not there.
    pub async fn in_force(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<(u32, BTreeMap<Key, InForce>)>, QueryFault> {
        let environment = environment.clone();
        self.ask(move |db| {
            let Some((revision, mut inherits)) = standing(db, &environment)? else {
                return Ok(environment.is_platform().then(|| (0, BTreeMap::new())));
            };
            let mut entries = own(db, &environment)?;
            for _ in 0..DEPTH_MAX {
                if inherits.is_empty() {
                    break;
                }
                let above = EnvironmentName::stored(inherits);
                for (key, entry) in own(db, &above)? {
                    entries.entry(key).or_insert(entry);
                }
                inherits = standing(db, &above)?.map(|(_, inherits)| inherits).unwrap_or_default();
            }
            Ok(Some((revision, entries)))
        })
        .await
    }

    /// What an environment said itself in a revision. `None`: it has no such revision.
    pub async fn own_at(
        &self,
        environment: &EnvironmentName,
        revision: u32,
    ) -> Result<Option<BTreeMap<Key, InForce>>, QueryFault> {
        let environment = environment.clone();
        self.ask(move |db| {
            let is_known = match standing(db, &environment)? {
                Some((last, _)) => revision <= last,
                None => environment.is_platform() && revision == 0,
            };
            if !is_known {
                return Ok(None);
            }
            let sql = "SELECT key, value, from_revision, author, set_time FROM entries WHERE environment = ?1 \
                       AND from_revision <= ?2 AND (to_revision IS NULL OR to_revision > ?2)";
            let mut select = db.prepare_cached(sql)?;
            let rows = select.query_map(params![environment.as_str(), revision], |row| read(&environment, row))?;
            rows.collect::<Result<_, _>>().map(Some)
        })
        .await
    }
}

/// The last revision of an environment that is there, and what it inherits from.
fn standing(db: &Connection, environment: &EnvironmentName) -> rusqlite::Result<Option<(u32, String)>> {
    let sql = "SELECT revision, inherits FROM environments WHERE name = ?1 AND NOT is_deleted";
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    db.prepare_cached(sql)?.query_row([environment.as_str()], read).optional()
}

fn own(db: &Connection, environment: &EnvironmentName) -> rusqlite::Result<BTreeMap<Key, InForce>> {
    let sql = "SELECT key, value, from_revision, author, set_time FROM entries \
               WHERE environment = ?1 AND to_revision IS NULL";
    let mut select = db.prepare_cached(sql)?;
    select.query_map([environment.as_str()], |row| read(environment, row))?.collect()
}

fn read(environment: &EnvironmentName, row: &Row<'_>) -> rusqlite::Result<(Key, InForce)> {
    let entry = InForce {
        value: Json::stored(row.get_ref(1)?.as_str()?),
        origin: environment.clone(),
        revision: row.get(2)?,
        author: row.get(3)?,
        set_micros: row.get(4)?,
    };
    Ok((Key::stored(row.get::<_, String>(0)?), entry))
}
