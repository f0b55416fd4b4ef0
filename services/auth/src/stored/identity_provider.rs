use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_contract::cairn::auth::events::v1::identity_provider_settings::GroupRole as StoredGroupRole;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, malformed, name, read};
use crate::model::identity_provider::{Change, ClientAuthentication, Event, GroupRole, Settings};
use crate::model::{IdentityProvider, IdentityProviderName, RoleName, Text};

kinds! {
    CREATED = IdentityProviderCreated;
    CONFIGURED = IdentityProviderConfigured;
    DELETED = IdentityProviderDeleted;
}

impl Stored for IdentityProvider {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let identity_provider = event.identity_provider.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created(settings) => {
                let settings = Some(stored(settings));
                (CREATED, proto::IdentityProviderCreated { identity_provider, settings }.encode_to_vec())
            }
            Change::Changed { settings, is_secret_changed } => {
                let (settings, secret_changed) = (Some(stored(settings)), *is_secret_changed);
                let event = proto::IdentityProviderConfigured { identity_provider, settings, secret_changed };
                (CONFIGURED, event.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::IdentityProviderDeleted { identity_provider }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (identity_provider, change) = match kind {
            CREATED => {
                let proto::IdentityProviderCreated { identity_provider, settings } = read(payload)?;
                (identity_provider, Change::Created(settings_of(kind, settings)?))
            }
            CONFIGURED => {
                let proto::IdentityProviderConfigured { identity_provider, settings, secret_changed } = read(payload)?;
                let settings = settings_of(kind, settings)?;
                (identity_provider, Change::Changed { settings, is_secret_changed: secret_changed })
            }
            DELETED => (read::<proto::IdentityProviderDeleted>(payload)?.identity_provider, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { identity_provider: IdentityProviderName::stored(identity_provider), change })
    }
}

/// Settings as events hold them.
pub(crate) fn stored(settings: &Settings) -> proto::IdentityProviderSettings {
    let group_role = |role: &GroupRole| StoredGroupRole {
        group: role.group.clone(),
        role: role.role.to_string(),
        resource: role.resource.to_string(),
    };
    proto::IdentityProviderSettings {
        title: settings.title.as_str().to_owned(),
        issuer: settings.issuer.clone(),
        client_id: settings.client_id.clone(),
        client_authentication: settings.client_authentication.word().to_owned(),
        scopes: settings.scopes.clone(),
        display_name_claim: settings.display_name_claim.clone(),
        email_claim: settings.email_claim.clone(),
        groups_claim: settings.groups_claim.clone(),
        group_roles: settings.group_roles.iter().map(group_role).collect(),
        creates_users: settings.creates_users,
        disabled: settings.is_disabled,
    }
}

fn settings_of(kind: &str, stored: Option<proto::IdentityProviderSettings>) -> Result<Settings, DecodeFault> {
    let stored = stored.ok_or_else(|| malformed(kind, "it has no settings"))?;
    let group_role = |role: &StoredGroupRole| {
        let resource = name(kind, &role.resource)?;
        Ok::<_, DecodeFault>(GroupRole {
            group: role.group.clone(),
            role: RoleName::stored(role.role.clone()),
            resource,
        })
    };
    let group_roles: Result<Vec<_>, _> = stored.group_roles.iter().map(group_role).collect();
    Ok(Settings {
        title: Text::stored(stored.title),
        issuer: stored.issuer,
        client_id: stored.client_id,
        client_authentication: ClientAuthentication::read(&stored.client_authentication)
            .unwrap_or(ClientAuthentication::SecretBasic),
        scopes: stored.scopes,
        display_name_claim: stored.display_name_claim,
        email_claim: stored.email_claim,
        groups_claim: stored.groups_claim,
        group_roles: group_roles?,
        creates_users: stored.creates_users,
        is_disabled: stored.disabled,
    })
}
