use cairn_service::{Page, timestamp};
use std::collections::BTreeMap;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::session::State;
use cairn_kernel::{Name, Time};
use cairn_projection::rusqlite::{Connection, Error, OptionalExtension, Row, named_params, params};
use cairn_projection::{QueryFault, ReadModel};

use super::projection::stored_settings;
use crate::query::{VISIBLE, Visible};

/// Reads the tables that [`super::Logins`] writes.
#[derive(Clone)]
pub struct LoginQuery {
    model: ReadModel,
}

/// A trust rule, as a token is held against it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
    pub service_account: String,
    pub issuer: String,
    pub audience: String,
    pub claims: BTreeMap<String, String>,
    /// Empty: not narrowed.
    pub scopes: Vec<Name>,
}

const RULE: &str = "name, service_account, title, issuer, audience, claims, scopes, create_time, revision";
const PROVIDER: &str = "name, settings, create_time, update_time, revision";
const CLIENT: &str = "name, title, redirect_uris, service_account, create_time, revision";
const SESSION: &str = "name, client, identity_provider, scopes, auth_time, expire_time, refresh_time, revoke_time";

impl LoginQuery {
    pub fn new(model: ReadModel) -> Self {
        Self { model }
    }

    /// One provider, deleted or not.
    pub async fn provider(&self, name: &str) -> Result<Option<proto::IdentityProvider>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {PROVIDER} FROM identity_providers WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], provider).optional()
        };
        self.model.query(query).await
    }

    /// A page of the providers that lie at or below `visible` and are not deleted.
    pub async fn providers(&self, visible: &[Name], page: &Page) -> Result<Vec<proto::IdentityProvider>, QueryFault> {
        self.page("identity_providers", PROVIDER, visible, page, provider).await
    }

    /// One client, deleted or not.
    pub async fn client(&self, name: &str) -> Result<Option<proto::OauthClient>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {CLIENT} FROM oauth_clients WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], client).optional()
        };
        self.model.query(query).await
    }

    /// A page of the clients that lie at or below `visible` and are not deleted.
    pub async fn clients(&self, visible: &[Name], page: &Page) -> Result<Vec<proto::OauthClient>, QueryFault> {
        self.page("oauth_clients", CLIENT, visible, page, client).await
    }

    /// One session, ended or not.
    pub async fn session(&self, name: &str, now: Time) -> Result<Option<proto::Session>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {SESSION} FROM sessions WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], |row| session(row, now)).optional()
        };
        self.model.query(query).await
    }

    /// A page of somebody's sessions that hold.
    pub async fn sessions(&self, owner: &str, page: &Page, now: Time) -> Result<Vec<proto::Session>, QueryFault> {
        let (owner, after, rows) = (owner.to_owned(), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {SESSION} FROM sessions WHERE owner = ?1 AND name > ?2 AND revoke_time IS NULL \
                 AND expire_time > ?3 ORDER BY name LIMIT ?4"
            );
            let mut select = connection.prepare_cached(&sql)?;
            select.query_map(params![owner, after, now.micros(), rows], |row| session(row, now))?.collect()
        };
        self.model.query(query).await
    }

    /// The names of the sessions that hold and began with a provider: those of one session there, or all of one user.
    pub async fn of_provider(
        &self,
        provider: &str,
        provider_session: Option<&str>,
        owner: Option<&str>,
        now: Time,
    ) -> Result<Vec<String>, QueryFault> {
        let (provider, provider_session) = (provider.to_owned(), provider_session.map(str::to_owned));
        let owner = owner.map(str::to_owned);
        let query = move |connection: &Connection| {
            let sql = "SELECT name FROM sessions WHERE identity_provider = ?1 AND (?2 IS NULL OR provider_session = ?2) \
                       AND (?3 IS NULL OR owner = ?3) AND revoke_time IS NULL AND expire_time > ?4";
            let mut select = connection.prepare_cached(sql)?;
            select.query_map(params![provider, provider_session, owner, now.micros()], |row| row.get(0))?.collect()
        };
        self.model.query(query).await
    }

    /// The rules that trust an issuer.
    pub async fn rules_of(&self, issuer: &str) -> Result<Vec<Rule>, QueryFault> {
        let issuer = issuer.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {RULE} FROM trust_rules WHERE issuer = ?1 AND NOT is_deleted ORDER BY name");
            connection.prepare_cached(&sql)?.query_map([issuer], trusted)?.collect()
        };
        self.model.query(query).await
    }

    /// One rule, deleted or not.
    pub async fn rule(&self, name: &str) -> Result<Option<proto::TrustRule>, QueryFault> {
        let name = name.to_owned();
        let query = move |connection: &Connection| {
            let sql = format!("SELECT {RULE} FROM trust_rules WHERE name = ?1");
            connection.prepare_cached(&sql)?.query_row([name], rule).optional()
        };
        self.model.query(query).await
    }

    /// A page of a service account's rules.
    pub async fn rules(&self, account: &str, page: &Page) -> Result<Vec<proto::TrustRule>, QueryFault> {
        let (account, after, rows) = (account.to_owned(), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {RULE} FROM trust_rules WHERE service_account = ?1 AND name > ?2 AND NOT is_deleted \
                 ORDER BY name LIMIT ?3"
            );
            connection.prepare_cached(&sql)?.query_map(params![account, after, rows], rule)?.collect()
        };
        self.model.query(query).await
    }

    async fn page<T: Send + 'static>(
        &self,
        table: &'static str,
        columns: &'static str,
        visible: &[Name],
        page: &Page,
        read: fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, QueryFault> {
        let (visible, after, rows) = (Visible::of(visible), page.after.clone(), page.rows());
        let query = move |connection: &Connection| {
            let sql = format!(
                "SELECT {columns} FROM {table} WHERE name > :after AND NOT is_deleted AND {VISIBLE} \
                 ORDER BY name LIMIT :rows"
            );
            let mut select = connection.prepare_cached(&sql)?;
            let parameters = named_params! {
                ":after": after, ":rows": rows, ":is_all": visible.is_all, ":prefixes": visible.prefixes,
            };
            select.query_map(parameters, read)?.collect()
        };
        self.model.query(query).await
    }
}

