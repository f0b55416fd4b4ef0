//! The filter language of MLflow's clients: `metrics.auc > 0.9 AND params.depth = '5'`.
//!
//! Text becomes tokens, tokens become comparisons, comparisons become conditions of one kind of resource, and those
//! become SQL in which every word of the caller is a bound parameter.

mod condition;
mod experiments;
mod lexer;
mod logged_models;
mod order;
mod parser;
mod runs;
#[cfg(test)]
mod spec;
pub(crate) mod sql;

use cairn_kernel::{Code, Description, Fault};

pub use condition::{Compare, Text};
pub use experiments::{ExperimentCondition, ExperimentOrder, experiment_filter, experiment_order};
pub use logged_models::{LoggedModelCondition, LoggedModelOrder, logged_model_filter, logged_model_order};
pub use order::Ordered;
pub use runs::{DatasetColumn, RunCondition, RunOrder, TextColumn, TimeColumn, run_filter, run_order};

/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 16 << 10;
/// Most comparisons in one filter.
pub const COMPARISONS_MAX: usize = 100;
/// Most terms of one order.
pub const ORDER_TERMS_MAX: usize = 10;

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
    pub(crate) fn filter(at: usize, message: impl Into<String>) -> Self {
        Self::Filter { at, message: message.into() }
    }
}

impl Fault for SearchFault {
    const DOMAIN: &'static str = "experiments.cairn";

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
