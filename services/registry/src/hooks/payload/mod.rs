//! What receivers are told, in the shape they asked for.

mod mlflow;
mod slack;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cairn_kernel::{Position, Time};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Happening, ModelView, Scene, VersionView};
use crate::model::hook::{Definition, Format, Hook, Trigger, Webhook};
use crate::model::version::Facts;
use crate::model::{HookName, ModelName, Number, ProjectName, Stage};

/// The event that is told of.
#[derive(Clone, Debug)]
pub(super) struct Told<'a> {
    pub id: Uuid,
    pub position: Position,
    pub kind: &'a str,
    pub time: Time,
}

/// What a hook is told of an event: nothing, one thing, or several where its format has no word for all of it at once.
pub(super) fn bodies(
    hook: &HookName,
    webhook: &Webhook,
    told: &Told<'_>,
    scene: &Scene,
    happening: &Happening,
) -> Vec<Bytes> {
    let bodies = match webhook.format {
        Format::Cairn => {
            let event = json!({"id": told.id, "position": told.position.0, "kind": told.kind});
            vec![cairn(hook, "AFTER", told.time, event, scene, happening)]
        }
        Format::Mlflow => mlflow::bodies(&webhook.mlflow_events, told.time, scene, happening),
        Format::Slack => vec![slack::body(scene, happening, told.time)],
    };
    bodies.iter().map(written).collect()
}

/// What a hook is asked before something happens.
pub(crate) fn question(hook: &HookName, now: Time, scene: &Scene, happening: &Happening) -> Bytes {
    written(&cairn(hook, "BEFORE", now, Value::Null, scene, happening))
}

/// What a webhook is told when it is tried. `None`: nothing of it is in its format.
pub(crate) fn trial(hook: &Hook, webhook: &Webhook, scene: &Scene, happening: &Happening, now: Time) -> Option<Bytes> {
    let told = Told { id: Uuid::nil(), position: Position::START, kind: "", time: now };
    match hook.definition.timing {
        crate::model::hook::Timing::Before => Some(question(&hook.name, now, scene, happening)),
        crate::model::hook::Timing::After => bodies(&hook.name, webhook, &told, scene, happening).into_iter().next(),
    }
}

/// Something that could happen: the first thing a hook is about, to a model that there need not be.
pub(crate) fn example(project: &ProjectName, definition: &Definition, caller: &str) -> (Scene, Happening) {
    let mlflow = definition.webhook().and_then(|webhook| webhook.mlflow_events.first().copied());
    let trigger = mlflow.map(|event| event.trigger()).or_else(|| definition.triggers.first().copied());
    let trigger = trigger.unwrap_or(Trigger::ModelCreate);
    let tags: BTreeMap<String, String> = match mlflow {
        Some(event) if mlflow::is_of_prompts(event) => {
            [(crate::model::entry::tag::IS_PROMPT.to_owned(), "true".to_owned())].into()
        }
        _ => [("example".to_owned(), "true".to_owned())].into(),
    };
    let tags = Arc::new(tags);
    let model =
        ModelName::new(project.project(), if definition.model.is_empty() { "example" } else { &definition.model });
    let model = ModelView {
        name: model.unwrap_or_else(|_| project.model("example").expect("a plain word is a segment")),
        display_name: "example".to_owned(),
        description: "An example that nobody registered.".to_owned(),
        tags: Arc::clone(&tags),
        aliases: BTreeMap::new(),
    };
    let version = VersionView {
        number: Some(Number(1)),
        stage: Stage::None,
        description: String::new(),
        tags,
        facts: Arc::new(Facts { source_uri: "models:/example/1".to_owned(), ..Facts::default() }),
        ..VersionView::default()
    };
    let change = match mlflow.map(|event| event.parts().1) {
        Some("set") => json!({"set_tags": {"example": "true"}}),
        Some("deleted") if trigger != Trigger::AliasRemove => json!({"deleted_tags": ["example"]}),
        _ if matches!(trigger, Trigger::AliasSet | Trigger::AliasRemove) => {
            json!({"alias": "example", "to_version": 1})
        }
        _ if trigger == Trigger::StageMove => json!({"from_stage": "None", "to_stage": "Staging"}),
        _ => json!({}),
    };
    let is_of_version = !matches!(trigger, Trigger::ModelCreate | Trigger::ModelUpdate | Trigger::ModelDelete);
    let scene = Scene { caller: caller.to_owned(), model, version: is_of_version.then_some(version) };
    (scene, Happening { trigger, version: is_of_version.then_some(Number(1)), change })
}

fn cairn(hook: &HookName, timing: &str, time: Time, event: Value, scene: &Scene, happening: &Happening) -> Value {
    json!({
        "type": format!("registry.{}", happening.trigger.as_str().to_lowercase()),
        "timing": timing,
        "timestamp": time.to_string(),
        "hook": hook.as_str(),
        "event": event,
        "data": scene.document(happening),
    })
}

fn written(body: &Value) -> Bytes {
    body.to_string().into_bytes().into()
}
