use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_contract::cairn::auth::events::v1 as events;
use cairn_eventstore::{DecodeFault, Recorded};
use cairn_kernel::{Name, Time};
use prost::Message;

use crate::condition::{Condition, Window};
use crate::tenancy::{SeparatedRoles, default_organization};
use crate::{Credential, Digest, Form, Grant, KeyRecord, ProjectQuota, Role, Roles, Standing};

/// Categories of the streams that access follows.
pub const CATEGORIES: [&str; 12] = [
    "auth.organization",
    "auth.project",
    "auth.user",
    "auth.service_account",
    "auth.group",
    "auth.guardrail",
    "auth.role",
    "auth.key",
    "auth.binding",
    "auth.session",
    "auth.signing_keys",
    "auth.trust_rule",
];

/// Where auth's events are declared.
const PACKAGE: &str = "cairn.auth.events.v1.";

/// What one of auth's events means for access.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    OrganizationOpened {
        organization: Name,
    },
    OrganizationClosed {
        organization: Name,
    },
    DutiesSeparated {
        organization: Name,
        separated: Vec<SeparatedRoles>,
    },
    ProjectCreated {
        project: Name,
        organization: Name,
    },
    ProjectTagged {
        project: Name,
        tags: BTreeMap<String, String>,
    },
    QuotaSet {
        project: Name,
        quota: ProjectQuota,
    },
    AccountCreated {
        account: Name,
        organization: Option<Name>,
    },
    GroupCreated {
        group: String,
    },
    GroupDeleted {
        group: String,
    },
    MembersAdded {
        group: String,
        members: Vec<String>,
    },
    MembersRemoved {
        group: String,
        members: Vec<String>,
    },
    RoleDefined {
        role: Role,
    },
    RoleRemoved {
        role: String,
    },
    ProjectOpened {
        project: Name,
    },
    ProjectClosed {
        project: Name,
    },
    PrincipalIs {
        principal: String,
        standing: Standing,
    },
    KeyCreated {
        id: String,
        record: KeyRecord,
    },
    KeyRotated {
        id: String,
        digest: Digest,
        expire_time: Option<Time>,
        rotate_time: Time,
        previous_until: Option<Time>,
    },
    KeyRevoked {
        id: String,
    },
    BootstrapKeyUsed {
        id: String,
    },
    Granted {
        principal: String,
        grant: Grant,
    },
    Withdrawn {
        principal: String,
        resource: Name,
        binding: String,
    },
    /// Tokens may be given out for something that is no API key.
    CredentialGiven {
        id: String,
        credential: Credential,
        /// When: what has ended by then may be forgotten.
        now: Time,
    },
    CredentialRevoked {
        id: String,
    },
    /// A guardrail of an organization forbids this from now on.
    GuardrailSet {
        organization: Name,
        guardrail: String,
        policy: String,
    },
    GuardrailRemoved {
        organization: Name,
        guardrail: String,
    },
    /// Access tokens are signed with another key.
    SigningKeyIs {
        kid: String,
    },
    /// Nothing: titles, profiles.
    Nothing,
}

