//! What is in the tables, list by list. `?1` is what the list is of, `?2` where the last page ended, `?3` its size.
//!
//! Pages follow the order in which rows were written, which costs no sorting, and within a snapshot it stays. A sign in
//! `ORDER BY +key` keeps SQLite from walking through the keys of everything to save itself the sorting of a few.

use super::row::Query;

/// Whose experiments and models are read: the workspace that everything is in unless a server has several.
macro_rules! workspace {
    () => {
        "workspace = 'default'"
    };
}

const fn part(sql: &'static str) -> Query {
    Query { sql, parts: &[] }
}

pub const EXPERIMENTS: Query = Query {
    sql: concat!(
        r#"SELECT experiment_id AS at, experiment_id AS id, CAST(experiment_id AS TEXT) AS experiment_id, name,
                  COALESCE(lifecycle_stage, 'active') AS lifecycle_stage, creation_time
           FROM experiments WHERE ?1 = '' AND experiment_id > ?2 AND "#,
        workspace!(),
        " ORDER BY experiment_id LIMIT ?3"
    ),
    parts: &[("tags", part("SELECT key, value FROM experiment_tags WHERE experiment_id = ?1 ORDER BY key"))],
};

/// A run has no name of its own where only its tag says it.
pub const RUNS: Query = Query {
    sql: r#"SELECT rowid AS at, run_uuid AS id, run_uuid AS "info.run_id", user_id AS "info.user_id",
                   COALESCE(NULLIF(name, ''), (SELECT value FROM tags WHERE tags.run_uuid = runs.run_uuid
                                               AND key = 'mlflow.runName')) AS "info.run_name",
                   status AS "info.status", start_time AS "info.start_time", end_time AS "info.end_time",
                   COALESCE(lifecycle_stage, 'active') AS "info.lifecycle_stage"
            FROM runs WHERE experiment_id = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3"#,
    parts: &[
        ("data.params", part("SELECT key, value FROM params WHERE run_uuid = ?1 ORDER BY key")),
        ("data.tags", part("SELECT key, value FROM tags WHERE run_uuid = ?1 ORDER BY key")),
        ("inputs.dataset_inputs", DATASETS),
        (
            "outputs.model_outputs",
            part(
                "SELECT destination_id AS model_id, step FROM inputs
                 WHERE source_type = 'RUN_OUTPUT' AND source_id = ?1 AND destination_type = 'MODEL_OUTPUT' ORDER BY rowid",
            ),
        ),
    ],
};

const DATASETS: Query = Query {
    sql: r#"SELECT input_uuid AS id, name AS "dataset.name", digest AS "dataset.digest",
                   dataset_source_type AS "dataset.source_type", dataset_source AS "dataset.source",
                   dataset_schema AS "dataset.schema", dataset_profile AS "dataset.profile"
            FROM inputs JOIN datasets ON dataset_uuid = source_id
            WHERE destination_type = 'RUN' AND destination_id = ?1 AND source_type = 'DATASET' ORDER BY inputs.rowid"#,
    parts: &[("tags", part("SELECT name AS key, value FROM input_tags WHERE input_uuid = ?1 ORDER BY name"))],
};

pub const MODEL_INPUTS: Query = part(
    "SELECT destination_id AS model_id FROM inputs
     WHERE source_type = 'RUN_INPUT' AND source_id = ?1 AND destination_type = 'MODEL_INPUT' ORDER BY rowid",
);

/// Of all metrics at once: the index of runs gives them in this order.
pub const POINTS: Query = part(
    "SELECT rowid AS at, key, CASE WHEN is_nan THEN 'NaN' ELSE value END AS value, timestamp, step
     FROM metrics WHERE run_uuid = ?1 AND rowid > ?2 ORDER BY rowid LIMIT ?3",
);

pub const LOGGED_MODELS: Query = Query {
    sql: r#"SELECT rowid AS at, model_id AS id, model_id AS "info.model_id", name AS "info.name",
                   model_type AS "info.model_type", source_run_id AS "info.source_run_id",
                   creation_timestamp_ms AS "info.creation_timestamp_ms",
                   CASE status WHEN 1 THEN 'LOGGED_MODEL_PENDING' WHEN 2 THEN 'LOGGED_MODEL_READY'
                               WHEN 3 THEN 'LOGGED_MODEL_UPLOAD_FAILED' END AS "info.status"
            FROM logged_models WHERE experiment_id = ?1 AND rowid > ?2 AND COALESCE(lifecycle_stage, 'active') = 'active'
            ORDER BY rowid LIMIT ?3"#,
    parts: &[
        (
            "info.tags",
            part("SELECT tag_key AS key, tag_value AS value FROM logged_model_tags WHERE model_id = ?1 ORDER BY key"),
        ),
        (
            "data.params",
            part(
                "SELECT param_key AS key, param_value AS value FROM logged_model_params WHERE model_id = ?1 ORDER BY key",
            ),
        ),
        (
            "data.metrics",
            part(
                "SELECT metric_name AS key, COALESCE(metric_value, 'NaN') AS value, metric_timestamp_ms AS timestamp, metric_step AS step,
                        run_id, model_id, dataset_name, dataset_digest
                 FROM logged_model_metrics WHERE model_id = ?1 ORDER BY rowid",
            ),
        ),
    ],
};

pub const REGISTERED_MODELS: Query = Query {
    sql: concat!(
        "SELECT rowid AS at, rowid AS id, name, description, creation_time AS creation_timestamp
         FROM registered_models WHERE ?1 = '' AND rowid > ?2 AND ",
        workspace!(),
        " ORDER BY rowid LIMIT ?3"
    ),
    parts: &[
        (
            "tags",
            part(
                "SELECT key, value FROM registered_models JOIN registered_model_tags USING (workspace, name)
                 WHERE registered_models.rowid = ?1 ORDER BY +key",
            ),
        ),
        (
            "aliases",
            part(
                "SELECT alias, CAST(version AS TEXT) AS version
                 FROM registered_models JOIN registered_model_aliases USING (workspace, name)
                 WHERE registered_models.rowid = ?1 ORDER BY alias",
            ),
        ),
    ],
};

/// What MLflow has deleted of versions stays as a row that says so.
pub const VERSIONS: Query = Query {
    sql: concat!(
        "SELECT version AS at, rowid AS id, CAST(version AS TEXT) AS version, description, current_stage, source, run_id,
                run_link, creation_time AS creation_timestamp
         FROM model_versions WHERE name = ?1 AND version > ?2 AND COALESCE(current_stage, '') <> 'Deleted_Internal' AND ",
        workspace!(),
        " ORDER BY version LIMIT ?3"
    ),
    parts: &[(
        "tags",
        part(
            "SELECT key, value FROM model_versions JOIN model_version_tags USING (workspace, name, version)
             WHERE model_versions.rowid = ?1 ORDER BY +key",
        ),
    )],
};
