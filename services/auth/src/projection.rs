use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::{Aggregate, Time};
use cairn_projection::rusqlite::{Transaction, params};
use cairn_projection::{Copied, Projection, ProjectionFault};

use cairn_access::KeyUse;
use prost::Message;

use crate::key_use;
use crate::model::{
    Binding, BreakGlass, Group, Guardrail, Key, Organization, Project, Role, ServiceAccount, User, binding,
    break_glass, group, guardrail, key, organization, project, role, service_account, user,
};
use crate::stored;

/// Writes the tables that lists and answers are read from. Nothing here says who a person is.
pub struct Directory;

impl Projection for Directory {
    const NAME: &'static str = "auth.directory.v4";
    const PAST: Option<&'static str> = Some("auth.directory.v4.past");
    const SCHEMA: &'static str = include_str!("schema.sql");
    // Hashes of keys are in no view. What people read has the names of the tables.
    const COPIED: Option<Copied> = Some(Copied {
        left_out: &[],
        renamed: &[
            ("organizations", "organization"),
            ("projects", "project"),
            ("bindings", "binding"),
            ("keys", "key"),
        ],
        readable: include_str!("readable.sql"),
    });

    fn filter(&self) -> Filter {
        Filter::categories([
            Organization::CATEGORY,
            Project::CATEGORY,
            User::CATEGORY,
            ServiceAccount::CATEGORY,
            Group::CATEGORY,
            Role::CATEGORY,
            Guardrail::CATEGORY,
            Key::CATEGORY,
            key_use::CATEGORY,
            Binding::CATEGORY,
            BreakGlass::CATEGORY,
        ])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for recorded in events {
            let (kind, payload) = (&*recorded.kind, &*recorded.payload);
            match recorded.stream.category() {
                Organization::CATEGORY => apply_organization(tx, recorded, Organization::decode(kind, payload)?)?,
                Group::CATEGORY => apply_group(tx, recorded, Group::decode(kind, payload)?)?,
                Guardrail::CATEGORY => apply_guardrail(tx, recorded, &Guardrail::decode(kind, payload)?)?,
                Role::CATEGORY => apply_role(tx, recorded, Role::decode(kind, payload)?)?,
                Project::CATEGORY => apply_project(tx, recorded, Project::decode(kind, payload)?)?,
                User::CATEGORY => apply_user(tx, recorded, User::decode(kind, payload)?)?,
                ServiceAccount::CATEGORY => {
                    apply_service_account(tx, recorded, ServiceAccount::decode(kind, payload)?)?;
                }
                Key::CATEGORY => apply_key(tx, recorded, Key::decode(kind, payload)?)?,
                key_use::CATEGORY => apply_key_use(tx, &key_use::decode(payload)?)?,
                BreakGlass::CATEGORY => apply_break_glass(tx, recorded, BreakGlass::decode(kind, payload)?)?,
                Binding::CATEGORY => apply_binding(tx, recorded, Binding::decode(kind, payload)?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn apply_project(tx: &Transaction<'_>, recorded: &Recorded, event: project::Event) -> Result<(), ProjectionFault> {
    let name = event.project.as_str();
    let sql = match &event.change {
        project::Change::Created { title, description, organization } => {
            let sql = "INSERT OR REPLACE INTO projects (name, title, description, organization, state, create_time) \
                       VALUES (?1, ?2, ?3, ?4, 'active', ?5)";
            let (time, organization) = (recorded.time.micros(), organization.as_str());
            let row = params![name, title.as_str(), description.as_str(), organization, time];
            tx.prepare_cached(sql)?.execute(row)?;
            None
        }
        project::Change::Classified { .. } => {
            let sql = "UPDATE projects SET tags = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, &*recorded.payload])?;
            None
        }
        project::Change::QuotaSet { .. } => {
            let sql = "UPDATE projects SET quota = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, &*recorded.payload])?;
            None
        }
        project::Change::Described { title, description } => {
            let sql = "UPDATE projects SET title = ?2, description = ?3 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, title.as_str(), description.as_str()])?;
            None
        }
        project::Change::Deleted => Some("UPDATE projects SET state = 'deleted' WHERE name = ?1"),
        project::Change::Restored => Some("UPDATE projects SET state = 'active' WHERE name = ?1"),
    };
    if let Some(sql) = sql {
        tx.prepare_cached(sql)?.execute([name])?;
    }
    touch(tx, "projects", name, recorded)
}

fn apply_user(tx: &Transaction<'_>, recorded: &Recorded, event: user::Event) -> Result<(), ProjectionFault> {
    let name = event.user.as_str();
    match event.change {
        user::Change::Created => {
            let sql = "INSERT OR REPLACE INTO users (name, state, create_time) VALUES (?1, 'active', ?2)";
            tx.prepare_cached(sql)?.execute(params![name, recorded.time.micros()])?;
        }
        user::Change::Described { .. } | user::Change::Erased { .. } => {}
        user::Change::Enabled => set_state(tx, "users", name, "active")?,
        user::Change::Disabled { .. } => set_state(tx, "users", name, "disabled")?,
        user::Change::Deleted => set_state(tx, "users", name, "deleted")?,
    }
    touch(tx, "users", name, recorded)
}

fn apply_service_account(
    tx: &Transaction<'_>,
    recorded: &Recorded,
    event: service_account::Event,
) -> Result<(), ProjectionFault> {
    let name = event.service_account.as_str();
    match event.change {
        service_account::Change::Created { title, description, organization } => {
            let sql = "INSERT OR REPLACE INTO service_accounts \
                       (name, title, description, organization, state, create_time) \
                       VALUES (?1, ?2, ?3, ?4, 'active', ?5)";
            let organization = organization.as_ref().map_or("", |organization| organization.as_str());
            let time = recorded.time.micros();
            let row = params![name, title.as_str(), description.as_str(), organization, time];
            tx.prepare_cached(sql)?.execute(row)?;
        }
        service_account::Change::Described { title, description } => {
            let sql = "UPDATE service_accounts SET title = ?2, description = ?3 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, title.as_str(), description.as_str()])?;
        }
        service_account::Change::Enabled => set_state(tx, "service_accounts", name, "active")?,
        service_account::Change::Disabled { .. } => set_state(tx, "service_accounts", name, "disabled")?,
        service_account::Change::Deleted => set_state(tx, "service_accounts", name, "deleted")?,
    }
    touch(tx, "service_accounts", name, recorded)
}

fn apply_key(tx: &Transaction<'_>, recorded: &Recorded, event: key::Event) -> Result<(), ProjectionFault> {
    let name = event.key.as_str();
    let now = recorded.time.micros();
    match event.change {
        key::Change::Created(grounds) => {
            let scopes: Vec<String> = grounds.scopes.iter().map(ToString::to_string).collect();
            let sql = "INSERT OR REPLACE INTO keys \
                       (name, owner, title, scopes, permissions, expire_time, is_bootstrap, create_time) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            tx.prepare_cached(sql)?.execute(params![
                name,
                grounds.owner.as_str(),
                grounds.title.as_str(),
                scopes.join("\n"),
                grounds.permissions.join("\n"),
                grounds.expire_time.map(Time::micros),
                grounds.is_bootstrap,
                now,
            ])?;
        }
        key::Change::Rotated { expire_time, previous_secret_expire_time, .. } => {
            let sql = "UPDATE keys SET expire_time = ?2, previous_secret_expire_time = ?3 WHERE name = ?1";
            let previous = previous_secret_expire_time.map(Time::micros);
            tx.prepare_cached(sql)?.execute(params![name, expire_time.map(Time::micros), previous])?;
        }
        key::Change::Revoked { .. } => {
            tx.prepare_cached("UPDATE keys SET revoke_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
        key::Change::BootstrapUsed => {}
    }
    touch(tx, "keys", name, recorded)
}

/// Not a change of the key: its etag stays.
fn apply_key_use(tx: &Transaction<'_>, used: &KeyUse) -> Result<(), ProjectionFault> {
    let sql = "UPDATE keys SET last_use_time = max(coalesce(last_use_time, 0), ?2) WHERE name = ?1";
    tx.prepare_cached(sql)?.execute(params![used.key, used.time.micros()])?;
    Ok(())
}

fn apply_binding(tx: &Transaction<'_>, recorded: &Recorded, event: binding::Event) -> Result<(), ProjectionFault> {
    let name = event.binding.as_str();
    let now = recorded.time.micros();
    match event.change {
        binding::Change::Granted { terms, reason } => {
            let sql = "INSERT OR REPLACE INTO bindings \
                       (name, principal, role, resource, denies, permissions, source, condition, expire_time, reason, \
                        creator, create_time) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
            let permissions = match &terms.object {
                binding::Object::Denied(permissions) => permissions.join("\n"),
                binding::Object::Role(_) | binding::Object::DeniedRole(_) => String::new(),
            };
            let source = match terms.source {
                binding::Source::Manual => "manual",
                binding::Source::Idp => "idp",
                binding::Source::BreakGlass => "break_glass",
            };
            let condition = terms.condition.as_ref();
            let condition = condition.map(|condition| stored::binding::condition(condition).encode_to_vec());
            tx.prepare_cached(sql)?.execute(params![
                name,
                terms.principal.as_str(),
                terms.object.role().map_or("", |role| role.as_str()),
                terms.resource.as_str(),
                terms.object.denies(),
                permissions,
                source,
                condition,
                terms.expire_time.map(Time::micros),
                reason.as_str(),
                recorded.metadata().principal,
                now,
            ])?;
        }
        binding::Change::Withdrawn { .. } => {
            tx.prepare_cached("UPDATE bindings SET delete_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
    }
    touch(tx, "bindings", name, recorded)
}

fn apply_organization(
    tx: &Transaction<'_>,
    recorded: &Recorded,
    event: organization::Event,
) -> Result<(), ProjectionFault> {
    let name = event.organization.as_str();
    // The default organization may be described without ever having been created.
    tx.prepare_cached("INSERT OR IGNORE INTO organizations (name) VALUES (?1)")?.execute([name])?;
    match &event.change {
        organization::Change::Created { title, description } => {
            let sql = "UPDATE organizations SET title = ?2, description = ?3, create_time = ?4 WHERE name = ?1";
            let row = params![name, title.as_str(), description.as_str(), recorded.time.micros()];
            tx.prepare_cached(sql)?.execute(row)?;
        }
        organization::Change::Described { title, description } => {
            let sql = "UPDATE organizations SET title = ?2, description = ?3 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, title.as_str(), description.as_str()])?;
        }
        organization::Change::DutiesSeparated { .. } => {
            let sql = "UPDATE organizations SET separated = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, &*recorded.payload])?;
        }
        organization::Change::Deleted => set_state(tx, "organizations", name, "deleted")?,
        organization::Change::Restored => set_state(tx, "organizations", name, "active")?,
    }
    touch(tx, "organizations", name, recorded)
}

fn apply_group(tx: &Transaction<'_>, recorded: &Recorded, event: group::Event) -> Result<(), ProjectionFault> {
    let name = event.group.as_str();
    match &event.change {
        group::Change::Created { about } => {
            let sql = "INSERT OR REPLACE INTO groups \
                       (name, display_name, description, external_id, state, create_time) \
                       VALUES (?1, ?2, ?3, ?4, 'active', ?5)";
            let group::About { display_name, description, external_id } = about;
            let (description, external_id) = (description.as_str(), external_id.as_str());
            let row = params![name, display_name.as_str(), description, external_id, recorded.time.micros()];
            tx.prepare_cached(sql)?.execute(row)?;
        }
        group::Change::Described { about } => {
            let sql = "UPDATE groups SET display_name = ?2, description = ?3, external_id = ?4 WHERE name = ?1";
            let group::About { display_name, description, external_id } = about;
            let row = params![name, display_name.as_str(), description.as_str(), external_id.as_str()];
            tx.prepare_cached(sql)?.execute(row)?;
        }
        group::Change::MembersAdded { members } => {
            let sql = "INSERT OR REPLACE INTO group_members (group_name, member) VALUES (?1, ?2)";
            for member in members {
                tx.prepare_cached(sql)?.execute([name, member.as_str()])?;
            }
        }
        group::Change::MembersRemoved { members } => {
            let sql = "DELETE FROM group_members WHERE group_name = ?1 AND member = ?2";
            for member in members {
                tx.prepare_cached(sql)?.execute([name, member.as_str()])?;
            }
        }
        group::Change::Deleted => set_state(tx, "groups", name, "deleted")?,
    }
    if matches!(&event.change, group::Change::MembersAdded { .. } | group::Change::MembersRemoved { .. }) {
        let sql = "UPDATE groups SET member_count = (SELECT count(*) FROM group_members WHERE group_name = ?1) \
                   WHERE name = ?1";
        tx.prepare_cached(sql)?.execute([name])?;
    }
    touch(tx, "groups", name, recorded)
}

fn apply_role(tx: &Transaction<'_>, recorded: &Recorded, event: role::Event) -> Result<(), ProjectionFault> {
    let name = event.role.as_str();
    let lines = |words: &BTreeSet<String>| words.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let now = recorded.time.micros();
    match &event.change {
        role::Change::Created { description, permissions } => {
            let sql = "INSERT OR REPLACE INTO roles (name, description, permissions, create_time) \
                       VALUES (?1, ?2, ?3, ?4)";
            tx.prepare_cached(sql)?.execute(params![name, description.as_str(), lines(permissions), now])?;
        }
        role::Change::Redefined { description, permissions } => {
            let sql = "UPDATE roles SET description = ?2, permissions = ?3 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, description.as_str(), lines(permissions)])?;
        }
        role::Change::Deleted => {
            tx.prepare_cached("UPDATE roles SET delete_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
    }
    touch(tx, "roles", name, recorded)
}

fn apply_guardrail(tx: &Transaction<'_>, recorded: &Recorded, event: &guardrail::Event) -> Result<(), ProjectionFault> {
    let name = event.guardrail.as_str();
    let now = recorded.time.micros();
    match &event.change {
        guardrail::Change::Created(_) => {
            let sql = "INSERT OR REPLACE INTO guardrails (name, definition, create_time) VALUES (?1, ?2, ?3)";
            tx.prepare_cached(sql)?.execute(params![name, &*recorded.payload, now])?;
        }
        guardrail::Change::Redefined(_) => {
            let sql = "UPDATE guardrails SET definition = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, &*recorded.payload])?;
        }
        guardrail::Change::Deleted => {
            tx.prepare_cached("UPDATE guardrails SET delete_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
    }
    touch(tx, "guardrails", name, recorded)
}

fn apply_break_glass(
    tx: &Transaction<'_>,
    recorded: &Recorded,
    event: break_glass::Event,
) -> Result<(), ProjectionFault> {
    let name = event.activation.as_str();
    let now = recorded.time.micros();
    match &event.change {
        break_glass::Change::Requested(request) => {
            let sql = "INSERT OR REPLACE INTO break_glass \
                       (name, principal, resource, reason, ticket, life, activate_time, create_time) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            tx.prepare_cached(sql)?.execute(params![
                name,
                request.principal.as_str(),
                request.resource.as_str(),
                request.reason.as_str(),
                request.ticket.as_str(),
                i64::try_from(request.life.as_micros()).unwrap_or(i64::MAX),
                request.activate_time.micros(),
                now,
            ])?;
        }
        break_glass::Change::Activated { approver, expire_time, review_due_time } => {
            let sql = "UPDATE break_glass SET approver = ?2, start_time = ?3, expire_time = ?4, review_due_time = ?5 \
                       WHERE name = ?1";
            let approver = approver.as_ref().map_or("", |approver| approver.as_str());
            let row = params![name, approver, now, expire_time.micros(), review_due_time.micros()];
            tx.prepare_cached(sql)?.execute(row)?;
        }
        break_glass::Change::Ended { .. } => {
            tx.prepare_cached("UPDATE break_glass SET end_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
        break_glass::Change::Reviewed { review } => {
            let sql = "UPDATE break_glass SET review_time = ?2, reviewer = ?3, review = ?4 WHERE name = ?1";
            let row = params![name, now, recorded.metadata().principal, review.as_str()];
            tx.prepare_cached(sql)?.execute(row)?;
        }
    }
    touch(tx, "break_glass", name, recorded)
}

fn set_state(tx: &Transaction<'_>, table: &str, name: &str, state: &str) -> Result<(), ProjectionFault> {
    tx.prepare_cached(&format!("UPDATE {table} SET state = ?2 WHERE name = ?1"))?.execute([name, state])?;
    Ok(())
}

/// Notes the revision, which is the etag, and the time of the last change.
fn touch(tx: &Transaction<'_>, table: &str, name: &str, recorded: &Recorded) -> Result<(), ProjectionFault> {
    let revision = i64::try_from(recorded.revision.0).unwrap_or(i64::MAX);
    let sql = format!("UPDATE {table} SET revision = ?2, update_time = ?3 WHERE name = ?1");
    tx.prepare_cached(&sql)?.execute(params![name, revision, recorded.time.micros()])?;
    Ok(())
}
