-- Names are text in byte order, so that lists page by name and a prefix is a range. Times are microseconds.
CREATE TABLE secrets (
    name           TEXT PRIMARY KEY,
    description    TEXT NOT NULL,
    is_deleted     INTEGER NOT NULL,
    latest_version INTEGER NOT NULL DEFAULT 0,
    last_version   INTEGER NOT NULL DEFAULT 0,
    create_time    INTEGER NOT NULL,
    update_time    INTEGER NOT NULL,
    revision       INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE secret_versions (
    secret      TEXT NOT NULL,
    number      INTEGER NOT NULL,
    state       TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    creator     TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    PRIMARY KEY (secret, number)
) WITHOUT ROWID;

CREATE TABLE environments (
    name        TEXT PRIMARY KEY,
    -- Empty: none.
    inherits    TEXT NOT NULL,
    description TEXT NOT NULL,
    is_deleted  INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL
) WITHOUT ROWID;

-- An entry is in force in its environment from a revision until before another.
CREATE TABLE entries (
    environment   TEXT NOT NULL,
    key           TEXT NOT NULL,
    from_revision INTEGER NOT NULL,
    -- NULL: it still is.
    to_revision   INTEGER,
    value         TEXT NOT NULL,
    author        TEXT NOT NULL,
    set_time      INTEGER NOT NULL,
    PRIMARY KEY (environment, key, from_revision)
) WITHOUT ROWID;
CREATE INDEX entries_in_force ON entries (environment, key) WHERE to_revision IS NULL;

CREATE TABLE revisions (
    environment    TEXT NOT NULL,
    revision       INTEGER NOT NULL,
    author         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    -- As the event has them: a JSON array of [key, value as JSON text or null].
    changes        TEXT NOT NULL,
    rolled_back_to INTEGER,
    create_time    INTEGER NOT NULL,
    PRIMARY KEY (environment, revision)
) WITHOUT ROWID;

CREATE TABLE schemas (
    name     TEXT PRIMARY KEY,
    scope    TEXT NOT NULL,
    key      TEXT NOT NULL,
    schema   TEXT NOT NULL,
    author   TEXT NOT NULL,
    set_time INTEGER NOT NULL
) WITHOUT ROWID;
