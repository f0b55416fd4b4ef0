use cairn_kernel::{Code, Description, Fault};

use super::Rejection;

impl Fault for Rejection {
    const DOMAIN: &'static str = "experiments.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::NotFound { owner, path } => {
                let values = vec![("owner", owner.to_string()), ("path", path.to_string())];
                (Code::NotFound, "ARTIFACT_NOT_FOUND", values)
            }
        }
    }
}
