use cairn_eventstore::limits::EVENT_BYTES_MAX;

use crate::model::Limits;

cairn_kernel::settings! {
    /// How much is kept of what runs log.
    pub struct Config: "experiments" checked by problems {
        /// Distinct tag keys kept of one run; further ones are dropped with a warning. Tags that clients keep for
        /// themselves (`mlflow.…`) do not count.
        tag_keys_per_run_max: u64 = 100, env "MLRUN_MAX_TAG_KEYS_PER_RUN";
        /// Distinct metric names kept of one run; further ones are dropped with a warning.
        metric_names_per_run_max: u64 = 1000, env "MLRUN_MAX_METRIC_NAMES_PER_RUN";
        /// Distinct params kept of one run; further ones are dropped with a warning.
        params_per_run_max: u64 = 2000;
        /// Distinct tag keys kept of all runs of one project; further ones are dropped with a warning.
        tags_per_project_max: u64 = 10_000, env "MLRUN_MAX_TAGS_PER_PROJECT";
        /// Bytes that the schemas, profiles and sources of the data sets in one request may have together. They are kept
        /// in one event, which holds 8 MiB.
        inputs_bytes_max: u64 = 6 << 20;
        /// Queries of the read model that run at the same time.
        readers: u64 = 8;
    }
}

/// What of an event data sets may take: the rest is for names, tags and what the log says of the event itself.
const INPUTS_BYTES_LIMIT: u64 = (EVENT_BYTES_MAX - (1 << 20)) as u64;

fn problems(config: &Config) -> Vec<String> {
    // The names are kept in memory for as long as a run or project is being written.
    let limits = [
        ("readers", config.readers, 1, 256),
        ("inputs_bytes_max", config.inputs_bytes_max, 0, INPUTS_BYTES_LIMIT),
        ("tag_keys_per_run_max", config.tag_keys_per_run_max, 0, 10_000),
        ("metric_names_per_run_max", config.metric_names_per_run_max, 0, 100_000),
        ("params_per_run_max", config.params_per_run_max, 0, 10_000),
        ("tags_per_project_max", config.tags_per_project_max, 0, 1_000_000),
    ];
    limits
        .into_iter()
        .filter(|(_, value, min, max)| value < min || value > max)
        .map(|(name, _, min, max)| format!("{name} must be {min} to {max}"))
        .collect()
}

impl Config {
    /// What a run may hold.
    pub fn limits(&self) -> Limits {
        Limits {
            tag_keys_per_run_max: self.tag_keys_per_run_max as usize,
            metric_names_per_run_max: self.metric_names_per_run_max as usize,
            params_per_run_max: self.params_per_run_max as usize,
        }
    }
}
