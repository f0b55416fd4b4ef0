-- Every state that every function had, each from its place in the log on. Nothing is taken out: how a function was can
-- be read after it is gone.
CREATE TABLE function_revision (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  function TEXT NOT NULL,
  position INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  -- The event that made it, by which a repeated request finds its answer.
  event BLOB NOT NULL,
  revision INTEGER NOT NULL,
  is_newest INTEGER NOT NULL,
  is_deleted INTEGER NOT NULL,
  description TEXT NOT NULL,
  labels TEXT NOT NULL,
  spec TEXT NOT NULL,
  create_us INTEGER NOT NULL,
  creator TEXT NOT NULL,
  updater TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, function, position)
);
CREATE UNIQUE INDEX function_revision_newest ON function_revision (project, function) WHERE is_newest = 1;
CREATE INDEX function_revision_by_event ON function_revision (event);

-- gone_position: where the function was deleted, since which it is not handed out.
CREATE TABLE function_version (
  id INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  function TEXT NOT NULL,
  version TEXT NOT NULL,
  position INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  gone_position INTEGER,
  description TEXT NOT NULL,
  labels TEXT NOT NULL,
  spec TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,
  signature TEXT NOT NULL,
  object_key TEXT NOT NULL,
  creator TEXT NOT NULL,
  etag INTEGER NOT NULL,
  UNIQUE (project, function, version),
  UNIQUE (project, function, position)
);
CREATE INDEX function_version_by_object ON function_version (object_key);
