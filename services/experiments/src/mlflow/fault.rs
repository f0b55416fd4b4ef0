use cairn_kernel::Code;
use cairn_service::Refusal;
use tonic::Status;

/// MLflow's own error codes, as far as the edge would not choose them by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    InvalidParameterValue,
    ResourceDoesNotExist,
    ResourceAlreadyExists,
    NotImplemented,
}

impl ErrorCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
            Self::NotImplemented => "NOT_IMPLEMENTED",
        }
    }

    fn canonical(self) -> Code {
        match self {
            Self::InvalidParameterValue => Code::InvalidArgument,
            Self::ResourceDoesNotExist => Code::NotFound,
            Self::ResourceAlreadyExists => Code::AlreadyExists,
            Self::NotImplemented => Code::Unimplemented,
        }
    }

    /// The error as MLflow words it.
    pub fn says(self, message: impl Into<String>) -> Status {
        let mut refusal = Refusal::new(self.canonical(), self.as_str(), message);
        refusal.domain = "mlflow";
        refusal.into()
    }
}

/// A request that MLflow's server would not understand either.
pub(super) fn invalid(message: impl Into<String>) -> Status {
    ErrorCode::InvalidParameterValue.says(message)
}

/// A field that must be there and is not.
pub(super) fn missing(parameter: &str) -> Status {
    invalid(format!(
        "Missing value for required parameter '{parameter}'. See the API docs for more information about request \
         parameters."
    ))
}

/// A refusal of ours in MLflow's words, where clients look for them; else as it is, for the edge to choose the code.
pub(super) fn translated(refusal: Refusal) -> Status {
    use ErrorCode::{InvalidParameterValue, ResourceAlreadyExists, ResourceDoesNotExist};
    let value = |key: &str| {
        let found = refusal.metadata.iter().find(|(name, _)| *name == key);
        found.map_or("", |(_, value)| value.as_str()).to_owned()
    };
    let id = |key: &str| value(key).rsplit('/').next().unwrap_or_default().to_owned();
    match refusal.reason {
        "EXPERIMENT_NOT_FOUND" => {
            ResourceDoesNotExist.says(format!("No Experiment with id={} exists", id("experiment")))
        }
        "EXPERIMENT_EXISTS" => {
            let name = value("display_name");
            ResourceAlreadyExists.says(format!("Experiment(name={name}) already exists. Error: {}", refusal.message))
        }
        "EXPERIMENT_DELETED" => InvalidParameterValue.says(format!(
            "The experiment {} must be in the 'active' state. Current state is deleted.",
            id("experiment")
        )),
        "RUN_NOT_FOUND" => ResourceDoesNotExist.says(format!("Run with id={} not found", id("run"))),
        "RUN_DELETED" => InvalidParameterValue
            .says(format!("The run {} must be in the 'active' state. Current state is deleted.", id("run"))),
        "PARAM_IMMUTABLE" => InvalidParameterValue.says(format!(
            "Changing param values is not allowed. Param with key='{}' was already logged with value='{}'. Attempted \
             logging new value '{}'.",
            value("key"),
            value("logged"),
            value("given")
        )),
        "LOGGED_MODEL_NOT_FOUND" => {
            ResourceDoesNotExist.says(format!("Logged model with ID '{}' not found.", id("model")))
        }
        "RUN_FULL" | "LOGGED_MODEL_FULL" | "LOGGED_MODEL_FINALIZED" | "ARTIFACTS_TOO_MANY" => {
            InvalidParameterValue.says(refusal.message)
        }
        _ => refusal.into(),
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn what_clients_look_for_is_said_in_mlflows_words() {
        let refusal = Refusal::new(Code::NotFound, "RUN_NOT_FOUND", "no such run").with("run", "projects/p/runs/abc");
        let status = translated(refusal);
        assert_eq!(status.message(), "Run with id=abc not found");
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("mlflow", "RESOURCE_DOES_NOT_EXIST"));
    }

    #[test]
    fn what_mlflow_has_no_words_for_keeps_ours() {
        let status = translated(Refusal::new(Code::Unavailable, "STORAGE_FULL", "the disk is full"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("cairn", "STORAGE_FULL"));
    }
}
