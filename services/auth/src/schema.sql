-- Names are text in byte order, so that lists page by name and a prefix is a range. Times are microseconds.
CREATE TABLE organizations (
    name        TEXT PRIMARY KEY,
    title       TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    state       TEXT NOT NULL DEFAULT 'active',
    -- Pairs of roles that are to be apart, as their event has them.
    separated   BLOB NOT NULL DEFAULT x'',
    -- Absent for the default organization, which nobody created.
    create_time INTEGER,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE projects (
    name         TEXT PRIMARY KEY,
    title        TEXT NOT NULL,
    description  TEXT NOT NULL,
    organization TEXT NOT NULL,
    -- As their event has them.
    tags         BLOB NOT NULL DEFAULT x'',
    quota        BLOB NOT NULL DEFAULT x'',
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
    name         TEXT PRIMARY KEY,
    title        TEXT NOT NULL,
    description  TEXT NOT NULL,
    -- Empty: it belongs to nothing but the deployment.
    organization TEXT NOT NULL,
    state       TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE groups (
    name         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    description  TEXT NOT NULL,
    external_id  TEXT NOT NULL,
    state        TEXT NOT NULL,
    member_count INTEGER NOT NULL DEFAULT 0,
    create_time  INTEGER NOT NULL,
    update_time  INTEGER NOT NULL DEFAULT 0,
    revision     INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE group_members (
    group_name TEXT NOT NULL,
    member     TEXT NOT NULL,
    PRIMARY KEY (group_name, member)
) WITHOUT ROWID;

CREATE INDEX group_members_by_member ON group_members (member, group_name);

-- Permissions are one per line.
CREATE TABLE roles (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    delete_time INTEGER,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE guardrails (
    name        TEXT PRIMARY KEY,
    -- What it is, as its event has it.
    definition  BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    delete_time INTEGER,
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
    denies      INTEGER NOT NULL,
    -- Of a denial without a role: one per line.
    permissions TEXT NOT NULL,
    source      TEXT NOT NULL,
    -- As its event has it; absent: none.
    condition   BLOB,
    expire_time INTEGER,
    reason      TEXT NOT NULL,
    creator     TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    delete_time INTEGER,
    update_time INTEGER NOT NULL DEFAULT 0,
    revision    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX bindings_by_principal ON bindings (principal, name) WHERE delete_time IS NULL;

CREATE TABLE break_glass (
    name            TEXT PRIMARY KEY,
    principal       TEXT NOT NULL,
    resource        TEXT NOT NULL,
    reason          TEXT NOT NULL,
    ticket          TEXT NOT NULL,
    life            INTEGER NOT NULL,
    activate_time   INTEGER NOT NULL,
    approver        TEXT NOT NULL DEFAULT '',
    start_time      INTEGER,
    expire_time     INTEGER,
    end_time        INTEGER,
    review_due_time INTEGER,
    review_time     INTEGER,
    reviewer        TEXT NOT NULL DEFAULT '',
    review          TEXT NOT NULL DEFAULT '',
    create_time     INTEGER NOT NULL,
    update_time     INTEGER NOT NULL DEFAULT 0,
    revision        INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
