use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::{Aggregate, Time};
use cairn_projection::{Copied, Projection, ProjectionFault, QueryFault, ReadModel};
use cairn_search::{SearchFault, fingerprint, marks, token};
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params};

use super::Subject;
use crate::model::{Model, Version, registered, version};
use crate::query::SearchError;

/// Writes what was noted of models and versions: each edit of a description.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes;

/// What was noted, from one edit to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub revision: u32,
    pub text: String,
    pub author: String,
    pub time: Time,
}

/// A page of notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotePage {
    pub notes: Vec<Note>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

/// The events that begin, change or end notes.
const KINDS: [&str; 6] = [
    "cairn.registry.events.v1.ModelCreated",
    "cairn.registry.events.v1.ModelDescribed",
    "cairn.registry.events.v1.ModelDeleted",
    "cairn.registry.events.v1.VersionDeleted",
    "cairn.registry.events.v1.ModelVersionCreated",
    "cairn.registry.events.v1.ModelVersionDescribed",
];

impl Projection for Notes {
    const NAME: &'static str = "registry.notes.v1";
    const SCHEMA: &'static str = "
        CREATE TABLE note (
            resource TEXT NOT NULL,
            revision INTEGER NOT NULL,
            text TEXT NOT NULL,
            author TEXT NOT NULL,
            time_us INTEGER NOT NULL,
            PRIMARY KEY (resource, revision)
        ) WITHOUT ROWID, STRICT;
    ";
    const COPIED: Option<Copied> = Some(Copied::WHOLE);

    fn filter(&self) -> Filter {
        let categories = [Model::CATEGORY, Version::CATEGORY].map(str::to_owned);
        Filter { categories: categories.into(), kinds: KINDS.map(str::to_owned).into() }
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for recorded in events {
            match recorded.stream.category() {
                Model::CATEGORY => {
                    let event = Model::decode(&recorded.kind, &recorded.payload)?;
                    model(tx, recorded, &event)?;
                }
                _ => {
                    let event = Version::decode(&recorded.kind, &recorded.payload)?;
                    let name = event.version.to_string();
                    match &event.change {
                        version::Change::Created { description, .. } if description.is_empty() => {}
                        version::Change::Created { description, .. } | version::Change::Described(description) => {
                            add(tx, recorded, &name, description)?;
                        }
                        version::Change::Imported(_)
                        | version::Change::TagsSet(_)
                        | version::Change::TagsDeleted(_) => {}
                    }
                }
            }
        }
        Ok(())
    }
}

fn model(tx: &Connection, recorded: &Recorded, event: &registered::Event) -> rusqlite::Result<()> {
    let name = event.model.to_string();
    match &event.change {
        registered::Change::Created { description, .. } if !description.is_empty() => {
            add(tx, recorded, &name, description)
        }
        registered::Change::Described(description) => add(tx, recorded, &name, description),
        // What is gone takes its notes with it; another of its name begins anew.
        registered::Change::Deleted => {
            forget(tx, "DELETE FROM note WHERE resource >= ?1 || '/' AND resource < ?1 || '0'", &name)?;
            forget(tx, "DELETE FROM note WHERE resource = ?1", &name)
        }
        registered::Change::VersionDeleted(number) => {
            forget(tx, "DELETE FROM note WHERE resource = ?1", &event.model.version(*number).to_string())
        }
        _ => Ok(()),
    }
}

fn forget(tx: &Connection, sql: &str, resource: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(sql)?.execute([resource]).map(drop)
}

fn add(tx: &Connection, recorded: &Recorded, resource: &str, text: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO note (resource, revision, text, author, time_us)
         VALUES (?1, 1 + coalesce((SELECT max(revision) FROM note WHERE resource = ?1), 0), ?2, ?3, ?4)",
    )?
    .execute(params![resource, text, recorded.metadata().principal, recorded.time.micros()])?;
    Ok(())
}

/// What was noted, newest first.
pub(super) async fn list(
    model: &ReadModel,
    subject: &Subject,
    limit: usize,
    page_token: &str,
) -> Result<NotePage, SearchError> {
    let print = fingerprint(subject);
    let before = match marks(&print, page_token)?.as_deref() {
        None => i64::MAX,
        Some([Value::Integer(revision)]) => *revision,
        Some(_) => return Err(SearchFault::PageToken.into()),
    };
    let resource = match subject {
        Subject::Model(name) => name.to_string(),
        Subject::Version(name) => name.to_string(),
    };
    let ask = move |db: &Connection| {
        let mut notes = db
            .prepare_cached(
                "SELECT revision, text, author, time_us FROM note WHERE resource = ?1 AND revision < ?2
                 ORDER BY revision DESC LIMIT ?3",
            )?
            .query_map(params![resource, before, limit as i64 + 1], |row| {
                let time = Time::from_micros(row.get(3)?);
                Ok(Note { revision: row.get(0)?, text: row.get(1)?, author: row.get(2)?, time })
            })?
            .collect::<Result<Vec<_>, _>>()?;
        let has_more = notes.len() > limit;
        notes.truncate(limit);
        let next_page_token = match notes.last() {
            Some(last) if has_more => token(&print, vec![Value::Integer(i64::from(last.revision))]),
            _ => String::new(),
        };
        Ok(NotePage { notes, next_page_token })
    };
    let asked: Result<NotePage, QueryFault> = model.query(ask).await;
    Ok(asked?)
}

#[cfg(test)]
mod tests {
    use cairn_contract::cairn::registry::events::v1 as proto;
    use prost::Name;

    use super::KINDS;

    #[test]
    fn kinds_are_the_full_names_of_their_messages() {
        let names = [
            proto::ModelCreated::full_name(),
            proto::ModelDescribed::full_name(),
            proto::ModelDeleted::full_name(),
            proto::VersionDeleted::full_name(),
            proto::ModelVersionCreated::full_name(),
            proto::ModelVersionDescribed::full_name(),
        ];
        assert_eq!(KINDS.as_slice(), names.as_slice());
    }
}
