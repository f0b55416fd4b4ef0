-- Names are text in byte order, so that lists page by name and a prefix is a range. Times are microseconds.
CREATE TABLE projects (
    name        TEXT PRIMARY KEY,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    state       TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE users (
    name        TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE service_accounts (
    name        TEXT PRIMARY KEY,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    state       TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Scopes and permissions are one per line.
CREATE TABLE keys (
    name                        TEXT PRIMARY KEY,
    owner                       TEXT NOT NULL,
    title                       TEXT NOT NULL,
    scopes                      TEXT NOT NULL,
    permissions                 TEXT NOT NULL,
    expire_time                 INTEGER,
    previous_secret_expire_time INTEGER,
    revoke_time                 INTEGER,
    is_bootstrap                INTEGER NOT NULL,
    last_use_time               INTEGER,
    create_time                 INTEGER NOT NULL,
    update_time                 INTEGER NOT NULL DEFAULT 0,
    revision                    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE bindings (
    name        TEXT PRIMARY KEY,
    principal   TEXT NOT NULL,
    role        TEXT NOT NULL,
    -- Empty for the whole deployment.
    resource    TEXT NOT NULL,
    expire_time INTEGER,
    reason      TEXT NOT NULL,
    creator     TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    delete_time INTEGER,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX bindings_by_principal ON bindings (principal, name) WHERE delete_time IS NULL;
