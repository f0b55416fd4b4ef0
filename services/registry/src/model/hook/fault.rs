use cairn_kernel::{Code, Description, Fault};

use super::{DeliveryName, HookName, Trigger};

/// Why something was refused, about a hook or by one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no hook {0}")]
    NotFound(HookName),
    #[error("hook {0} exists already")]
    Exists(HookName),
    #[error("no more than {0} hooks in a project")]
    Full(usize),
    #[error("hook {0} has its say at another time, and that stays: make another hook")]
    Timing(HookName),
    #[error("the expression cannot be used, at line {line}, column {column}: {problem}")]
    Expression { line: usize, column: usize, problem: String },
    #[error("the address of a hook cannot be used: {0}")]
    Address(String),
    #[error("{message} (refused by {hook} sha256:{digest})")]
    Refused { hook: HookName, digest: String, trigger: Trigger, message: String },
    #[error("{hook} sha256:{digest} must agree, and gave no answer: {problem}")]
    Unanswered { hook: HookName, digest: String, trigger: Trigger, problem: String },
    #[error("there is no delivery {0}")]
    NoDelivery(DeliveryName),
    #[error("delivery {delivery} was not given up: it is {state}")]
    NotDead { delivery: DeliveryName, state: &'static str },
}

impl Fault for Rejection {
    const DOMAIN: &'static str = "registry.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::NotFound(hook) => (Code::NotFound, "HOOK_NOT_FOUND", vec![("hook", hook.to_string())]),
            Self::Exists(hook) => (Code::AlreadyExists, "HOOK_EXISTS", vec![("hook", hook.to_string())]),
            Self::Full(limit) => (Code::ResourceExhausted, "HOOKS_FULL", vec![("limit", limit.to_string())]),
            Self::Timing(_) => (Code::InvalidArgument, "VALIDATION_ERROR", vec![("field", "hook.timing".to_owned())]),
            Self::Expression { line, column, problem } => (
                Code::InvalidArgument,
                "HOOK_EXPRESSION_INVALID",
                vec![("line", line.to_string()), ("column", column.to_string()), ("problem", problem.clone())],
            ),
            Self::Address(problem) => {
                (Code::InvalidArgument, "HOOK_ADDRESS_REFUSED", vec![("problem", problem.clone())])
            }
            Self::Refused { hook, digest, trigger, message } => (
                Code::FailedPrecondition,
                "REGISTRATION_REJECTED",
                by(hook, digest, *trigger, ("message", message.clone())),
            ),
            Self::Unanswered { hook, digest, trigger, problem } => {
                (Code::FailedPrecondition, "HOOK_UNANSWERED", by(hook, digest, *trigger, ("problem", problem.clone())))
            }
            Self::NoDelivery(delivery) => {
                (Code::NotFound, "DELIVERY_NOT_FOUND", vec![("delivery", delivery.to_string())])
            }
            Self::NotDead { delivery, state } => (
                Code::FailedPrecondition,
                "DELIVERY_NOT_DEAD",
                vec![("delivery", delivery.to_string()), ("state", (*state).to_owned())],
            ),
        }
    }
}

fn by(hook: &HookName, digest: &str, trigger: Trigger, said: (&'static str, String)) -> Vec<(&'static str, String)> {
    vec![("hook", hook.to_string()), ("digest", digest.to_owned()), ("trigger", trigger.to_string()), said]
}