impl Change {
    /// Reads a stored event.
    ///
    /// An event type unknown here means nothing to this version's rules. One that is known and does not read is a fault:
    /// whoever goes on without it might let somebody in who has been shut out.
    pub fn read(recorded: &Recorded) -> Result<Self, DecodeFault> {
        let Some(kind) = recorded.kind.strip_prefix(PACKAGE) else { return Ok(Self::Nothing) };
        match kind {
            "OrganizationCreated" => Ok(Self::OrganizationOpened {
                organization: name(&decode::<events::OrganizationCreated>(recorded)?.organization, recorded)?,
            }),
            "OrganizationRestored" => Ok(Self::OrganizationOpened {
                organization: name(&decode::<events::OrganizationRestored>(recorded)?.organization, recorded)?,
            }),
            "OrganizationDeleted" => Ok(Self::OrganizationClosed {
                organization: name(&decode::<events::OrganizationDeleted>(recorded)?.organization, recorded)?,
            }),
            "OrganizationDutiesSeparated" => {
                let event = decode::<events::OrganizationDutiesSeparated>(recorded)?;
                let separated = event.pairs.into_iter().map(|pair| (pair.role, pair.other_role)).collect();
                Ok(Self::DutiesSeparated { organization: name(&event.organization, recorded)?, separated })
            }
            "GroupCreated" => Ok(Self::GroupCreated { group: decode::<events::GroupCreated>(recorded)?.group }),
            "GroupDeleted" => Ok(Self::GroupDeleted { group: decode::<events::GroupDeleted>(recorded)?.group }),
            "GroupMembersAdded" => {
                let event = decode::<events::GroupMembersAdded>(recorded)?;
                Ok(Self::MembersAdded { group: event.group, members: event.members })
            }
            "GroupMembersRemoved" => {
                let event = decode::<events::GroupMembersRemoved>(recorded)?;
                Ok(Self::MembersRemoved { group: event.group, members: event.members })
            }
            "RoleCreated" => {
                let events::RoleCreated { role, description, permissions } = decode(recorded)?;
                Ok(Self::RoleDefined { role: Role::new(role, description, permissions) })
            }
            "RoleRedefined" => {
                let events::RoleRedefined { role, description, permissions } = decode(recorded)?;
                Ok(Self::RoleDefined { role: Role::new(role, description, permissions) })
            }
            "RoleDeleted" => Ok(Self::RoleRemoved { role: decode::<events::RoleDeleted>(recorded)?.role }),
            "ProjectCreated" => {
                let event = decode::<events::ProjectCreated>(recorded)?;
                let organization = match event.organization.as_str() {
                    "" => default_organization().clone(),
                    text => name(text, recorded)?,
                };
                Ok(Self::ProjectCreated { project: name(&event.project, recorded)?, organization })
            }
            "ProjectClassified" => {
                let event = decode::<events::ProjectClassified>(recorded)?;
                let tags = event.tags.into_iter().collect();
                Ok(Self::ProjectTagged { project: name(&event.project, recorded)?, tags })
            }
            "ProjectQuotaSet" => {
                let event = decode::<events::ProjectQuotaSet>(recorded)?;
                let quota = ProjectQuota {
                    runs_max: event.runs_max.map(u64::from),
                    concurrent_runs_max: event.concurrent_runs_max.map(u64::from),
                    storage_bytes_max: event.storage_bytes_max,
                    requests_per_second: event.requests_per_second,
                };
                Ok(Self::QuotaSet { project: name(&event.project, recorded)?, quota })
            }
            "ProjectRestored" => opened(&decode::<events::ProjectRestored>(recorded)?.project, recorded),
            "ProjectDeleted" => Ok(Self::ProjectClosed {
                project: name(&decode::<events::ProjectDeleted>(recorded)?.project, recorded)?,
            }),
            "UserCreated" => Ok(is(decode::<events::UserCreated>(recorded)?.user, Standing::Active)),
            "UserEnabled" => Ok(is(decode::<events::UserEnabled>(recorded)?.user, Standing::Active)),
            "UserDisabled" => Ok(is(decode::<events::UserDisabled>(recorded)?.user, Standing::Disabled)),
            "UserDeleted" => Ok(is(decode::<events::UserDeleted>(recorded)?.user, Standing::Deleted)),
            "ServiceAccountCreated" => {
                let event = decode::<events::ServiceAccountCreated>(recorded)?;
                let organization = (!event.organization.is_empty()).then(|| name(&event.organization, recorded));
                let account = name(&event.service_account, recorded)?;
                Ok(Self::AccountCreated { account, organization: organization.transpose()? })
            }
            "ServiceAccountEnabled" => {
                Ok(is(decode::<events::ServiceAccountEnabled>(recorded)?.service_account, Standing::Active))
            }
            "ServiceAccountDisabled" => {
                Ok(is(decode::<events::ServiceAccountDisabled>(recorded)?.service_account, Standing::Disabled))
            }
            "ServiceAccountDeleted" => {
                Ok(is(decode::<events::ServiceAccountDeleted>(recorded)?.service_account, Standing::Deleted))
            }
            "ApiKeyCreated" => key_created(decode(recorded)?, recorded),
            "ApiKeyRotated" => {
                let event = decode::<events::ApiKeyRotated>(recorded)?;
                Ok(Self::KeyRotated {
                    id: key_id(&event.key),
                    digest: digest(event.digest, recorded)?,
                    expire_time: event.expire_time.map(time),
                    rotate_time: recorded.time,
                    previous_until: event.previous_secret_expire_time.map(time),
                })
            }
            "ApiKeyRevoked" => Ok(Self::KeyRevoked { id: key_id(&decode::<events::ApiKeyRevoked>(recorded)?.key) }),
            "BootstrapKeyUsed" => {
                Ok(Self::BootstrapKeyUsed { id: key_id(&decode::<events::BootstrapKeyUsed>(recorded)?.key) })
            }
            "RoleGranted" => {
                let event = decode::<events::RoleGranted>(recorded)?;
                let grant = Grant {
                    role: Roles::built_in().held(&event.role).cloned(),
                    role_name: event.role,
                    resource: name(&event.resource, recorded)?,
                    expire_time: event.expire_time.map(time),
                    binding: event.binding,
                    denies: false,
                    activation: (!event.activation.is_empty()).then_some(event.activation),
                    condition: event.condition.map(condition),
                };
                Ok(Self::Granted { principal: event.principal, grant })
            }
            "DenialImposed" => {
                let event = decode::<events::DenialImposed>(recorded)?;
                let role = match event.role.as_str() {
                    "" => Some(Arc::new(Role::new(String::new(), String::new(), event.permissions))),
                    role => Roles::built_in().find(role).cloned(),
                };
                let grant = Grant {
                    role,
                    role_name: event.role,
                    resource: name(&event.resource, recorded)?,
                    expire_time: event.expire_time.map(time),
                    binding: event.binding,
                    denies: true,
                    activation: None,
                    condition: event.condition.map(condition),
                };
                Ok(Self::Granted { principal: event.principal, grant })
            }
            "DenialLifted" => {
                let event = decode::<events::DenialLifted>(recorded)?;
                let resource = name(&event.resource, recorded)?;
                Ok(Self::Withdrawn { principal: event.principal, resource, binding: event.binding })
            }
            "RoleWithdrawn" => {
                let event = decode::<events::RoleWithdrawn>(recorded)?;
                let resource = name(&event.resource, recorded)?;
                Ok(Self::Withdrawn { principal: event.principal, resource, binding: event.binding })
            }
            "SessionStarted" => {
                let event = decode::<events::SessionStarted>(recorded)?;
                let credential = Credential {
                    owner: event.owner,
                    key: Some(key_id(&event.api_key)).filter(|key| !key.is_empty()),
                    expire_time: event.expire_time.map(time),
                    is_revoked: false,
                    login_time: event.auth_time.filter(|_| event.api_key.is_empty()).map(time),
                };
                Ok(Self::CredentialGiven { id: key_id(&event.session), credential, now: recorded.time })
            }
            "SessionRevoked" => {
                Ok(Self::CredentialRevoked { id: key_id(&decode::<events::SessionRevoked>(recorded)?.session) })
            }
            "TrustRuleCreated" => {
                let event = decode::<events::TrustRuleCreated>(recorded)?;
                let credential = Credential {
                    owner: event.service_account,
                    key: None,
                    expire_time: None,
                    is_revoked: false,
                    login_time: None,
                };
                Ok(Self::CredentialGiven { id: key_id(&event.trust_rule), credential, now: recorded.time })
            }
            "TrustRuleDeleted" => {
                Ok(Self::CredentialRevoked { id: key_id(&decode::<events::TrustRuleDeleted>(recorded)?.trust_rule) })
            }
            "GuardrailCreated" => {
                let event = decode::<events::GuardrailCreated>(recorded)?;
                guardrail(event.guardrail, event.policy, recorded)
            }
            "GuardrailRedefined" => {
                let event = decode::<events::GuardrailRedefined>(recorded)?;
                guardrail(event.guardrail, event.policy, recorded)
            }
            "GuardrailDeleted" => {
                let guardrail = decode::<events::GuardrailDeleted>(recorded)?.guardrail;
                Ok(Self::GuardrailRemoved { organization: above(&guardrail, recorded)?, guardrail })
            }
            "SigningKeysRotated" => {
                Ok(Self::SigningKeyIs { kid: decode::<events::SigningKeysRotated>(recorded)?.current })
            }
            _ => Ok(Self::Nothing),
        }
    }
}

