use cairn_service::timestamp;
use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_contract::cairn::registry::v1 as words;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_kernel::Time;
use prost::Message;
use prost_types::Timestamp;

use super::terms::{duration, from_duration};
use super::{kinds, name, read};
use crate::convert::from_timestamp;
use crate::model::hook::{Action, Change, Definition, Event, FailureMode, Format, Hooks, Timing, Trigger, Webhook};

kinds! {
    CREATED = HookCreated;
    DESCRIBED = HookDescribed;
    REDEFINED = HookRedefined;
    ENABLED = HookEnabled;
    DISABLED = HookDisabled;
    DELETED = HookDeleted;
}

impl Stored for Hooks {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let hook = event.hook.to_string();
        let time = Some(timestamp(event.time));
        match event.change.clone() {
            Change::Created { display_name, description, definition, creator } => {
                let spec = Some(encode(&definition));
                let message = proto::HookCreated { hook, display_name, description, spec, creator, create_time: time };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Described { display_name, description } => {
                let message = proto::HookDescribed { hook, display_name, description, describe_time: time };
                (DESCRIBED, message.encode_to_vec().into())
            }
            Change::Redefined(definition) => {
                let message = proto::HookRedefined { hook, spec: Some(encode(&definition)), redefine_time: time };
                (REDEFINED, message.encode_to_vec().into())
            }
            Change::Enabled => (ENABLED, proto::HookEnabled { hook, enable_time: time }.encode_to_vec().into()),
            Change::Disabled => (DISABLED, proto::HookDisabled { hook, disable_time: time }.encode_to_vec().into()),
            Change::Deleted => (DELETED, proto::HookDeleted { hook }.encode_to_vec().into()),
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let event = |hook: &str, change, at: Option<Timestamp>| {
            let time = at.as_ref().map_or_else(Time::default, from_timestamp);
            Ok(Event { hook: name(kind, hook)?, change, time })
        };
        let definition = |spec: Option<proto::HookSpec>| Arc::new(decode(spec.unwrap_or_default()));
        match kind {
            CREATED => {
                let proto::HookCreated { hook, display_name, description, spec, creator, create_time } = read(payload)?;
                let change = Change::Created { display_name, description, definition: definition(spec), creator };
                event(&hook, change, create_time)
            }
            DESCRIBED => {
                let proto::HookDescribed { hook, display_name, description, describe_time } = read(payload)?;
                event(&hook, Change::Described { display_name, description }, describe_time)
            }
            REDEFINED => {
                let proto::HookRedefined { hook, spec, redefine_time } = read(payload)?;
                event(&hook, Change::Redefined(definition(spec)), redefine_time)
            }
            ENABLED => {
                let proto::HookEnabled { hook, enable_time } = read(payload)?;
                event(&hook, Change::Enabled, enable_time)
            }
            DISABLED => {
                let proto::HookDisabled { hook, disable_time } = read(payload)?;
                event(&hook, Change::Disabled, disable_time)
            }
            DELETED => {
                let proto::HookDeleted { hook } = read(payload)?;
                event(&hook, Change::Deleted, None)
            }
            _ => Err(DecodeFault::UnknownKind(kind.to_owned())),
        }
    }
}

/// A definition as it is stored.
pub(crate) fn encode(definition: &Definition) -> proto::HookSpec {
    let spec = proto::HookSpec {
        timing: timing_number(definition.timing),
        triggers: definition.triggers.iter().copied().map(trigger_number).collect(),
        model: definition.model.clone(),
        ..proto::HookSpec::default()
    };
    match definition.action.clone() {
        Action::Expression { expression, message } => proto::HookSpec { expression, message, ..spec },
        Action::Webhook(webhook) => proto::HookSpec {
            origin: webhook.origin,
            address_digest: webhook.address_digest,
            format: format_number(webhook.format),
            secret_id: webhook.secret_id,
            deadline: Some(duration(webhook.deadline)),
            failure_mode: failure_mode_number(webhook.failure_mode),
            mlflow_events: webhook.mlflow_events.iter().map(|event| event.as_str().to_owned()).collect(),
            ..spec
        },
    }
}

/// Reads a stored definition, without judging it. What this program does not know of is left out.
pub(crate) fn decode(spec: proto::HookSpec) -> Definition {
    let action = match spec.expression.is_empty() {
        false => Action::Expression { expression: spec.expression, message: spec.message },
        true => Action::Webhook(Webhook {
            origin: spec.origin,
            address_digest: spec.address_digest,
            format: format(spec.format),
            secret_id: spec.secret_id,
            deadline: spec.deadline.map(from_duration).unwrap_or_default(),
            failure_mode: failure_mode(spec.failure_mode),
            mlflow_events: spec.mlflow_events.iter().filter_map(|event| event.parse().ok()).collect(),
        }),
    };
    let timing = match words::HookTiming::try_from(spec.timing) {
        Ok(words::HookTiming::Before) => Timing::Before,
        _ => Timing::After,
    };
    let triggers = spec.triggers.into_iter().filter_map(trigger).collect();
    Definition { timing, triggers, model: spec.model, action }
}

pub(crate) fn timing_number(timing: Timing) -> i32 {
    match timing {
        Timing::Before => words::HookTiming::Before.into(),
        Timing::After => words::HookTiming::After.into(),
    }
}

pub(crate) fn trigger_number(trigger: Trigger) -> i32 {
    let name = format!("HOOK_TRIGGER_{trigger}");
    words::HookTrigger::from_str_name(&name).unwrap_or_default().into()
}

/// The trigger of a number in the contract. `None`: it has none, or nobody knows it.
pub(crate) fn trigger(number: i32) -> Option<Trigger> {
    Trigger::ALL.into_iter().find(|trigger| trigger_number(*trigger) == number)
}

pub(crate) fn format_number(format: Format) -> i32 {
    match format {
        Format::Cairn => words::HookFormat::Cairn.into(),
        Format::Mlflow => words::HookFormat::Mlflow.into(),
        Format::Slack => words::HookFormat::Slack.into(),
    }
}

pub(crate) fn format(number: i32) -> Format {
    match words::HookFormat::try_from(number) {
        Ok(words::HookFormat::Mlflow) => Format::Mlflow,
        Ok(words::HookFormat::Slack) => Format::Slack,
        _ => Format::Cairn,
    }
}

pub(crate) fn failure_mode_number(mode: Option<FailureMode>) -> i32 {
    match mode {
        None => words::HookFailureMode::Unspecified.into(),
        Some(FailureMode::Open) => words::HookFailureMode::Open.into(),
        Some(FailureMode::Closed) => words::HookFailureMode::Closed.into(),
    }
}

pub(crate) fn failure_mode(number: i32) -> Option<FailureMode> {
    match words::HookFailureMode::try_from(number) {
        Ok(words::HookFailureMode::Open) => Some(FailureMode::Open),
        Ok(words::HookFailureMode::Closed) => Some(FailureMode::Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::hook::MlflowEvent;

    #[test]
    fn every_trigger_is_one_of_the_contract() {
        let numbers: std::collections::BTreeSet<i32> = Trigger::ALL.map(trigger_number).into();
        assert_eq!(numbers.len(), Trigger::ALL.len());
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn what_is_stored_of_a_hook_reads_as_it_was() {
        let webhook = Webhook {
            origin: "https://example.org".into(),
            address_digest: "d".into(),
            format: Format::Mlflow,
            secret_id: "s".into(),
            deadline: Duration::from_millis(1500),
            failure_mode: Some(FailureMode::Closed),
            mlflow_events: [MlflowEvent::VersionCreated].into(),
        };
        let expression = Action::Expression { expression: "true".into(), message: "no".into() };
        for action in [expression, Action::Webhook(webhook)] {
            for timing in [Timing::Before, Timing::After] {
                let triggers = [Trigger::VersionCreate, Trigger::StageMove].into();
                let definition = Arc::new(Definition { timing, triggers, model: "m".into(), action: action.clone() });
                let changes = [
                    Change::Created {
                        display_name: "n".into(),
                        description: "d".into(),
                        definition: Arc::clone(&definition),
                        creator: "users/a".into(),
                    },
                    Change::Redefined(definition),
                    Change::Described { display_name: "n".into(), description: "d".into() },
                    Change::Enabled,
                    Change::Disabled,
                ];
                for change in changes {
                    let hook = "projects/p/hooks/h".parse().unwrap();
                    let event = Event { hook, change, time: Time::from_millis(7) };
                    let (kind, payload) = Hooks::encode(&event);
                    assert_eq!(Hooks::decode(kind, &payload).unwrap(), event);
                }
            }
        }
    }
}
