use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, read};
use crate::model::guardrail::{Change, Definition, Event, Source};
use crate::model::{Guardrail, GuardrailName, Text};

kinds! {
    CREATED = GuardrailCreated;
    REDEFINED = GuardrailRedefined;
    DELETED = GuardrailDeleted;
}

impl Stored for Guardrail {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let guardrail = event.guardrail.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created(definition) => (CREATED, created(guardrail, definition).encode_to_vec()),
            Change::Redefined(definition) => {
                let proto::GuardrailCreated { guardrail, description, policy, template, parameters } =
                    created(guardrail, definition);
                let redefined = proto::GuardrailRedefined { guardrail, description, policy, template, parameters };
                (REDEFINED, redefined.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::GuardrailDeleted { guardrail }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (guardrail, change) = match kind {
            CREATED => {
                let (guardrail, definition) = definition(read(payload)?);
                (guardrail, Change::Created(definition))
            }
            REDEFINED => {
                let proto::GuardrailRedefined { guardrail, description, policy, template, parameters } = read(payload)?;
                let (guardrail, definition) =
                    definition(proto::GuardrailCreated { guardrail, description, policy, template, parameters });
                (guardrail, Change::Redefined(definition))
            }
            DELETED => (read::<proto::GuardrailDeleted>(payload)?.guardrail, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { guardrail: GuardrailName::stored(guardrail), change })
    }
}

fn created(guardrail: String, definition: &Definition) -> proto::GuardrailCreated {
    let Source { policy, template, parameters } = definition.source.clone();
    proto::GuardrailCreated {
        guardrail,
        description: definition.description.as_str().to_owned(),
        policy,
        template,
        parameters: parameters.into_iter().collect(),
    }
}

fn definition(event: proto::GuardrailCreated) -> (String, Definition) {
    let parameters = event.parameters.into_iter().collect();
    let source = Source { policy: event.policy, template: event.template, parameters };
    (event.guardrail, Definition { description: Text::stored(event.description), source })
}
