-- What people read of experiments in PostgreSQL: words instead of their numbers, timestamps instead of microseconds.
CREATE VIEW experiments AS
SELECT 'projects/' || project || '/experiments/' || experiment AS name, project, experiment, display_name,
       artifact_location, is_deleted <> 0 AS is_deleted, creator,
       to_timestamp(create_us / 1e6) AS create_time, to_timestamp(update_us / 1e6) AS update_time
FROM experiment;
CREATE INDEX ON experiment (project, experiment);

CREATE VIEW runs AS
SELECT 'projects/' || r.project || '/experiments/' || e.experiment || '/runs/' || r.run AS name,
       r.project, e.experiment, r.run, r.display_name, r.state, r."user", r.parent, r.artifact_location,
       r.is_gone <> 0 AS is_deleted, r.creator,
       to_timestamp(r.start_us / 1e6) AS start_time, to_timestamp(r.end_us / 1e6) AS end_time,
       to_timestamp(r.create_us / 1e6) AS create_time, to_timestamp(r.update_us / 1e6) AS update_time,
       to_timestamp(r.delete_us / 1e6) AS delete_time
FROM run r JOIN experiment e ON e.id = r.experiment;
CREATE INDEX ON run (project, run);
CREATE INDEX ON run (experiment, start_us);

CREATE VIEW params AS
SELECT r.project, e.experiment, r.run, w.text AS key, p.value
FROM param p JOIN run r ON r.id = p.run JOIN experiment e ON e.id = r.experiment JOIN word w ON w.id = p.key;

CREATE VIEW tags AS
SELECT r.project, e.experiment, r.run, w.text AS key, t.value
FROM tag t JOIN run r ON r.id = t.run JOIN experiment e ON e.id = r.experiment JOIN word w ON w.id = t.key;

CREATE VIEW metrics_latest AS
SELECT r.project, e.experiment, r.run, w.text AS key,
       coalesce(m.value, 'NaN'::double precision) AS value, m.step, to_timestamp(m.time_ms / 1e3) AS time,
       m.min, m.max, m.count
FROM metric m JOIN run r ON r.id = m.run JOIN experiment e ON e.id = r.experiment JOIN word w ON w.id = m.key;

CREATE VIEW logged_models AS
SELECT m.project, e.experiment, m.model, m.display_name, m.source_run, m.model_type, m.artifact_location, m.state,
       m.is_deleted <> 0 AS is_deleted, m.creator,
       to_timestamp(m.create_us / 1e6) AS create_time, to_timestamp(m.update_us / 1e6) AS update_time
FROM logged_model m JOIN experiment e ON e.id = m.experiment;
