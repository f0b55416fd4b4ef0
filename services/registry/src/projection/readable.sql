-- What people read of the registry in PostgreSQL.
CREATE VIEW registered_models AS
SELECT 'projects/' || project || '/models/' || model AS name, project, model, display_name, description,
       is_prompt <> 0 AS is_prompt, creator,
       to_timestamp(create_us / 1e6) AS create_time, to_timestamp(update_us / 1e6) AS update_time
FROM model;
CREATE INDEX ON model (project, model);

CREATE VIEW model_versions AS
SELECT 'projects/' || m.project || '/models/' || m.model || '/versions/' || v.number AS name,
       m.project, m.model, v.number AS version, v.stage, v.description, v.run, v.source_uri, v.framework, v.creator,
       to_timestamp(v.create_us / 1e6) AS create_time, to_timestamp(v.update_us / 1e6) AS update_time
FROM version v JOIN model m ON m.id = v.model;
CREATE INDEX ON version (model, number);

CREATE VIEW model_aliases AS
SELECT m.project, m.model, a.alias, a.number AS version FROM alias a JOIN model m ON m.id = a.model;

CREATE VIEW promotions AS
SELECT project, model, promotion, state, requester, comment, ender, end_comment,
       to_timestamp(create_us / 1e6) AS create_time, to_timestamp(expire_us / 1e6) AS expire_time,
       to_timestamp(end_us / 1e6) AS end_time
FROM promotion;