fn moment(micros: i64) -> Option<prost_types::Timestamp> {
    Some(timestamp(Time::from_micros(micros)))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn provider(row: &Row<'_>) -> Result<proto::IdentityProvider, Error> {
    let settings = stored_settings(&row.get::<_, Vec<u8>>(1)?).unwrap_or_default();
    let group_roles = settings.group_roles.into_iter().map(|role| proto::identity_provider::GroupRole {
        group: role.group,
        role: role.role,
        resource: role.resource,
    });
    Ok(proto::IdentityProvider {
        name: row.get(0)?,
        etag: row.get::<_, i64>(4)?.to_string(),
        title: settings.title,
        issuer: settings.issuer,
        client_id: settings.client_id,
        client_secret: String::new(),
        client_authentication: settings.client_authentication,
        scopes: settings.scopes,
        display_name_claim: settings.display_name_claim,
        email_claim: settings.email_claim,
        groups_claim: settings.groups_claim,
        group_roles: group_roles.collect(),
        creates_users: settings.creates_users,
        disabled: settings.disabled,
        redirect_uri: String::new(),
        create_time: moment(row.get(2)?),
        update_time: moment(row.get(3)?),
    })
}

fn client(row: &Row<'_>) -> Result<proto::OauthClient, Error> {
    Ok(proto::OauthClient {
        name: row.get(0)?,
        etag: row.get::<_, i64>(5)?.to_string(),
        title: row.get(1)?,
        redirect_uris: lines(row.get_ref(2)?.as_str()?),
        service_account: row.get(3)?,
        create_time: moment(row.get(4)?),
    })
}

fn trusted(row: &Row<'_>) -> Result<Rule, Error> {
    let scopes = lines(row.get_ref(6)?.as_str()?);
    Ok(Rule {
        name: row.get(0)?,
        service_account: row.get(1)?,
        issuer: row.get(3)?,
        audience: row.get(4)?,
        // What does not read must not widen: a rule without claims is met by nothing.
        claims: serde_json::from_str(row.get_ref(5)?.as_str()?).unwrap_or_default(),
        scopes: scopes.iter().filter_map(|scope| scope.parse().ok()).collect(),
    })
}

fn rule(row: &Row<'_>) -> Result<proto::TrustRule, Error> {
    Ok(proto::TrustRule {
        name: row.get(0)?,
        title: row.get(2)?,
        issuer: row.get(3)?,
        audience: row.get(4)?,
        claims: serde_json::from_str(row.get_ref(5)?.as_str()?).unwrap_or_default(),
        scopes: lines(row.get_ref(6)?.as_str()?),
        create_time: moment(row.get(7)?),
        etag: row.get::<_, i64>(8)?.to_string(),
    })
}

fn session(row: &Row<'_>, now: Time) -> Result<proto::Session, Error> {
    let (expire_time, revoke_time): (i64, Option<i64>) = (row.get(5)?, row.get(7)?);
    let state = match revoke_time {
        Some(_) => State::Revoked,
        None if expire_time <= now.micros() => State::Expired,
        None => State::Active,
    };
    Ok(proto::Session {
        name: row.get(0)?,
        state: state.into(),
        client: row.get(1)?,
        identity_provider: row.get(2)?,
        scopes: lines(row.get_ref(3)?.as_str()?),
        auth_time: moment(row.get(4)?),
        expire_time: moment(expire_time),
        refresh_time: row.get::<_, Option<i64>>(6)?.and_then(moment),
    })
}
