use cairn_kernel::{Code, Description, Fault};

use super::Rejection;

impl Fault for Rejection {
    const DOMAIN: &'static str = "experiments.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::NotFound => (Code::NotFound, "RUN_NOT_FOUND", vec![]),
            Self::Exists(run) => (Code::AlreadyExists, "RUN_EXISTS", vec![("run", run.to_string())]),
            Self::Deleted(run) => (Code::FailedPrecondition, "RUN_DELETED", vec![("run", run.to_string())]),
            Self::AlreadyTerminal { run, state, end_time } => {
                let mut values = vec![("run", run.to_string()), ("state", state.to_string())];
                values.extend(end_time.map(|time| ("end_time", time.to_string())));
                (Code::FailedPrecondition, "RUN_ALREADY_TERMINAL", values)
            }
            Self::ParamImmutable { key, logged, given } => (
                Code::FailedPrecondition,
                "PARAM_IMMUTABLE",
                vec![("key", key.clone()), ("logged", logged.clone()), ("given", given.clone())],
            ),
            Self::ParentInvalid(parent) => {
                (Code::InvalidArgument, "PARENT_RUN_INVALID", vec![("parent_run", parent.clone())])
            }
            Self::Full { what, max } => {
                (Code::ResourceExhausted, "RUN_FULL", vec![("what", (*what).to_owned()), ("max", max.to_string())])
            }
        }
    }
}
