-- What people read of the directory in PostgreSQL. Times are timestamps, names are whole, what was deleted says when.
CREATE VIEW organizations AS
SELECT name, title, description, state,
       to_timestamp(create_time / 1e6) AS create_time, to_timestamp(update_time / 1e6) AS update_time
FROM organization;

CREATE VIEW projects AS
SELECT name, title, description, organization, state,
       to_timestamp(create_time / 1e6) AS create_time, to_timestamp(update_time / 1e6) AS update_time
FROM project;
CREATE INDEX ON project (organization);

CREATE VIEW role_bindings AS
SELECT name, principal, role, resource, denies <> 0 AS denies, permissions, source, reason, creator,
       to_timestamp(create_time / 1e6) AS create_time, to_timestamp(expire_time / 1e6) AS expire_time,
       to_timestamp(delete_time / 1e6) AS delete_time
FROM binding;
CREATE INDEX ON binding (principal);

CREATE VIEW api_keys AS
SELECT name, owner, title, scopes, permissions,
       to_timestamp(create_time / 1e6) AS create_time, to_timestamp(expire_time / 1e6) AS expire_time,
       to_timestamp(revoke_time / 1e6) AS revoke_time, to_timestamp(last_use_time / 1e6) AS last_use_time
FROM key;
CREATE INDEX ON key (owner);
CREATE INDEX ON group_members (member);
