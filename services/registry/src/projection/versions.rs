use std::collections::BTreeMap;

use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::Recorded;
use prost::Message;
use rusqlite::{Connection, OptionalExtension, params};

use super::{is_prompt, revision, row};
use crate::model::entry::tag;
use crate::model::version::{Change, Event};
use crate::model::{Stage, VersionName};

pub(super) fn apply(tx: &Connection, recorded: &Recorded, event: &Event) -> rusqlite::Result<()> {
    let name = &event.version;
    let Some(model) = row(tx, &name.parent())? else { return Ok(()) };
    if let Change::Created { description, tags, facts, .. } = &event.change {
        let is_prompt = is_prompt(tags).unwrap_or_default();
        // The last part of the run's name is how MLflow's clients search for it.
        let run = facts.source_run.rsplit('/').next().unwrap_or_default();
        tx.prepare_cached(
            "INSERT INTO version (project, model, number, stage, description, is_prompt, run, source_uri, framework,
               facts, create_us, update_us, creator, etag)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, ?13)",
        )?
        .execute(params![
            name.parent().project(),
            model,
            name.number().0,
            Stage::default().as_str(),
            description,
            is_prompt,
            run,
            facts.source_uri,
            facts.framework,
            kept(&recorded.payload),
            recorded.time.micros(),
            recorded.metadata().principal,
            revision(recorded),
        ])?;
        return set_tags(tx, name, tx.last_insert_rowid(), tags);
    }
    // A change may land just after its version was deleted.
    let found: Option<i64> = tx
        .prepare_cached("SELECT id FROM version WHERE model = ?1 AND number = ?2")?
        .query_row(params![model, name.number().0], |row| row.get(0))
        .optional()?;
    let Some(id) = found else { return Ok(()) };
    tx.prepare_cached("UPDATE version SET etag = ?2, update_us = ?3 WHERE id = ?1")?.execute(params![
        id,
        revision(recorded),
        recorded.time.micros()
    ])?;
    match &event.change {
        Change::Created { .. } => {}
        Change::Imported(origin) => {
            tx.prepare_cached("UPDATE version SET create_us = ?2 WHERE id = ?1")?
                .execute(params![id, origin.create_time.micros()])?;
        }
        Change::Described(description) => {
            tx.prepare_cached("UPDATE version SET description = ?2 WHERE id = ?1")?
                .execute(params![id, description])?;
        }
        Change::TagsSet(tags) => {
            set_tags(tx, name, id, tags)?;
            if let Some(is_prompt) = is_prompt(tags) {
                set_prompt(tx, id, is_prompt)?;
            }
        }
        Change::TagsDeleted(keys) => {
            let mut delete = tx.prepare_cached("DELETE FROM version_tag WHERE version = ?1 AND key = ?2")?;
            for key in keys {
                delete.execute(params![id, key])?;
            }
            if keys.iter().any(|key| key == tag::IS_PROMPT) {
                set_prompt(tx, id, false)?;
            }
        }
    }
    Ok(())
}

/// What of a version's first event never changes.
fn kept(payload: &[u8]) -> Vec<u8> {
    let message = proto::ModelVersionCreated::decode(payload).unwrap_or_default();
    // The list of files is kept once, in a view of its own.
    let (version, description, tags, artifacts) = (String::new(), String::new(), BTreeMap::new(), vec![]);
    proto::ModelVersionCreated { version, description, tags, artifacts, ..message }.encode_to_vec()
}

fn set_tags(tx: &Connection, name: &VersionName, id: i64, tags: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    let mut set =
        tx.prepare_cached("INSERT OR REPLACE INTO version_tag (project, version, key, value) VALUES (?1, ?2, ?3, ?4)")?;
    let model = name.parent();
    for (key, value) in tags {
        set.execute(params![model.project(), id, key, value])?;
    }
    Ok(())
}

fn set_prompt(tx: &Connection, id: i64, is_prompt: bool) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE version SET is_prompt = ?2 WHERE id = ?1")?.execute(params![id, is_prompt])?;
    Ok(())
}
