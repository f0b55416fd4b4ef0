use std::collections::{BTreeMap, BTreeSet};

use cairn_kernel::Time;
use serde_json::{Value, json};

use crate::hooks::{Happening, Scene};
use crate::model::entry::tag;
use crate::model::hook::{MlflowEvent, Trigger};

/// Tags that say what a prompt is, and are not told as tags of it.
const PROMPT_TEXT: &str = "mlflow.prompt.text";
const PROMPT_TYPE: &str = "_mlflow_prompt_type";

/// What happens, as an MLflow server tells it: one body for each thing that it has an event for and that is wanted.
pub(super) fn bodies(wanted: &BTreeSet<MlflowEvent>, time: Time, scene: &Scene, happening: &Happening) -> Vec<Value> {
    let told = told(scene, happening).into_iter().filter(|(event, _)| wanted.contains(event));
    told.map(|(event, data)| {
        let (entity, action) = event.parts();
        json!({"entity": entity, "action": action, "timestamp": time.to_string(), "data": data})
    })
    .collect()
}

/// Whether an event is one of prompts, which MLflow keeps among the models.
pub(super) fn is_of_prompts(event: MlflowEvent) -> bool {
    event.parts().0.starts_with("prompt")
}

fn told(scene: &Scene, happening: &Happening) -> Vec<(MlflowEvent, Value)> {
    let name = &scene.model.display_name;
    let is_prompt = is_true(&scene.model.tags) || scene.version.as_ref().is_some_and(|version| is_true(&version.tags));
    let either = |model, prompt| if is_prompt { prompt } else { model };
    let number = happening.version.map(|number| number.to_string()).unwrap_or_default();
    let change = &happening.change;
    match happening.trigger {
        Trigger::ModelCreate => {
            let tags = plain(&scene.model.tags, is_prompt);
            let data = json!({"name": name, "tags": tags, "description": scene.model.description});
            vec![(either(MlflowEvent::ModelCreated, MlflowEvent::PromptCreated), data)]
        }
        Trigger::VersionCreate => {
            let Some(version) = &scene.version else { return vec![] };
            let description = Some(&version.description).filter(|text| !text.is_empty());
            let tags = plain(&version.tags, is_prompt);
            let facts = &version.facts;
            let run = facts.source_run.rsplit('/').next().filter(|run| !run.is_empty());
            vec![match is_prompt {
                true => (
                    MlflowEvent::PromptVersionCreated,
                    json!({"name": name, "version": number, "template": version.tags.get(PROMPT_TEXT), "tags": tags,
                           "description": description}),
                ),
                false => (
                    MlflowEvent::VersionCreated,
                    json!({"name": name, "version": number, "source": facts.source_uri, "run_id": run, "tags": tags,
                           "description": description}),
                ),
            }]
        }
        // Of models themselves, only prompts tell their tags.
        Trigger::ModelUpdate if is_prompt => {
            let of = |mut data: Value| {
                data["name"] = json!(name);
                data
            };
            let set =
                set(change).map(|(key, value)| (MlflowEvent::PromptTagSet, of(json!({"key": key, "value": value}))));
            let gone = gone(change).map(|key| (MlflowEvent::PromptTagDeleted, of(json!({"key": key}))));
            set.chain(gone).collect()
        }
        Trigger::VersionUpdate => {
            let of = |mut data: Value| {
                data["name"] = json!(name);
                data["version"] = json!(number);
                data
            };
            let is_set = either(MlflowEvent::VersionTagSet, MlflowEvent::PromptVersionTagSet);
            let is_gone = either(MlflowEvent::VersionTagDeleted, MlflowEvent::PromptVersionTagDeleted);
            let set = set(change).map(|(key, value)| (is_set, of(json!({"key": key, "value": value}))));
            let gone = gone(change).map(|key| (is_gone, of(json!({"key": key}))));
            set.chain(gone).collect()
        }
        Trigger::AliasSet => {
            let data = json!({"name": name, "alias": change["alias"], "version": number});
            vec![(either(MlflowEvent::AliasCreated, MlflowEvent::PromptAliasCreated), data)]
        }
        Trigger::AliasRemove => {
            let data = json!({"name": name, "alias": change["alias"]});
            vec![(either(MlflowEvent::AliasDeleted, MlflowEvent::PromptAliasDeleted), data)]
        }
        _ => vec![],
    }
}

fn set(change: &Value) -> impl Iterator<Item = (&String, &Value)> {
    change["set_tags"].as_object().into_iter().flatten()
}

fn gone(change: &Value) -> impl Iterator<Item = &Value> {
    change["deleted_tags"].as_array().into_iter().flatten()
}

fn is_true(tags: &BTreeMap<String, String>) -> bool {
    tags.get(tag::IS_PROMPT).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The tags that people set.
fn plain(tags: &BTreeMap<String, String>, is_prompt: bool) -> BTreeMap<&String, &String> {
    let is_inner = |key: &str| is_prompt && matches!(key, tag::IS_PROMPT | PROMPT_TYPE | PROMPT_TEXT);
    tags.iter().filter(|(key, _)| !is_inner(key)).collect()
}
