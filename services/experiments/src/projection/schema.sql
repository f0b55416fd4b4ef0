-- Read models of experiments. Every row can be written again from the log.

-- Keys of metrics, params and tags, written once: rows and indexes hold their numbers.
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);

CREATE TABLE experiment (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  experiment TEXT NOT NULL,
  display_name TEXT NOT NULL,
  artifact_location TEXT NOT NULL,
  is_deleted INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  create_us INTEGER NOT NULL,
  update_us INTEGER NOT NULL,
  creator TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, experiment)
);
CREATE INDEX experiment_by_age ON experiment (project, is_deleted, create_us DESC, experiment);
CREATE INDEX experiment_by_display_name ON experiment (project, display_name);
CREATE TABLE experiment_tag (
  experiment INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (experiment, key)
) WITHOUT ROWID;
CREATE TABLE experiment_revision (
  experiment INTEGER NOT NULL, revision INTEGER NOT NULL,
  display_name TEXT NOT NULL, tags TEXT NOT NULL, create_us INTEGER NOT NULL, author TEXT NOT NULL,
  PRIMARY KEY (experiment, revision)
) WITHOUT ROWID;

-- is_gone: it or its experiment is deleted. is_hidden: a run it is nested in is deleted.
CREATE TABLE run (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  experiment INTEGER NOT NULL,
  run TEXT NOT NULL,
  display_name TEXT NOT NULL,
  state TEXT NOT NULL,
  user TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  end_us INTEGER,
  parent TEXT,
  experiment_revision INTEGER NOT NULL,
  artifact_location TEXT NOT NULL,
  is_deleted INTEGER NOT NULL,
  is_gone INTEGER NOT NULL,
  is_hidden INTEGER NOT NULL,
  create_us INTEGER NOT NULL,
  update_us INTEGER NOT NULL,
  delete_us INTEGER,
  creator TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, run)
);
CREATE INDEX run_by_start ON run (experiment, is_gone, start_us DESC, run);
CREATE INDEX run_by_project_start ON run (project, is_gone, start_us DESC, run);
CREATE INDEX run_by_state ON run (experiment, state);
CREATE INDEX run_by_display_name ON run (experiment, display_name);
CREATE INDEX run_by_parent ON run (project, parent) WHERE parent IS NOT NULL;

-- How many runs of each project are not gone, and how many of those are at work: what quotas are held against.
CREATE TABLE project_usage (
  project TEXT NOT NULL, runs INTEGER NOT NULL, running INTEGER NOT NULL,
  PRIMARY KEY (project)
) WITHOUT ROWID;

CREATE TABLE param (
  run INTEGER NOT NULL, key INTEGER NOT NULL, experiment INTEGER NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX param_by_value ON param (experiment, key, value, run);
CREATE TABLE tag (
  run INTEGER NOT NULL, key INTEGER NOT NULL, experiment INTEGER NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX tag_by_value ON tag (experiment, key, value, run);

-- The latest value of each metric. SQLite knows no NaN: a value that is one is NULL.
CREATE TABLE metric (
  run INTEGER NOT NULL, key INTEGER NOT NULL, experiment INTEGER NOT NULL,
  value REAL, step INTEGER NOT NULL, time_ms INTEGER NOT NULL,
  min REAL, max REAL, count INTEGER NOT NULL,
  PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE INDEX metric_by_value ON metric (experiment, key, value, run);

-- The points behind them, packed. A series' last few points wait in its tail.
CREATE TABLE metric_tail (
  run INTEGER NOT NULL, key INTEGER NOT NULL, next_chunk INTEGER NOT NULL, small_chunks INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (run, key)
) WITHOUT ROWID;
CREATE TABLE metric_chunk (
  run INTEGER NOT NULL, key INTEGER NOT NULL, chunk INTEGER NOT NULL, is_small INTEGER NOT NULL,
  time_min INTEGER NOT NULL, time_max INTEGER NOT NULL, step_min INTEGER NOT NULL, step_max INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (run, key, chunk)
);
CREATE INDEX metric_chunk_by_time ON metric_chunk (run, key, time_min);

CREATE TABLE dataset (
  id INTEGER PRIMARY KEY,
  experiment INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL,
  source_type TEXT NOT NULL, source TEXT NOT NULL, schema TEXT NOT NULL, profile TEXT NOT NULL,
  UNIQUE (experiment, name, digest)
);
CREATE TABLE dataset_input (
  run INTEGER NOT NULL, dataset INTEGER NOT NULL, context TEXT, tags TEXT NOT NULL,
  PRIMARY KEY (run, dataset)
) WITHOUT ROWID;
CREATE TABLE input_model (run INTEGER NOT NULL, model TEXT NOT NULL, PRIMARY KEY (run, model)) WITHOUT ROWID;
CREATE TABLE output_model (
  run INTEGER NOT NULL, model TEXT NOT NULL, step INTEGER NOT NULL,
  PRIMARY KEY (run, model)
) WITHOUT ROWID;

-- Names that were not kept; an empty key stands for all further ones.
CREATE TABLE dropped (
  run INTEGER NOT NULL, kind INTEGER NOT NULL, lim INTEGER NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (run, kind, lim, key)
) WITHOUT ROWID;

-- One row for each batch that came with an id, with the event that tells its outcome.
CREATE TABLE ingest_batch (
  run INTEGER NOT NULL, batch_id TEXT NOT NULL, payload_sha256 TEXT NOT NULL, outcome BLOB NOT NULL,
  PRIMARY KEY (run, batch_id)
) WITHOUT ROWID;

-- Which tag keys a project uses, to count them.
CREATE TABLE project_tag_key (
  project TEXT NOT NULL, key INTEGER NOT NULL,
  PRIMARY KEY (project, key)
) WITHOUT ROWID;

CREATE TABLE logged_model (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  experiment INTEGER NOT NULL,
  model TEXT NOT NULL,
  display_name TEXT NOT NULL,
  source_run TEXT NOT NULL,
  model_type TEXT NOT NULL,
  artifact_location TEXT NOT NULL,
  state TEXT NOT NULL,
  is_deleted INTEGER NOT NULL,
  create_us INTEGER NOT NULL,
  update_us INTEGER NOT NULL,
  delete_us INTEGER,
  creator TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, model)
);
CREATE INDEX logged_model_by_age ON logged_model (experiment, is_deleted, create_us DESC, model);
CREATE TABLE logged_model_param (
  model INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE TABLE logged_model_tag (
  model INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (model, key)
) WITHOUT ROWID;
-- The latest value of what was measured of a model. By id: metrics may come before the model itself.
CREATE TABLE logged_model_metric (
  project TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL,
  dataset_name TEXT NOT NULL, dataset_digest TEXT NOT NULL,
  value REAL, step INTEGER NOT NULL, time_ms INTEGER NOT NULL, run TEXT NOT NULL,
  PRIMARY KEY (project, model, key, dataset_name, dataset_digest)
) WITHOUT ROWID;
