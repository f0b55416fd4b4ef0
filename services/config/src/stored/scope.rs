use bytes::Bytes;
use cairn_contract::cairn::config::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_kernel::Name;
use prost::Message;

use super::{kinds, malformed, read};
use crate::model::scope::{Change, Event, Happened, Scope, Step};
use crate::model::{EnvironmentId, EnvironmentName, Json, Key, Text};

kinds! {
    ENVIRONMENT_CREATED = EnvironmentCreated;
    ENVIRONMENT_DELETED = EnvironmentDeleted;
    REVISED = ConfigurationRevised;
    SCHEMA_DECLARED = SchemaDeclared;
    SCHEMA_WITHDRAWN = SchemaWithdrawn;
    ROLLOUT_BEGUN = RolloutBegun;
    ROLLOUT_FINISHED = RolloutFinished;
    ROLLOUT_ABANDONED = RolloutAbandoned;
}

impl Stored for Scope {
    fn encode(Event { scope, change }: &Event) -> (&'static str, Bytes) {
        let environment = |id: &EnvironmentId| EnvironmentName::of(scope, id).to_string();
        let schema = |key: &Key| format!("{scope}/schemas/{key}");
        let (kind, bytes) = match change {
            Happened::EnvironmentCreated { id, inherits, description } => {
                let created = proto::EnvironmentCreated {
                    environment: environment(id),
                    inherits: inherits.as_ref().map(environment).unwrap_or_default(),
                    description: description.to_string(),
                };
                (ENVIRONMENT_CREATED, created.encode_to_vec())
            }
            Happened::EnvironmentDeleted(id) => {
                (ENVIRONMENT_DELETED, proto::EnvironmentDeleted { environment: environment(id) }.encode_to_vec())
            }
            Happened::Revised { id, revision, changes, reason, rolled_back_to, staged } => {
                let set = |Change { key, value }: &Change| {
                    let value = value.as_ref()?.text().to_owned();
                    Some(proto::EntrySet { key: key.to_string(), value })
                };
                let removed = changes.iter().filter(|change| change.value.is_none());
                let revised = proto::ConfigurationRevised {
                    environment: environment(id),
                    revision: *revision,
                    set: changes.iter().filter_map(set).collect(),
                    removed_keys: removed.map(|change| change.key.to_string()).collect(),
                    reason: reason.to_string(),
                    rolled_back_to: *rolled_back_to,
                    staged: *staged,
                };
                (REVISED, revised.encode_to_vec())
            }
            Happened::Reported { id, revision, replica, step } => {
                let (environment, revision, replica) = (environment(id), *revision, replica.clone());
                match step {
                    Step::Begun => {
                        (ROLLOUT_BEGUN, proto::RolloutBegun { environment, revision, replica }.encode_to_vec())
                    }
                    Step::Finished => {
                        (ROLLOUT_FINISHED, proto::RolloutFinished { environment, revision, replica }.encode_to_vec())
                    }
                    Step::Abandoned(reason) => {
                        let reason = reason.clone();
                        let abandoned = proto::RolloutAbandoned { environment, revision, replica, reason };
                        (ROLLOUT_ABANDONED, abandoned.encode_to_vec())
                    }
                }
            }
            Happened::SchemaDeclared { key, schema: json } => {
                let json = json.text().to_owned();
                (SCHEMA_DECLARED, proto::SchemaDeclared { schema: schema(key), json }.encode_to_vec())
            }
            Happened::SchemaWithdrawn(key) => {
                (SCHEMA_WITHDRAWN, proto::SchemaWithdrawn { schema: schema(key) }.encode_to_vec())
            }
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (name, change) = match kind {
            ENVIRONMENT_CREATED => {
                let proto::EnvironmentCreated { environment, inherits, description } = read(payload)?;
                let inherits = (!inherits.is_empty()).then(|| EnvironmentId::stored(last(&inherits)));
                let (id, description) = (EnvironmentId::stored(last(&environment)), Text::stored(description));
                (environment, Happened::EnvironmentCreated { id, inherits, description })
            }
            ENVIRONMENT_DELETED => {
                let environment = read::<proto::EnvironmentDeleted>(payload)?.environment;
                let id = EnvironmentId::stored(last(&environment));
                (environment, Happened::EnvironmentDeleted(id))
            }
            REVISED => {
                let revised: proto::ConfigurationRevised = read(payload)?;
                let set = revised.set.into_iter().map(|proto::EntrySet { key, value }| Change {
                    key: Key::stored(key),
                    value: Some(Json::stored(&value)),
                });
                let removed = revised.removed_keys.into_iter().map(|key| Change { key: Key::stored(key), value: None });
                let mut changes: Vec<Change> = set.chain(removed).collect();
                changes.sort_by(|one, other| one.key.cmp(&other.key));
                let change = Happened::Revised {
                    id: EnvironmentId::stored(last(&revised.environment)),
                    revision: revised.revision,
                    changes,
                    reason: Text::stored(revised.reason),
                    rolled_back_to: revised.rolled_back_to,
                    staged: revised.staged,
                };
                (revised.environment, change)
            }
            ROLLOUT_BEGUN => {
                let proto::RolloutBegun { environment, revision, replica } = read(payload)?;
                let id = EnvironmentId::stored(last(&environment));
                (environment, Happened::Reported { id, revision, replica, step: Step::Begun })
            }
            ROLLOUT_FINISHED => {
                let proto::RolloutFinished { environment, revision, replica } = read(payload)?;
                let id = EnvironmentId::stored(last(&environment));
                (environment, Happened::Reported { id, revision, replica, step: Step::Finished })
            }
            ROLLOUT_ABANDONED => {
                let proto::RolloutAbandoned { environment, revision, replica, reason } = read(payload)?;
                let id = EnvironmentId::stored(last(&environment));
                (environment, Happened::Reported { id, revision, replica, step: Step::Abandoned(reason) })
            }
            SCHEMA_DECLARED => {
                let proto::SchemaDeclared { schema, json } = read(payload)?;
                let key = Key::stored(last(&schema));
                (schema, Happened::SchemaDeclared { key, schema: Json::stored(&json) })
            }
            SCHEMA_WITHDRAWN => {
                let schema = read::<proto::SchemaWithdrawn>(payload)?.schema;
                let key = Key::stored(last(&schema));
                (schema, Happened::SchemaWithdrawn(key))
            }
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        let name: Name = name.parse().map_err(|fault| malformed(kind, fault))?;
        Ok(Event { scope: name.parent().unwrap_or_default(), change })
    }
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}
