use cairn_kernel::Code;
use cairn_service::Refusal;
use tonic::Status;

/// MLflow's own error codes, as far as the edge would not choose them by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    InvalidParameterValue,
    PermissionDenied,
    ResourceDoesNotExist,
    ResourceAlreadyExists,
}

impl ErrorCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::InvalidParameterValue => "INVALID_PARAMETER_VALUE",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceDoesNotExist => "RESOURCE_DOES_NOT_EXIST",
            Self::ResourceAlreadyExists => "RESOURCE_ALREADY_EXISTS",
        }
    }

    fn canonical(self) -> Code {
        match self {
            Self::InvalidParameterValue => Code::InvalidArgument,
            Self::PermissionDenied => Code::PermissionDenied,
            Self::ResourceDoesNotExist => Code::NotFound,
            Self::ResourceAlreadyExists => Code::AlreadyExists,
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
    match refusal.reason {
        "MODEL_NOT_FOUND" | "MODEL_VERSION_NOT_FOUND" => ErrorCode::ResourceDoesNotExist.says(refusal.message),
        "MODEL_EXISTS" => ErrorCode::ResourceAlreadyExists.says(refusal.message),
        "STAGE_MOVE_INVALID" | "MODEL_FULL" | "SOURCE_INVALID" | "ALIAS_NOT_FOUND" => {
            ErrorCode::InvalidParameterValue.says(refusal.message)
        }
        // Likewise: the folder must be signed anew, and sending it again does not do that.
        "MODEL_SIGNATURE_MISSING"
        | "MODEL_SIGNATURE_UNTRUSTED"
        | "MODEL_SIGNATURE_INVALID"
        | "MODEL_SIGNATURE_MISMATCH" => ErrorCode::InvalidParameterValue.says(refusal.message),
        // Not a code that clients repeat the call for: only people change this.
        "TARGET_PROTECTED" => ErrorCode::PermissionDenied.says(refusal.message),
        _ => refusal.into(),
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn what_clients_look_for_is_said_in_mlflows_words() {
        let status = translated(Refusal::new(Code::FailedPrecondition, "TARGET_PROTECTED", "ask for a promotion"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("mlflow", "PERMISSION_DENIED"));
        assert_eq!(status.message(), "ask for a promotion");
    }

    #[test]
    fn what_mlflow_has_no_words_for_keeps_ours() {
        let status = translated(Refusal::new(Code::Unavailable, "STORAGE_FULL", "the disk is full"));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("cairn", "STORAGE_FULL"));
    }
}
