use cairn_kernel::{Code, Description, Fault};

use super::Rejection;

impl Fault for Rejection {
    const DOMAIN: &'static str = "experiments.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::NotFound => (Code::NotFound, "EXPERIMENT_NOT_FOUND", vec![]),
            Self::Exists(name) => (Code::AlreadyExists, "EXPERIMENT_EXISTS", vec![("experiment", name.to_string())]),
            Self::NameTaken { display_name, holder } => (
                Code::AlreadyExists,
                "EXPERIMENT_EXISTS",
                vec![("display_name", display_name.clone()), ("experiment", holder.to_string())],
            ),
            Self::Deleted(name) => {
                (Code::FailedPrecondition, "EXPERIMENT_DELETED", vec![("experiment", name.to_string())])
            }
        }
    }
}
