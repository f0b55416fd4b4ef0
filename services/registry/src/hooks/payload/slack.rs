use cairn_kernel::Time;
use serde_json::{Value, json};

use crate::hooks::{Happening, Scene};
use crate::model::hook::Trigger;

/// What happens, as a message for a channel: a sentence, and where and when beneath it.
pub(super) fn body(scene: &Scene, happening: &Happening, time: Time) -> Value {
    let sentence = sentence(scene, happening);
    let place = format!("{} · {} · {}", plain(scene.model.name.as_str()), happening.trigger, time);
    json!({
        "text": sentence,
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": sentence}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": place}]},
        ],
    })
}

fn sentence(scene: &Scene, happening: &Happening) -> String {
    let model = format!("*{}*", plain(&scene.model.display_name));
    let version = match happening.version {
        Some(number) => format!("version {number} of {model}"),
        None => model.clone(),
    };
    let caller = plain(&scene.caller);
    let word = |key: &str| plain(happening.change[key].as_str().unwrap_or_default());
    match happening.trigger {
        Trigger::ModelCreate => format!("{caller} registered model {model}"),
        Trigger::ModelUpdate => format!("{caller} changed model {model}"),
        Trigger::ModelDelete => format!("{caller} deleted model {model}"),
        Trigger::VersionCreate => format!("{caller} registered {version}"),
        Trigger::VersionUpdate => format!("{caller} changed {version}"),
        Trigger::VersionDelete => format!("{caller} deleted {version}"),
        Trigger::AliasSet => format!("{caller} pointed alias `{}` at {version}", word("alias")),
        Trigger::AliasRemove => format!("{caller} took alias `{}` from {version}", word("alias")),
        Trigger::StageMove => format!("{caller} moved {version} from {} to {}", word("from_stage"), word("to_stage")),
        Trigger::PromotionRequest => format!("{caller} asked to promote {version}"),
        Trigger::PromotionApprove => format!("{caller} approved a promotion of {model}"),
        Trigger::PromotionReject => format!("{caller} rejected a promotion of {model}"),
        Trigger::PromotionWithdraw => format!("{caller} withdrew a promotion of {model}"),
        Trigger::PromotionComplete => format!("A promotion of {model} was carried out by {caller}"),
        Trigger::PromotionBypass => format!("{caller} moved {version} without a promotion: {}", word("justification")),
    }
}

/// A text of somebody, which is neither markup nor a mention.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
