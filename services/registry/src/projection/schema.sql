-- Read models of the registry. Every row can be written again from the log.

-- is_prompt: MLflow's clients keep it here without its being a model, and lists leave it out.
CREATE TABLE model (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  model TEXT NOT NULL,
  display_name TEXT NOT NULL,
  description TEXT NOT NULL,
  is_prompt INTEGER NOT NULL,
  create_us INTEGER NOT NULL,
  update_us INTEGER NOT NULL,
  creator TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, model)
);
CREATE INDEX model_by_display_name ON model (project, is_prompt, display_name, model);
CREATE INDEX model_by_create ON model (project, is_prompt, create_us, model);
CREATE INDEX model_by_update ON model (project, is_prompt, update_us, model);
CREATE TABLE model_tag (
  project TEXT NOT NULL, model INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (model, key)
) WITHOUT ROWID;
CREATE INDEX model_tag_by_value ON model_tag (project, key, value, model);

-- facts: what never changes and is only shown, as it is stored in the version's first event.
CREATE TABLE version (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  model INTEGER NOT NULL,
  number INTEGER NOT NULL,
  stage TEXT NOT NULL,
  description TEXT NOT NULL,
  is_prompt INTEGER NOT NULL,
  run TEXT NOT NULL,
  source_uri TEXT NOT NULL,
  framework TEXT NOT NULL,
  facts BLOB NOT NULL,
  create_us INTEGER NOT NULL,
  update_us INTEGER NOT NULL,
  creator TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (model, number)
);
CREATE INDEX version_by_update ON version (project, is_prompt, update_us);
CREATE INDEX version_by_model_update ON version (model, update_us);
CREATE INDEX version_by_stage ON version (model, stage, number);
CREATE INDEX version_by_stage_update ON version (project, is_prompt, stage, update_us);
CREATE INDEX version_by_run ON version (project, run);
CREATE TABLE version_tag (
  project TEXT NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (version, key)
) WITHOUT ROWID;
CREATE INDEX version_tag_by_value ON version_tag (project, key, value, version);
-- Which number a request was given.
CREATE TABLE version_request (
  model TEXT NOT NULL, request TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (model, request)
) WITHOUT ROWID;

CREATE TABLE alias (
  model INTEGER NOT NULL, alias TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (model, alias)
) WITHOUT ROWID;
CREATE INDEX alias_by_version ON alias (model, number);

-- Promotions outlive their model: they are its history.
CREATE TABLE promotion (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  model TEXT NOT NULL,
  promotion TEXT NOT NULL,
  moves BLOB NOT NULL,
  state TEXT NOT NULL,
  requester TEXT NOT NULL,
  comment TEXT NOT NULL,
  create_us INTEGER NOT NULL,
  expire_us INTEGER NOT NULL,
  end_us INTEGER,
  ender TEXT NOT NULL,
  end_comment TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, model, promotion)
);
CREATE INDEX promotion_by_age ON promotion (project, model, create_us DESC, id DESC);
CREATE INDEX promotion_by_state ON promotion (project, state, expire_us);
CREATE TABLE approval (
  promotion INTEGER NOT NULL, approver TEXT NOT NULL, role TEXT NOT NULL, comment TEXT NOT NULL,
  approve_us INTEGER NOT NULL,
  PRIMARY KEY (promotion, approver)
) WITHOUT ROWID;

-- The policy of a project stands under the empty model.
CREATE TABLE policy (
  project TEXT NOT NULL, model TEXT NOT NULL, create_us INTEGER NOT NULL, update_us INTEGER NOT NULL,
  setter TEXT NOT NULL, etag INTEGER NOT NULL,
  PRIMARY KEY (project, model)
) WITHOUT ROWID;

-- What experiments made: where the files of versions come from.
CREATE TABLE source_run (
  project TEXT NOT NULL, run TEXT NOT NULL, experiment TEXT NOT NULL, location TEXT NOT NULL,
  PRIMARY KEY (project, run)
) WITHOUT ROWID;
CREATE TABLE source_model (
  project TEXT NOT NULL, model TEXT NOT NULL, experiment TEXT NOT NULL, run TEXT NOT NULL, location TEXT NOT NULL,
  PRIMARY KEY (project, model)
) WITHOUT ROWID;
