-- Names are text in byte order, so that lists page by name. Times are microseconds. Scopes and addresses are one per line.
CREATE TABLE identity_providers (
    name        TEXT PRIMARY KEY,
    settings    BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    is_deleted  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE sessions (
    name              TEXT PRIMARY KEY,
    owner             TEXT NOT NULL,
    client            TEXT NOT NULL,
    identity_provider TEXT NOT NULL,
    provider_session  TEXT NOT NULL,
    scopes            TEXT NOT NULL,
    auth_time         INTEGER NOT NULL,
    expire_time       INTEGER NOT NULL,
    refresh_time      INTEGER,
    revoke_time       INTEGER
) WITHOUT ROWID;

CREATE INDEX sessions_by_owner ON sessions (owner, name);
CREATE INDEX sessions_by_provider ON sessions (identity_provider, provider_session);

-- Claims are a JSON object.
CREATE TABLE trust_rules (
    name            TEXT PRIMARY KEY,
    service_account TEXT NOT NULL,
    title           TEXT NOT NULL,
    issuer          TEXT NOT NULL,
    audience        TEXT NOT NULL,
    claims          TEXT NOT NULL,
    scopes          TEXT NOT NULL,
    create_time     INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    is_deleted      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX trust_rules_by_issuer ON trust_rules (issuer);

CREATE TABLE oauth_clients (
    name            TEXT PRIMARY KEY,
    title           TEXT NOT NULL,
    redirect_uris   TEXT NOT NULL,
    service_account TEXT NOT NULL,
    create_time     INTEGER NOT NULL,
    revision        INTEGER NOT NULL,
    is_deleted      INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
