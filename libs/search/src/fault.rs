use cairn_kernel::{Code, Description, Fault};

/// Why a search was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchFault {
    #[error("{message} at character {} of the filter", at + 1)]
    Filter {
        /// Counts characters, from 0.
        at: usize,
        message: String,
    },
    #[error("order_by {term:?}: {message}")]
    Order { term: String, message: String },
    #[error("the page token is not one of this search")]
    PageToken,
}

impl SearchFault {
    /// What is wrong with a filter, and where.
    pub fn filter(at: usize, message: impl Into<String>) -> Self {
        Self::Filter { at, message: message.into() }
    }
}

impl Fault for SearchFault {
    const DOMAIN: &'static str = "search.cairn";

    fn describe(&self) -> Description {
        match self {
            Self::Filter { at, .. } => {
                (Code::InvalidArgument, "FILTER_INVALID", vec![("position", (at + 1).to_string())])
            }
            Self::Order { term, .. } => (Code::InvalidArgument, "ORDER_BY_INVALID", vec![("term", term.clone())]),
            Self::PageToken => (Code::InvalidArgument, "PAGE_TOKEN_INVALID", vec![]),
        }
    }
}
