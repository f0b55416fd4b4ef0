use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_contract::cairn::auth::events::v1::BindingSource;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_service::timestamp;
use prost::Message;

use super::{kinds, name, read, time};
use crate::model::binding::{Change, Event, Object, Source, Terms};
use crate::model::condition::Window;
use crate::model::{ActivationName, Binding, BindingName, Condition, HolderName, RoleName, TagText, Text};

kinds! {
    GRANTED = RoleGranted;
    WITHDRAWN = RoleWithdrawn;
    IMPOSED = DenialImposed;
    LIFTED = DenialLifted;
}

impl Stored for Binding {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let binding = event.binding.to_string();
        let (kind, bytes) = match &event.change {
            Change::Granted { terms, reason } => granted(binding, terms, reason.as_str().to_owned()),
            Change::Withdrawn { terms, reason } => withdrawn(binding, terms, reason.as_str().to_owned()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (binding, change) = match kind {
            GRANTED => {
                let event: proto::RoleGranted = read(payload)?;
                let source = source_of(event.source());
                let terms = Terms {
                    principal: HolderName::stored(event.principal),
                    object: Object::Role(RoleName::stored(event.role)),
                    resource: name(kind, &event.resource)?,
                    expire_time: event.expire_time.map(time),
                    condition: event.condition.map(condition_of),
                    source,
                    activation: (!event.activation.is_empty()).then(|| ActivationName::stored(event.activation)),
                };
                (event.binding, Change::Granted { terms, reason: Text::stored(event.reason) })
            }
            IMPOSED => {
                let event: proto::DenialImposed = read(payload)?;
                let source = source_of(event.source());
                let terms = Terms {
                    principal: HolderName::stored(event.principal),
                    object: denied(event.role, event.permissions),
                    resource: name(kind, &event.resource)?,
                    expire_time: event.expire_time.map(time),
                    condition: event.condition.map(condition_of),
                    source,
                    activation: None,
                };
                (event.binding, Change::Granted { terms, reason: Text::stored(event.reason) })
            }
            WITHDRAWN => {
                let proto::RoleWithdrawn { binding, principal, role, resource, reason } = read(payload)?;
                let terms = gone(principal, Object::Role(RoleName::stored(role)), name(kind, &resource)?);
                (binding, Change::Withdrawn { terms, reason: Text::stored(reason) })
            }
            LIFTED => {
                let proto::DenialLifted { binding, principal, resource, reason } = read(payload)?;
                let terms = gone(principal, Object::Denied(vec![]), name(kind, &resource)?);
                (binding, Change::Withdrawn { terms, reason: Text::stored(reason) })
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { binding: BindingName::stored(binding), change })
    }
}

fn granted(binding: String, terms: &Terms, reason: String) -> (&'static str, Vec<u8>) {
    let (principal, resource) = (terms.principal.to_string(), terms.resource.to_string());
    let expire_time = terms.expire_time.map(timestamp);
    let condition = terms.condition.as_ref().map(condition);
    // What somebody gave is told as it always was.
    let source = match terms.source {
        Source::Manual => BindingSource::Unspecified,
        Source::Idp => BindingSource::Idp,
        Source::BreakGlass => BindingSource::BreakGlass,
    };
    let source = source.into();
    let (role, permissions) = match &terms.object {
        Object::Role(role) => {
            let role = role.to_string();
            let activation = terms.activation.as_ref().map(ToString::to_string).unwrap_or_default();
            let message = proto::RoleGranted {
                binding,
                principal,
                role,
                resource,
                expire_time,
                reason,
                source,
                condition,
                activation,
            };
            return (GRANTED, message.encode_to_vec());
        }
        Object::DeniedRole(role) => (role.to_string(), vec![]),
        Object::Denied(permissions) => (String::new(), permissions.clone()),
    };
    let message = proto::DenialImposed {
        binding,
        principal,
        role,
        permissions,
        resource,
        expire_time,
        reason,
        source,
        condition,
    };
    (IMPOSED, message.encode_to_vec())
}

fn withdrawn(binding: String, terms: &Terms, reason: String) -> (&'static str, Vec<u8>) {
    let (principal, resource) = (terms.principal.to_string(), terms.resource.to_string());
    match &terms.object {
        Object::Role(role) => {
            let role = role.to_string();
            (WITHDRAWN, proto::RoleWithdrawn { binding, principal, role, resource, reason }.encode_to_vec())
        }
        Object::DeniedRole(_) | Object::Denied(_) => {
            (LIFTED, proto::DenialLifted { binding, principal, resource, reason }.encode_to_vec())
        }
    }
}

fn denied(role: String, permissions: Vec<String>) -> Object {
    if role.is_empty() { Object::Denied(permissions) } else { Object::DeniedRole(RoleName::stored(role)) }
}

/// As much of the terms as the event says that ends them.
fn gone(principal: String, object: Object, resource: cairn_kernel::Name) -> Terms {
    let principal = HolderName::stored(principal);
    Terms { principal, object, resource, expire_time: None, condition: None, source: Source::Manual, activation: None }
}

fn source_of(stored: BindingSource) -> Source {
    match stored {
        BindingSource::Unspecified | BindingSource::Manual => Source::Manual,
        BindingSource::Idp => Source::Idp,
        BindingSource::BreakGlass => Source::BreakGlass,
    }
}

/// A condition as it is stored.
pub(crate) fn condition(condition: &Condition) -> proto::BindingCondition {
    let windows = condition.windows.iter().map(|window| proto::binding_condition::Window {
        days: window.days.iter().map(|day| u32::from(*day)).collect(),
        start_minute: window.start.into(),
        end_minute: window.end.into(),
    });
    let tags = condition.project_tags.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    proto::BindingCondition {
        windows: windows.collect(),
        source_networks: condition.source_networks.clone(),
        project_tags: tags.collect(),
        start_time: condition.start_time.map(timestamp),
    }
}

/// A stored condition. History obeys older rules, so nothing is checked.
pub(crate) fn condition_of(stored: proto::BindingCondition) -> Condition {
    let minute = |minute: u32| u16::try_from(minute).unwrap_or(u16::MAX);
    let windows = stored.windows.into_iter().map(|window| Window {
        days: window.days.iter().map(|day| u8::try_from(*day).unwrap_or(u8::MAX)).collect(),
        start: minute(window.start_minute),
        end: minute(window.end_minute),
    });
    let tags = stored.project_tags.into_iter();
    Condition {
        windows: windows.collect(),
        source_networks: stored.source_networks,
        project_tags: tags.map(|(key, value)| (TagText::stored(key), TagText::stored(value))).collect(),
        start_time: stored.start_time.map(time),
    }
}