fn decode<M: Message + Default>(recorded: &Recorded) -> Result<M, DecodeFault> {
    M::decode(recorded.payload.clone()).map_err(|fault| malformed(recorded, fault))
}

fn malformed(recorded: &Recorded, problem: impl std::fmt::Display) -> DecodeFault {
    DecodeFault::Malformed { kind: recorded.kind.to_string(), message: problem.to_string() }
}

fn name(text: &str, recorded: &Recorded) -> Result<Name, DecodeFault> {
    text.parse().map_err(|fault| malformed(recorded, fault))
}

fn opened(project: &str, recorded: &Recorded) -> Result<Change, DecodeFault> {
    Ok(Change::ProjectOpened { project: name(project, recorded)? })
}

fn is(principal: String, standing: Standing) -> Change {
    Change::PrincipalIs { principal, standing }
}

fn guardrail(guardrail: String, policy: String, recorded: &Recorded) -> Result<Change, DecodeFault> {
    Ok(Change::GuardrailSet { organization: above(&guardrail, recorded)?, guardrail, policy })
}

/// The organization that something of it is named below.
fn above(text: &str, recorded: &Recorded) -> Result<Name, DecodeFault> {
    let parts: Vec<&str> = text.splitn(3, '/').take(2).collect();
    name(&parts.join("/"), recorded)
}

