use std::collections::BTreeMap;

use cairn_eventstore::Recorded;
use rusqlite::{Connection, params};

use super::{is_prompt, revision, row};
use crate::model::entry::tag;
use crate::model::registered::{Change, Event};
use crate::model::{ModelName, Stage};

pub(super) fn apply(tx: &Connection, recorded: &Recorded, event: &Event) -> rusqlite::Result<()> {
    let name = &event.model;
    if let Change::Created { display_name, description, tags } = &event.change {
        tx.prepare_cached(
            "INSERT INTO model (project, model, display_name, description, is_prompt, create_us, update_us, creator, etag)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)",
        )?
        .execute(params![
            name.project(),
            name.model(),
            display_name,
            description,
            is_prompt(tags).unwrap_or_default(),
            recorded.time.micros(),
            recorded.metadata().principal,
            revision(recorded),
        ])?;
        return set_tags(tx, name, tx.last_insert_rowid(), tags);
    }
    let Some(id) = row(tx, name)? else { return Ok(()) };
    let now = recorded.time.micros();
    tx.prepare_cached("UPDATE model SET etag = ?2, update_us = ?3 WHERE id = ?1")?.execute(params![
        id,
        revision(recorded),
        now
    ])?;
    match &event.change {
        Change::Imported(origin) => {
            tx.prepare_cached("UPDATE model SET create_us = ?2 WHERE id = ?1")?
                .execute(params![id, origin.create_time.micros()])?;
        }
        Change::Renamed { to, .. } => {
            tx.prepare_cached("UPDATE model SET display_name = ?2 WHERE id = ?1")?.execute(params![id, to])?;
        }
        Change::Described(description) => {
            tx.prepare_cached("UPDATE model SET description = ?2 WHERE id = ?1")?.execute(params![id, description])?;
        }
        Change::TagsSet(tags) => {
            set_tags(tx, name, id, tags)?;
            if let Some(is_prompt) = is_prompt(tags) {
                set_prompt(tx, id, is_prompt)?;
            }
        }
        Change::TagsDeleted(keys) => {
            let mut delete = tx.prepare_cached("DELETE FROM model_tag WHERE model = ?1 AND key = ?2")?;
            for key in keys {
                delete.execute(params![id, key])?;
            }
            if keys.iter().any(|key| key == tag::IS_PROMPT) {
                set_prompt(tx, id, false)?;
            }
        }
        Change::Deleted => delete(tx, id)?,
        Change::Numbered { request, .. } if request.is_empty() => {}
        Change::Numbered { version, request } => {
            tx.prepare_cached("INSERT OR IGNORE INTO version_request (model, request, number) VALUES (?1, ?2, ?3)")?
                .execute(params![name.as_str(), request, version.0])?;
        }
        Change::VersionDeleted(version) => {
            tx.prepare_cached(
                "DELETE FROM version_tag WHERE version = (SELECT id FROM version WHERE model = ?1 AND number = ?2)",
            )?
            .execute(params![id, version.0])?;
            tx.prepare_cached("DELETE FROM version WHERE model = ?1 AND number = ?2")?
                .execute(params![id, version.0])?;
        }
        Change::AliasMoved { alias, to, .. } => {
            tx.prepare_cached("INSERT OR REPLACE INTO alias (model, alias, number) VALUES (?1, ?2, ?3)")?
                .execute(params![id, alias.as_str(), to.0])?;
        }
        Change::AliasRemoved { alias, .. } => {
            tx.prepare_cached("DELETE FROM alias WHERE model = ?1 AND alias = ?2")?
                .execute(params![id, alias.as_str()])?;
        }
        Change::StageMoved { version, to, .. } => {
            tx.prepare_cached("UPDATE version SET stage = ?3, update_us = ?4 WHERE model = ?1 AND number = ?2")?
                .execute(params![id, version.0, Stage::as_str(*to), now])?;
        }
        Change::Created { .. }
        | Change::TermsSet { .. }
        | Change::Requested { .. }
        | Change::Approved { .. }
        | Change::Rejected { .. }
        | Change::Withdrawn { .. }
        | Change::Completed { .. }
        | Change::Bypassed { .. } => {}
    }
    Ok(())
}

fn set_tags(tx: &Connection, name: &ModelName, id: i64, tags: &BTreeMap<String, String>) -> rusqlite::Result<()> {
    let mut set =
        tx.prepare_cached("INSERT OR REPLACE INTO model_tag (project, model, key, value) VALUES (?1, ?2, ?3, ?4)")?;
    for (key, value) in tags {
        set.execute(params![name.project(), id, key, value])?;
    }
    Ok(())
}

fn set_prompt(tx: &Connection, id: i64, is_prompt: bool) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE model SET is_prompt = ?2 WHERE id = ?1")?.execute(params![id, is_prompt])?;
    Ok(())
}

/// A model that is gone takes everything with it but its promotions.
fn delete(tx: &Connection, id: i64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM version_tag WHERE version IN (SELECT id FROM version WHERE model = ?1)",
        "DELETE FROM version WHERE model = ?1",
        "DELETE FROM alias WHERE model = ?1",
        "DELETE FROM model_tag WHERE model = ?1",
        "DELETE FROM model WHERE id = ?1",
    ] {
        tx.prepare_cached(sql)?.execute([id])?;
    }
    Ok(())
}
