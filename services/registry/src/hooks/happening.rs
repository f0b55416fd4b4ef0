use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::hook::Trigger;
use crate::model::registered::Change;
use crate::model::version::{self, Facts};
use crate::model::{Model, ModelName, Move, Number, Pairs, Stage, Target, Version};

/// Something that happens to a model, or is about to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Happening {
    pub trigger: Trigger,
    /// The version it is about, if it is about one that has a number.
    pub version: Option<Number>,
    /// What is different then.
    pub change: Value,
}

/// Where it happens: who does it, and what it is done to.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub caller: String,
    pub model: ModelView,
    pub version: Option<VersionView>,
}

/// What hooks are shown of a model.
#[derive(Clone, Debug)]
pub(crate) struct ModelView {
    pub name: ModelName,
    pub display_name: String,
    pub description: String,
    pub tags: Pairs,
    pub aliases: BTreeMap<String, u32>,
}

/// What hooks are shown of a version.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionView {
    /// Absent: it has none yet.
    pub number: Option<Number>,
    pub stage: Stage,
    pub description: String,
    pub tags: Pairs,
    pub facts: Arc<Facts>,
    /// Its own, and those of its run that it does not have itself.
    pub metrics: BTreeMap<String, f64>,
    pub params: BTreeMap<String, String>,
}

impl Happening {
    /// What an event of a model is. `None`: nothing that hooks are about.
    pub fn of_model(change: &Change) -> Option<Self> {
        let is = |trigger, version, change| Some(Self { trigger, version, change });
        match change {
            Change::Created { .. } => is(Trigger::ModelCreate, None, json!({})),
            Change::Renamed { from, to } => {
                is(Trigger::ModelUpdate, None, json!({"from_display_name": from, "display_name": to}))
            }
            Change::Described(description) => is(Trigger::ModelUpdate, None, json!({"description": description})),
            Change::TagsSet(tags) => is(Trigger::ModelUpdate, None, json!({"set_tags": tags})),
            Change::TagsDeleted(keys) => is(Trigger::ModelUpdate, None, json!({"deleted_tags": keys})),
            Change::Deleted => is(Trigger::ModelDelete, None, json!({})),
            Change::VersionDeleted(version) => is(Trigger::VersionDelete, Some(*version), json!({})),
            Change::AliasMoved { alias, from, to } => is(
                Trigger::AliasSet,
                Some(*to),
                json!({"alias": alias.as_str(), "from_version": from.map(|from| from.0), "to_version": to.0}),
            ),
            Change::AliasRemoved { alias, version } => {
                is(Trigger::AliasRemove, Some(*version), json!({"alias": alias.as_str()}))
            }
            Change::StageMoved { version, from, to } => {
                is(Trigger::StageMove, Some(*version), json!({"from_stage": from.as_str(), "to_stage": to.as_str()}))
            }
            Change::Requested { promotion, moves, requester, comment, .. } => is(
                Trigger::PromotionRequest,
                only(moves),
                json!({"promotion": promotion, "moves": steps(moves), "requester": requester, "comment": comment}),
            ),
            Change::Approved { promotion, approver, role, comment, .. } => is(
                Trigger::PromotionApprove,
                None,
                json!({"promotion": promotion, "approver": approver, "role": role, "comment": comment}),
            ),
            Change::Rejected { promotion, comment, .. } => {
                is(Trigger::PromotionReject, None, json!({"promotion": promotion, "comment": comment}))
            }
            Change::Withdrawn { promotion, comment, .. } => {
                is(Trigger::PromotionWithdraw, None, json!({"promotion": promotion, "comment": comment}))
            }
            Change::Completed { promotion, .. } => {
                is(Trigger::PromotionComplete, None, json!({"promotion": promotion}))
            }
            Change::Bypassed { moves, justification, .. } => is(
                Trigger::PromotionBypass,
                only(moves),
                json!({"moves": steps(moves), "justification": justification}),
            ),
            // The number of a version is told with the version, and an import with what was registered by it.
            Change::Numbered { .. } | Change::TermsSet { .. } | Change::Imported(_) => None,
        }
    }

    /// What an event of a version is. `number` is absent while it has none.
    pub fn of_version(number: Option<Number>, change: &version::Change) -> Option<Self> {
        let (trigger, change) = match change {
            version::Change::Created { .. } => (Trigger::VersionCreate, json!({})),
            version::Change::Described(description) => (Trigger::VersionUpdate, json!({"description": description})),
            version::Change::TagsSet(tags) => (Trigger::VersionUpdate, json!({"set_tags": tags})),
            version::Change::TagsDeleted(keys) => (Trigger::VersionUpdate, json!({"deleted_tags": keys})),
            version::Change::Imported(_) => return None,
        };
        Some(Self { trigger, version: number, change })
    }
}

/// The version of a move that is the only one.
fn only(moves: &[Move]) -> Option<Number> {
    match moves {
        [step] => Some(step.version),
        _ => None,
    }
}

fn steps(moves: &[Move]) -> Value {
    let step = |step: &Move| match &step.target {
        Target::Alias(alias) => json!({"version": step.version.0, "alias": alias.as_str()}),
        Target::Stage(stage) => json!({"version": step.version.0, "stage": stage.as_str()}),
    };
    moves.iter().map(step).collect()
}

impl ModelView {
    /// A model as it is.
    pub fn of(name: &ModelName, model: &Model) -> Self {
        Self {
            name: name.clone(),
            display_name: model.display_name.to_string(),
            description: model.description.to_string(),
            tags: Arc::clone(&model.tags),
            aliases: model.aliases().iter().map(|(alias, version)| (alias.to_string(), version.0)).collect(),
        }
    }
}

impl Scene {
    /// What expressions and receivers are shown.
    pub fn document(&self, happening: &Happening) -> Value {
        let model = &self.model;
        json!({
            "trigger": happening.trigger.as_str(),
            "caller": self.caller,
            "project": model.name.parent().as_str(),
            "model": {
                "name": model.name.as_str(), "display_name": model.display_name, "description": model.description,
                "tags": *model.tags, "aliases": model.aliases,
            },
            "version": self.version.as_ref().map_or_else(|| json!({}), |version| version.document(&model.name)),
            "change": happening.change,
        })
    }
}

impl VersionView {
    /// A version as it is.
    pub fn of(number: Option<Number>, model: &Model, version: &Version) -> Self {
        Self {
            number,
            stage: number.map(|number| model.stage(number)).unwrap_or_default(),
            description: version.description.to_string(),
            tags: Arc::clone(&version.tags),
            facts: Arc::clone(&version.facts),
            ..Self::default()
        }
    }

    fn document(&self, model: &ModelName) -> Value {
        let facts = &self.facts;
        json!({
            "name": self.number.map(|number| model.version(number).to_string()).unwrap_or_default(),
            "number": self.number.map(|number| number.0).unwrap_or_default(),
            "stage": self.stage.as_str(), "description": self.description, "tags": *self.tags,
            "metrics": self.metrics, "params": self.params,
            "source_run": facts.source_run, "source_model": facts.source_model, "source_uri": facts.source_uri,
            "artifact_uri": facts.artifact_uri, "run_link": facts.run_link, "framework": facts.framework,
        })
    }
}
