use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::Aggregate;
use cairn_projection::{Copied, Projection, ProjectionFault};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::revision_of;
use crate::model::Function;
use crate::model::function::{Change, Document, Event, FunctionName, Package, VersionId};

/// Writes every revision of every function, and its versions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Functions;

impl Projection for Functions {
    const NAME: &'static str = "registry.functions.v1";
    const SCHEMA: &'static str = include_str!("schema.sql");
    const COPIED: Option<Copied> = Some(Copied::WHOLE);
    const READER_INDEXES: &'static [&'static str] = &["function_revision_by_event", "function_version_by_object"];

    fn filter(&self) -> Filter {
        Filter::categories([Function::CATEGORY])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for recorded in events {
            let event = Function::decode(&recorded.kind, &recorded.payload)?;
            match &event.change {
                Change::Created { document, .. } | Change::Revised { document, .. } => {
                    revise(tx, recorded, &event, Some(document))?;
                }
                Change::Deleted { .. } => {
                    revise(tx, recorded, &event, None)?;
                    withdraw(tx, recorded, &event.function)?;
                }
                Change::Published { version, package } => publish(tx, recorded, &event.function, version, package)?,
            }
        }
        Ok(())
    }
}

/// Adds a revision. Without a document it is a deletion, which shows what was there last.
fn revise(tx: &Connection, recorded: &Recorded, event: &Event, document: Option<&Document>) -> rusqlite::Result<()> {
    let name = &event.function;
    let principal = recorded.metadata().principal;
    let before = tx
        .prepare_cached(
            "SELECT description, labels, spec, create_us, creator, is_deleted FROM function_revision
             WHERE project = ?1 AND function = ?2 AND is_newest = 1",
        )?
        .query_row(params![name.project(), name.function()], |row| {
            let kept = (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?);
            Ok((kept, (row.get::<_, i64>(3)?, row.get::<_, String>(4)?), row.get::<_, bool>(5)?))
        })
        .optional()?;
    tx.prepare_cached(
        "UPDATE function_revision SET is_newest = 0 WHERE project = ?1 AND function = ?2 AND is_newest = 1",
    )?
    .execute(params![name.project(), name.function()])?;
    // A function that comes back after its deletion begins anew.
    let (kept, born) = match before {
        Some((kept, born, false)) => (kept, born),
        _ => (Default::default(), (recorded.time.micros(), principal.clone())),
    };
    let (description, labels, spec) = match document {
        Some(document) => text_of(document),
        None => kept,
    };
    tx.prepare_cached(
        "INSERT INTO function_revision (project, function, position, time_us, event, revision, is_newest, is_deleted,
           description, labels, spec, create_us, creator, updater, etag)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        name.project(),
        name.function(),
        recorded.position.0 as i64,
        recorded.time.micros(),
        recorded.id.as_bytes().as_slice(),
        revision_of(&event.change),
        document.is_none(),
        description,
        labels,
        spec,
        born.0,
        born.1,
        principal,
        recorded.revision.0 as i64,
    ])?;
    Ok(())
}

/// From here on the versions of a function are not handed out.
fn withdraw(tx: &Connection, recorded: &Recorded, name: &FunctionName) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE function_version SET gone_position = ?3
         WHERE project = ?1 AND function = ?2 AND gone_position IS NULL",
    )?
    .execute(params![name.project(), name.function(), recorded.position.0 as i64])?;
    Ok(())
}

fn publish(
    tx: &Connection,
    recorded: &Recorded,
    name: &FunctionName,
    version: &VersionId,
    package: &Package,
) -> rusqlite::Result<()> {
    let (description, labels, spec) = text_of(&package.document);
    tx.prepare_cached(
        "INSERT INTO function_version (project, function, version, position, time_us, description, labels, spec, sha256,
           size, signature, object_key, creator, etag)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        name.project(),
        name.function(),
        version.as_str(),
        recorded.position.0 as i64,
        recorded.time.micros(),
        description,
        labels,
        spec,
        package.sha256,
        i64::try_from(package.size).unwrap_or(i64::MAX),
        package.signature,
        package.object_key,
        recorded.metadata().principal,
        recorded.revision.0 as i64,
    ])?;
    Ok(())
}

/// Description, and labels and spec as JSON.
fn text_of(document: &Document) -> (String, String, String) {
    let json = document.to_json();
    (document.description.clone(), json["labels"].to_string(), json["spec"].to_string())
}
