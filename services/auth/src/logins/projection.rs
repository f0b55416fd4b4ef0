use std::sync::Arc;

use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{Filter, Recorded, Stored};
use cairn_kernel::Aggregate;
use cairn_projection::rusqlite::{Transaction, params};
use cairn_projection::{Copied, Projection, ProjectionFault};
use prost::Message;

use crate::model::session::{Change, Event};
use crate::model::{
    IdentityProvider, OauthClient, ServiceAccount, Session, TrustRule, User, identity_provider, oauth_client,
    service_account, trust_rule, user,
};
use crate::stored::{read, settings};

/// Writes the tables. Nothing here says who a person is, and no secret of a provider comes here.
pub struct Logins;

impl Projection for Logins {
    const NAME: &'static str = "auth.logins.v2";
    const PAST: Option<&'static str> = Some("auth.logins.v2.past");
    const SCHEMA: &'static str = include_str!("schema.sql");
    // What a provider calls a session stays here, and how it is talked to.
    const COPIED: Option<Copied> = Some(Copied {
        left_out: &["identity_providers.settings", "sessions.provider_session"],
        renamed: &[("sessions", "session")],
        readable: include_str!("readable.sql"),
    });

    fn filter(&self) -> Filter {
        Filter::categories([
            IdentityProvider::CATEGORY,
            Session::CATEGORY,
            OauthClient::CATEGORY,
            TrustRule::CATEGORY,
            User::CATEGORY,
            ServiceAccount::CATEGORY,
        ])
    }

    fn apply(&self, tx: &Transaction<'_>, events: &[Arc<Recorded>]) -> Result<(), ProjectionFault> {
        for recorded in events {
            let (kind, payload) = (&*recorded.kind, &*recorded.payload);
            match recorded.stream.category() {
                IdentityProvider::CATEGORY => {
                    apply_provider(tx, recorded, IdentityProvider::decode(kind, payload)?)?;
                }
                Session::CATEGORY => apply_session(tx, recorded, Session::decode(kind, payload)?)?,
                TrustRule::CATEGORY => apply_rule(tx, recorded, TrustRule::decode(kind, payload)?)?,
                OauthClient::CATEGORY => apply_client(tx, recorded, OauthClient::decode(kind, payload)?)?,
                User::CATEGORY => {
                    let event = User::decode(kind, payload)?;
                    if matches!(event.change, user::Change::Disabled { .. } | user::Change::Deleted) {
                        end_sessions(tx, recorded, event.user.as_str())?;
                    }
                }
                ServiceAccount::CATEGORY => {
                    let event = ServiceAccount::decode(kind, payload)?;
                    use service_account::Change;
                    if matches!(event.change, Change::Disabled { .. } | Change::Deleted) {
                        end_sessions(tx, recorded, event.service_account.as_str())?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whoever is shut out is logged out.
fn end_sessions(tx: &Transaction<'_>, recorded: &Recorded, owner: &str) -> Result<(), ProjectionFault> {
    let sql = "UPDATE sessions SET revoke_time = ?2 WHERE owner = ?1 AND revoke_time IS NULL";
    tx.prepare_cached(sql)?.execute(params![owner, recorded.time.micros()])?;
    Ok(())
}

fn revision(recorded: &Recorded) -> i64 {
    i64::try_from(recorded.revision.0).unwrap_or(i64::MAX)
}

fn apply_provider(
    tx: &Transaction<'_>,
    recorded: &Recorded,
    event: identity_provider::Event,
) -> Result<(), ProjectionFault> {
    let (name, now, revision) = (event.identity_provider.as_str(), recorded.time.micros(), revision(recorded));
    match event.change {
        identity_provider::Change::Created(new) => {
            let sql = "INSERT OR REPLACE INTO identity_providers (name, settings, create_time, update_time, revision) \
                       VALUES (?1, ?2, ?3, ?3, ?4)";
            tx.prepare_cached(sql)?.execute(params![name, settings(&new).encode_to_vec(), now, revision])?;
        }
        identity_provider::Change::Changed { settings: new, .. } => {
            let sql = "UPDATE identity_providers SET settings = ?2, update_time = ?3, revision = ?4 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, settings(&new).encode_to_vec(), now, revision])?;
        }
        identity_provider::Change::Deleted => {
            let sql = "UPDATE identity_providers SET is_deleted = 1, update_time = ?2, revision = ?3 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, now, revision])?;
        }
    }
    Ok(())
}

fn apply_session(tx: &Transaction<'_>, recorded: &Recorded, event: Event) -> Result<(), ProjectionFault> {
    let (name, now) = (event.session.as_str(), recorded.time.micros());
    match event.change {
        Change::Started(grounds) => {
            let scopes: Vec<String> = grounds.scopes.iter().map(ToString::to_string).collect();
            let sql = "INSERT OR REPLACE INTO sessions (name, owner, client, identity_provider, provider_session, \
                       scopes, auth_time, expire_time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            tx.prepare_cached(sql)?.execute(params![
                name,
                grounds.owner.as_str(),
                grounds.client,
                grounds.identity_provider,
                grounds.provider_session,
                scopes.join("\n"),
                grounds.auth_time.micros(),
                grounds.expire_time.micros(),
            ])?;
        }
        Change::Refreshed { .. } => {
            tx.prepare_cached("UPDATE sessions SET refresh_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
        Change::Revoked { .. } => {
            tx.prepare_cached("UPDATE sessions SET revoke_time = ?2 WHERE name = ?1")?.execute(params![name, now])?;
        }
    }
    Ok(())
}

fn apply_client(tx: &Transaction<'_>, recorded: &Recorded, event: oauth_client::Event) -> Result<(), ProjectionFault> {
    let (name, now, revision) = (event.oauth_client.as_str(), recorded.time.micros(), revision(recorded));
    match event.change {
        oauth_client::Change::Created(terms) => {
            let sql = "INSERT OR REPLACE INTO oauth_clients \
                       (name, title, redirect_uris, service_account, create_time, revision) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let (title, uris) = (terms.title.as_str(), terms.redirect_uris.join("\n"));
            tx.prepare_cached(sql)?.execute(params![name, title, uris, terms.service_account, now, revision])?;
        }
        oauth_client::Change::Deleted => {
            let sql = "UPDATE oauth_clients SET is_deleted = 1, revision = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, revision])?;
        }
    }
    Ok(())
}

fn apply_rule(tx: &Transaction<'_>, recorded: &Recorded, event: trust_rule::Event) -> Result<(), ProjectionFault> {
    let name = event.trust_rule.as_str();
    match event.change {
        trust_rule::Change::Created(terms) => {
            let scopes: Vec<String> = terms.scopes.iter().map(ToString::to_string).collect();
            let sql = "INSERT OR REPLACE INTO trust_rules \
                       (name, service_account, title, issuer, audience, claims, scopes, create_time, revision) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            tx.prepare_cached(sql)?.execute(params![
                name,
                terms.service_account.as_str(),
                terms.title.as_str(),
                terms.issuer,
                terms.audience,
                serde_json::to_string(&terms.claims).unwrap_or_default(),
                scopes.join("\n"),
                recorded.time.micros(),
                revision(recorded),
            ])?;
        }
        trust_rule::Change::Deleted => {
            let sql = "UPDATE trust_rules SET is_deleted = 1, revision = ?2 WHERE name = ?1";
            tx.prepare_cached(sql)?.execute(params![name, revision(recorded)])?;
        }
    }
    Ok(())
}

/// Reads what [`apply_provider`] wrote.
pub fn stored_settings(bytes: &[u8]) -> Option<proto::IdentityProviderSettings> {
    read(bytes).ok()
}
