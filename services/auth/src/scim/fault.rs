use cairn_kernel::Code;
use cairn_service::{Refusal, refuse};
use tonic::Status;

/// What is wrong with a request, in the words of RFC 7644, section 3.12.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Syntax(String),
    #[error("the filter, at character {at}: {problem}")]
    Filter { at: usize, problem: String },
    #[error("the path {path:?} {problem}")]
    Path { path: String, problem: &'static str },
    #[error("the path {path:?} takes nothing of what is there")]
    NoTarget { path: String },
    #[error("{attribute}: {problem}")]
    Value { attribute: String, problem: String },
    #[error("{attribute} {problem}")]
    Fixed { attribute: String, problem: &'static str },
    #[error("the filter would have to look at more than {limit} resources")]
    TooMany { limit: usize },
}

impl Fault {
    pub fn value(attribute: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Value { attribute: attribute.into(), problem: problem.into() }
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Syntax(_) => ("SCIM_SYNTAX_INVALID", "invalidSyntax"),
            Self::Filter { .. } => ("SCIM_FILTER_INVALID", "invalidFilter"),
            Self::Path { .. } => ("SCIM_PATH_INVALID", "invalidPath"),
            Self::NoTarget { .. } => ("SCIM_PATH_INVALID", "noTarget"),
            Self::Value { .. } => ("SCIM_VALUE_INVALID", "invalidValue"),
            Self::Fixed { .. } => ("SCIM_ATTRIBUTE_FIXED", "mutability"),
            Self::TooMany { .. } => ("SCIM_TOO_MANY", "tooMany"),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let (reason, kind) = fault.words();
        Self::new(Code::InvalidArgument, reason, fault.to_string()).with("scim_type", kind)
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        refuse(fault)
    }
}
