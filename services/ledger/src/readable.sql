-- Who did what, when, to what. What exactly it was is in the log.
CREATE VIEW journal AS
SELECT e.position, to_timestamp(e.time_micros / 1e6) AS time, 
       CASE e.outcome WHEN 1 THEN 'committed' WHEN 2 THEN 'denied' WHEN 3 THEN 'rejected' WHEN 4 THEN 'read'
         WHEN 5 THEN 'requested' WHEN 6 THEN 'strangers refused' END AS outcome,
       kind.text AS kind, stream.text AS stream,
       principal.text AS principal, action.text AS action, resource.text AS resource, project.text AS project
FROM entry e
LEFT JOIN word kind ON kind.id = e.kind LEFT JOIN word stream ON stream.id = e.stream
LEFT JOIN word principal ON principal.id = e.principal LEFT JOIN word action ON action.id = e.action
LEFT JOIN word resource ON resource.id = e.resource LEFT JOIN word project ON project.id = e.project;
CREATE INDEX ON entry (resource);
CREATE INDEX ON entry (principal);
CREATE INDEX ON entry (time_micros);
