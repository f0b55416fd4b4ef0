use std::fmt;
use std::str::FromStr;

/// Something that can happen to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    ModelCreate,
    ModelUpdate,
    ModelDelete,
    VersionCreate,
    VersionUpdate,
    VersionDelete,
    AliasSet,
    AliasRemove,
    StageMove,
    PromotionRequest,
    PromotionApprove,
    PromotionReject,
    PromotionWithdraw,
    PromotionComplete,
    PromotionBypass,
}

impl Trigger {
    pub const ALL: [Self; 15] = [
        Self::ModelCreate,
        Self::ModelUpdate,
        Self::ModelDelete,
        Self::VersionCreate,
        Self::VersionUpdate,
        Self::VersionDelete,
        Self::AliasSet,
        Self::AliasRemove,
        Self::StageMove,
        Self::PromotionRequest,
        Self::PromotionApprove,
        Self::PromotionReject,
        Self::PromotionWithdraw,
        Self::PromotionComplete,
        Self::PromotionBypass,
    ];

    /// As expressions and receivers know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelCreate => "MODEL_CREATE",
            Self::ModelUpdate => "MODEL_UPDATE",
            Self::ModelDelete => "MODEL_DELETE",
            Self::VersionCreate => "VERSION_CREATE",
            Self::VersionUpdate => "VERSION_UPDATE",
            Self::VersionDelete => "VERSION_DELETE",
            Self::AliasSet => "ALIAS_SET",
            Self::AliasRemove => "ALIAS_REMOVE",
            Self::StageMove => "STAGE_MOVE",
            Self::PromotionRequest => "PROMOTION_REQUEST",
            Self::PromotionApprove => "PROMOTION_APPROVE",
            Self::PromotionReject => "PROMOTION_REJECT",
            Self::PromotionWithdraw => "PROMOTION_WITHDRAW",
            Self::PromotionComplete => "PROMOTION_COMPLETE",
            Self::PromotionBypass => "PROMOTION_BYPASS",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What MLflow's webhooks can be told of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MlflowEvent {
    ModelCreated,
    VersionCreated,
    VersionTagSet,
    VersionTagDeleted,
    AliasCreated,
    AliasDeleted,
    PromptCreated,
    PromptVersionCreated,
    PromptTagSet,
    PromptTagDeleted,
    PromptVersionTagSet,
    PromptVersionTagDeleted,
    PromptAliasCreated,
    PromptAliasDeleted,
}

impl MlflowEvent {
    pub const ALL: [Self; 14] = [
        Self::ModelCreated,
        Self::VersionCreated,
        Self::VersionTagSet,
        Self::VersionTagDeleted,
        Self::AliasCreated,
        Self::AliasDeleted,
        Self::PromptCreated,
        Self::PromptVersionCreated,
        Self::PromptTagSet,
        Self::PromptTagDeleted,
        Self::PromptVersionTagSet,
        Self::PromptVersionTagDeleted,
        Self::PromptAliasCreated,
        Self::PromptAliasDeleted,
    ];

    /// MLflow's own name of it: an entity and an action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelCreated => "registered_model.created",
            Self::VersionCreated => "model_version.created",
            Self::VersionTagSet => "model_version_tag.set",
            Self::VersionTagDeleted => "model_version_tag.deleted",
            Self::AliasCreated => "model_version_alias.created",
            Self::AliasDeleted => "model_version_alias.deleted",
            Self::PromptCreated => "prompt.created",
            Self::PromptVersionCreated => "prompt_version.created",
            Self::PromptTagSet => "prompt_tag.set",
            Self::PromptTagDeleted => "prompt_tag.deleted",
            Self::PromptVersionTagSet => "prompt_version_tag.set",
            Self::PromptVersionTagDeleted => "prompt_version_tag.deleted",
            Self::PromptAliasCreated => "prompt_alias.created",
            Self::PromptAliasDeleted => "prompt_alias.deleted",
        }
    }

    /// Entity and action.
    pub fn parts(self) -> (&'static str, &'static str) {
        self.as_str().split_once('.').unwrap_or_default()
    }

    /// What must happen for it to be told.
    pub fn trigger(self) -> Trigger {
        match self {
            Self::ModelCreated | Self::PromptCreated => Trigger::ModelCreate,
            Self::VersionCreated | Self::PromptVersionCreated => Trigger::VersionCreate,
            Self::PromptTagSet | Self::PromptTagDeleted => Trigger::ModelUpdate,
            Self::VersionTagSet
            | Self::VersionTagDeleted
            | Self::PromptVersionTagSet
            | Self::PromptVersionTagDeleted => Trigger::VersionUpdate,
            Self::AliasCreated | Self::PromptAliasCreated => Trigger::AliasSet,
            Self::AliasDeleted | Self::PromptAliasDeleted => Trigger::AliasRemove,
        }
    }
}

impl FromStr for MlflowEvent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not told of here, only {}", known()))
    }
}
