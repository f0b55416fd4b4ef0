//! What may be asked of experiments, runs and logged models in the filter language, and the SQL it becomes.

mod experiments;
mod logged_models;
mod runs;
#[cfg(test)]
mod spec;
pub(crate) mod word;

pub use cairn_search::{Compare, Ordered, SearchFault, Text};
pub use experiments::{ExperimentCondition, ExperimentOrder, experiment_filter, experiment_order};
pub use logged_models::{LoggedModelCondition, LoggedModelOrder, logged_model_filter, logged_model_order};
pub use runs::{DatasetColumn, RunCondition, RunOrder, TextColumn, TimeColumn, run_filter, run_order};
