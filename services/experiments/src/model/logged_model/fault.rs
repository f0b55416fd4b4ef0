use cairn_kernel::{Code, Description, Fault};

use super::Rejection;

impl Fault for Rejection {
    const DOMAIN: &'static str = "experiments.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::NotFound => (Code::NotFound, "LOGGED_MODEL_NOT_FOUND", vec![]),
            Self::Exists(model) => (Code::AlreadyExists, "LOGGED_MODEL_EXISTS", vec![("model", model.to_string())]),
            Self::Finalized { model, state } => (
                Code::FailedPrecondition,
                "LOGGED_MODEL_FINALIZED",
                vec![("model", model.to_string()), ("state", state.to_string())],
            ),
            Self::ParamImmutable { key, logged, given } => (
                Code::FailedPrecondition,
                "PARAM_IMMUTABLE",
                vec![("key", key.clone()), ("logged", logged.clone()), ("given", given.clone())],
            ),
            Self::Full { what, max } => {
                (Code::ResourceExhausted, "RUN_FULL", vec![("what", (*what).to_owned()), ("max", max.to_string())])
            }
        }
    }
}