fn key_created(event: events::ApiKeyCreated, recorded: &Recorded) -> Result<Change, DecodeFault> {
    let scopes: Result<Vec<Name>, _> = event.scopes.iter().map(|scope| name(scope, recorded)).collect();
    let record = KeyRecord {
        digest: digest(event.digest, recorded)?,
        scopes: scopes?,
        owner: event.owner,
        previous: None,
        rotate_time: None,
        permissions: event.permissions,
        expire_time: event.expire_time.map(time),
        is_revoked: false,
        is_bootstrap: event.bootstrap,
        is_used: false,
        name: event.key,
    };
    Ok(Change::KeyCreated { id: key_id(&record.name), record })
}

fn digest(digest: Option<events::KeyDigest>, recorded: &Recorded) -> Result<Digest, DecodeFault> {
    let digest = digest.ok_or_else(|| malformed(recorded, "it has no digest"))?;
    let form = match digest.form() {
        events::key_digest::Form::Opaque => Form::Opaque,
        _ => Form::Structured,
    };
    Ok(Digest { form, bytes: digest.digest.to_vec(), pepper: digest.pepper })
}

/// A key's or a session's id: the end of its name.
fn key_id(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

fn time(timestamp: prost_types::Timestamp) -> Time {
    Time::from_seconds_and_nanos(timestamp.seconds, timestamp.nanos)
}

/// A stored condition. One that this version cannot read is never met, rather than no condition.
fn condition(stored: events::BindingCondition) -> Arc<Condition> {
    let networks: Result<Vec<_>, _> = stored.source_networks.iter().map(|text| text.parse()).collect();
    let windows: Option<Vec<Window>> = stored.windows.iter().map(window).collect();
    let is_unreadable = networks.is_err() || windows.is_none();
    Arc::new(Condition {
        windows: windows.unwrap_or_default(),
        networks: networks.unwrap_or_default(),
        project_tags: stored.project_tags.into_iter().collect(),
        start_time: stored.start_time.map(time),
        is_unreadable,
    })
}

fn window(stored: &events::binding_condition::Window) -> Option<Window> {
    let days: Result<Vec<u8>, _> = stored.days.iter().map(|day| u8::try_from(*day)).collect();
    let minute = |minute: u32| u16::try_from(minute).ok();
    Some(Window { days: days.ok()?, start: minute(stored.start_minute)?, end: minute(stored.end_minute)? })
}
