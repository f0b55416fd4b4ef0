/// How many names of each kind are kept. What is beyond is dropped with a warning, and the run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Distinct tag keys in one run, without those that clients keep for themselves.
    pub tag_keys_per_run_max: usize,
    /// Distinct metric names in one run.
    pub metric_names_per_run_max: usize,
    /// Distinct params in one run.
    pub params_per_run_max: usize,
}

/// Distinct tag keys in one run that clients keep for themselves (`mlflow.…`). They have room of their own, so that a
/// full run still has its name and its source.
pub const RESERVED_TAG_KEYS_PER_RUN_MAX: usize = 200;

/// Most data sets and models that one run reads or makes.
pub const LINKS_PER_RUN_MAX: usize = 1000;

impl Default for Limits {
    fn default() -> Self {
        Self { tag_keys_per_run_max: 100, metric_names_per_run_max: 1000, params_per_run_max: 2000 }
    }
}
