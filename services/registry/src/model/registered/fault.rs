use std::fmt;

use cairn_kernel::{Code, Description, Fault};

use crate::model::{ModelName, Number, Stage, Target, Unmet, hook, signing};

/// How a promotion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Completed,
    Rejected,
    Withdrawn,
    Expired,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("no such model in this project")]
    NotFound,
    #[error("model {0} exists already")]
    Exists(ModelName),
    #[error("another model of the project, {holder}, is called {display_name:?}")]
    NameTaken { display_name: String, holder: ModelName },
    #[error("model {model} has no version {version}")]
    VersionNotFound { model: ModelName, version: Number },
    #[error("{model} cannot have a version {version} any more: the last number given is {last}")]
    NumberTaken { model: ModelName, version: Number, last: Number },
    #[error("version {version} does not go from {from} to {to}, only to {}", listed(from.next()))]
    StageMove { version: Number, from: Stage, to: Stage },
    #[error("no more than {limit} {what}")]
    Full { what: &'static str, limit: usize },
    #[error("{target} of {model} is protected: ask for a promotion with POST /api/v1/{model}/promotions")]
    Protected { model: ModelName, target: Target },
    #[error("no promotion {0:?} of this model")]
    PromotionNotFound(String),
    #[error("promotion {promotion:?} has ended: it was {how}")]
    Ended { promotion: String, how: End },
    #[error("nobody approves what they asked for themselves: somebody else must approve promotion {0:?}")]
    Own(String),
    #[error("{principal} holds none of {} on the model", roles.join(", "))]
    RoleMissing { principal: String, roles: Vec<String> },
    #[error("{principal} was given {role} after the promotion was asked for")]
    RoleTooRecent { principal: String, role: String },
    #[error("{0} is a program, and programs do not approve here")]
    NotAPerson(String),
    #[error("the policy is another than when promotion {0:?} was asked for: ask again")]
    PolicyChanged(String),
    #[error("promotion {promotion:?} lacks: {}", listed(unmet))]
    Unmet { promotion: String, unmet: Vec<Unmet> },
    #[error("only who asked for promotion {0:?} withdraws it")]
    NotOwn(String),
    #[error("these moves cannot be made together: {0}")]
    Moves(String),
    #[error("the policy would ask for less than the one in force")]
    PolicyRelaxed,
    /// A hook of the project does not agree.
    #[error(transparent)]
    Hook(#[from] hook::Rejection),
    /// The signature over a version's files is missing, wrong, or of nobody who is trusted.
    #[error(transparent)]
    Signature(#[from] signing::Rejection),
}

fn listed(items: &[impl fmt::Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        })
    }
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "registry.cairn";

    fn describe(&self) -> Description {
        let promotion = |promotion: &String| vec![("promotion", promotion.clone())];
        match self {
            Self::NotFound => (Code::NotFound, "MODEL_NOT_FOUND", vec![]),
            Self::Exists(name) => (Code::AlreadyExists, "MODEL_EXISTS", vec![("model", name.to_string())]),
            Self::NameTaken { display_name, holder } => (
                Code::AlreadyExists,
                "MODEL_EXISTS",
                vec![("display_name", display_name.clone()), ("model", holder.to_string())],
            ),
            Self::VersionNotFound { model, version } => (
                Code::NotFound,
                "MODEL_VERSION_NOT_FOUND",
                vec![("model", model.to_string()), ("version", version.to_string())],
            ),
            Self::NumberTaken { model, version, last } => (
                Code::AlreadyExists,
                "MODEL_VERSION_EXISTS",
                vec![("model", model.to_string()), ("version", version.to_string()), ("last", last.to_string())],
            ),
            Self::StageMove { version, from, to } => (
                Code::FailedPrecondition,
                "STAGE_MOVE_INVALID",
                vec![
                    ("version", version.to_string()),
                    ("from", from.to_string()),
                    ("to", to.to_string()),
                    ("allowed", listed(from.next())),
                ],
            ),
            Self::Full { what, limit } => (
                Code::ResourceExhausted,
                "MODEL_FULL",
                vec![("what", (*what).to_owned()), ("limit", limit.to_string())],
            ),
            Self::Protected { model, target } => (
                Code::FailedPrecondition,
                "TARGET_PROTECTED",
                vec![
                    ("model", model.to_string()),
                    ("target", target.to_string()),
                    ("ask", format!("POST /api/v1/{model}/promotions")),
                ],
            ),
            Self::PromotionNotFound(id) => (Code::NotFound, "PROMOTION_NOT_FOUND", promotion(id)),
            Self::Ended { promotion, how } => (
                Code::FailedPrecondition,
                "PROMOTION_ENDED",
                vec![("promotion", promotion.clone()), ("how", how.to_string())],
            ),
            Self::Own(id) => (Code::PermissionDenied, "PROMOTION_OWN", promotion(id)),
            Self::RoleMissing { principal, roles } => (
                Code::PermissionDenied,
                "APPROVER_ROLE_MISSING",
                vec![("principal", principal.clone()), ("roles", roles.join(", "))],
            ),
            Self::RoleTooRecent { principal, role } => (
                Code::PermissionDenied,
                "APPROVER_ROLE_TOO_RECENT",
                vec![("principal", principal.clone()), ("role", role.clone())],
            ),
            Self::NotAPerson(principal) => {
                (Code::PermissionDenied, "APPROVER_NOT_A_PERSON", vec![("principal", principal.clone())])
            }
            Self::PolicyChanged(id) => (Code::FailedPrecondition, "PROMOTION_POLICY_CHANGED", promotion(id)),
            Self::Unmet { promotion, unmet } => (
                Code::FailedPrecondition,
                "PROMOTION_CONDITIONS_UNMET",
                vec![("promotion", promotion.clone()), ("unmet", listed(unmet))],
            ),
            Self::NotOwn(id) => (Code::PermissionDenied, "PROMOTION_NOT_OWN", promotion(id)),
            Self::Moves(problem) => {
                (Code::InvalidArgument, "PROMOTION_MOVES_INVALID", vec![("problem", problem.clone())])
            }
            Self::PolicyRelaxed => (Code::PermissionDenied, "POLICY_RELAXED", vec![]),
            Self::Hook(rejection) => rejection.describe(),
            Self::Signature(rejection) => rejection.describe(),
        }
    }
}
