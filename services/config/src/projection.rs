use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::Aggregate;
use cairn_projection::rusqlite::{Transaction, params};
use cairn_projection::{Copied, Projection, ProjectionFault};
use serde_json::json;

use crate::model::scope::{self, Happened, Scope};
use crate::model::secret::{self, Secret};
use crate::model::{EnvironmentId, EnvironmentName, SecretName};

/// Writes the tables that lists and answers are read from. Of a secret's value they have what the log has: sealed bytes.
pub struct Directory;

impl Projection for Directory {
    const NAME: &'static str = "config.directory.v1";
    const PAST: Option<&'static str> = Some("config.directory.v1.past");
    const SCHEMA: &'static str = include_str!("schema.sql");
    // Secrets leave the platform through its own doors alone, sealed or not.
    const COPIED: Option<Copied> = Some(Copied {
        left_out: &["secret_versions.sealed"],
        renamed: &[("secrets", "secret")],
        readable: include_str!("readable.sql"),
    });

    fn filter(&self) -> Filter {
        Filter::categories([Secret::CATEGORY, Scope::CATEGORY])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for recorded in events {
            let (kind, payload) = (&*recorded.kind, &*recorded.payload);
            match recorded.stream.category() {
                Secret::CATEGORY => apply_secret(tx, recorded, Secret::decode(kind, payload)?)?,
                Scope::CATEGORY => apply_scope(tx, recorded, Scope::decode(kind, payload)?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn apply_secret(tx: &Transaction<'_>, recorded: &Recorded, event: secret::Event) -> Result<(), ProjectionFault> {
    let name = event.secret.as_str();
    let now = recorded.time.micros();
    match event.change {
        secret::Change::Created(description) => {
            // One that was deleted keeps its versions.
            let sql = "INSERT INTO secrets (name, description, is_deleted, create_time, update_time, revision) \
                       VALUES (?1, ?2, 0, ?3, ?3, 0) ON CONFLICT (name) DO UPDATE SET \
                       description = excluded.description, is_deleted = 0, create_time = excluded.create_time";
            tx.prepare_cached(sql)?.execute(params![name, description.as_str(), now])?;
        }
        secret::Change::Described(description) => {
            let sql = "UPDATE secrets SET description = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, description.as_str()])?;
        }
        secret::Change::Added(number, value) => {
            let sql = "INSERT OR REPLACE INTO secret_versions \
                       (secret, number, state, sealed, creator, create_time, update_time) \
                       VALUES (?1, ?2, 'enabled', ?3, ?4, ?5, ?5)";
            let creator = recorded.metadata().principal;
            tx.prepare_cached(sql)?.execute(params![name, number, &*value.0, creator, now])?;
            let sql = "UPDATE secrets SET last_version = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, number])?;
        }
        secret::Change::Disabled(number) => set_state(tx, &event.secret, number, "disabled", now)?,
        secret::Change::Enabled(number) => set_state(tx, &event.secret, number, "enabled", now)?,
        secret::Change::Destroyed(number, _) => set_state(tx, &event.secret, number, "destroyed", now)?,
        secret::Change::Deleted => {
            tx.prepare_cached("UPDATE secrets SET is_deleted = 1 WHERE name = ?1")?.execute([name])?;
            let sql = "UPDATE secret_versions SET state = 'destroyed', sealed = x'', update_time = ?2 \
                       WHERE secret = ?1 AND state <> 'destroyed'";
            tx.prepare_cached(sql)?.execute(params![name, now])?;
        }
    }
    let sql = "UPDATE secrets SET revision = ?2, update_time = ?3, latest_version = coalesce( \
               (SELECT max(number) FROM secret_versions WHERE secret = ?1 AND state = 'enabled'), 0) WHERE name = ?1";
    let revision = i64::try_from(recorded.revision.0).unwrap_or(i64::MAX);
    tx.prepare_cached(sql)?.execute(params![name, revision, now])?;
    Ok(())
}

fn set_state(
    tx: &Transaction<'_>,
    secret: &SecretName,
    number: u32,
    state: &str,
    now: i64,
) -> Result<(), ProjectionFault> {
    let sql = "UPDATE secret_versions SET state = ?3, update_time = ?4, \
               sealed = CASE ?3 WHEN 'destroyed' THEN x'' ELSE sealed END WHERE secret = ?1 AND number = ?2";
    tx.prepare_cached(sql)?.execute(params![secret.as_str(), number, state, now])?;
    Ok(())
}

fn apply_scope(tx: &Transaction<'_>, recorded: &Recorded, event: scope::Event) -> Result<(), ProjectionFault> {
    let scope = &event.scope;
    let now = recorded.time.micros();
    let environment = |id: &EnvironmentId| EnvironmentName::of(scope, id).to_string();
    match event.change {
        Happened::EnvironmentCreated { id, inherits, description } => {
            let inherits = inherits.as_ref().map(environment).unwrap_or_default();
            let sql = "INSERT INTO environments \
                       (name, inherits, description, is_deleted, revision, create_time, update_time) \
                       VALUES (?1, ?2, ?3, 0, 0, ?4, ?4) ON CONFLICT (name) DO UPDATE SET inherits = ?2, \
                       description = ?3, is_deleted = 0, create_time = ?4, update_time = ?4";
            tx.prepare_cached(sql)?.execute(params![environment(&id), inherits, description.as_str(), now])?;
        }
        Happened::EnvironmentDeleted(id) => {
            let name = environment(&id);
            let sql = "UPDATE entries SET to_revision = 1 + \
                       (SELECT revision FROM environments WHERE name = ?1) WHERE environment = ?1 AND to_revision IS NULL";
            tx.prepare_cached(sql)?.execute([&name])?;
            let sql = "UPDATE environments SET is_deleted = 1, update_time = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, now])?;
        }
        Happened::Revised { id, revision, changes, reason, rolled_back_to, .. } => {
            let (name, author) = (environment(&id), recorded.metadata().principal);
            if scope.is_root() {
                let sql = "INSERT OR IGNORE INTO environments \
                           (name, inherits, description, is_deleted, revision, create_time, update_time) \
                           VALUES (?1, '', '', 0, 0, ?2, ?2)";
                tx.prepare_cached(sql)?.execute(params![name, now])?;
            }
            for change in &changes {
                let sql = "UPDATE entries SET to_revision = ?3 WHERE environment = ?1 AND key = ?2 AND to_revision IS NULL \
                           AND from_revision < ?3";
                tx.prepare_cached(sql)?.execute(params![name, change.key.as_str(), revision])?;
                let Some(value) = &change.value else { continue };
                let sql = "INSERT OR REPLACE INTO entries \
                           (environment, key, from_revision, value, author, set_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                let values = params![name, change.key.as_str(), revision, value.text(), author, now];
                tx.prepare_cached(sql)?.execute(values)?;
            }
            let changes: Vec<_> = changes
                .iter()
                .map(|change| json!([change.key.as_str(), change.value.as_ref().map(|value| value.text())]))
                .collect();
            let sql = "INSERT OR REPLACE INTO revisions \
                       (environment, revision, author, reason, changes, rolled_back_to, create_time) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let changes = json!(changes).to_string();
            tx.prepare_cached(sql)?.execute(params![
                name,
                revision,
                author,
                reason.as_str(),
                changes,
                rolled_back_to,
                now
            ])?;
            let sql = "UPDATE environments SET revision = ?2, update_time = ?3 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, revision, now])?;
        }
        // How a rollout fares is in the log, and in the state that processes go by.
        Happened::Reported { .. } => {}
        Happened::SchemaDeclared { key, schema } => {
            let sql = "INSERT OR REPLACE INTO schemas (name, scope, key, schema, author, set_time) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let (name, author) = (format!("{scope}/schemas/{key}"), recorded.metadata().principal);
            let values = params![name, scope.as_str(), key.as_str(), schema.text(), author, now];
            tx.prepare_cached(sql)?.execute(values)?;
        }
        Happened::SchemaWithdrawn(key) => {
            let name = format!("{scope}/schemas/{key}");
            tx.prepare_cached("DELETE FROM schemas WHERE name = ?1")?.execute([name])?;
        }
    }
    Ok(())
}
