-- Settings that are in force, and what secrets there are. Values of secrets are not copied.
CREATE VIEW settings AS
SELECT environment, key, value, author, from_revision AS revision, to_timestamp(set_time / 1e6) AS set_time
FROM entries WHERE to_revision IS NULL;

CREATE VIEW secrets AS
SELECT name, description, is_deleted <> 0 AS is_deleted, latest_version,
       to_timestamp(create_time / 1e6) AS create_time, to_timestamp(update_time / 1e6) AS update_time
FROM secret;
