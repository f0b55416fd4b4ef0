-- What came of what. An edge that is still so has no end.
CREATE VIEW lineage AS
SELECT source.key AS source, target.key AS target, e.relation, to_timestamp(e.time_micros / 1e6) AS time, e.position,
       e.end_position
FROM lineage_edge e JOIN lineage_node source ON source.id = e.source JOIN lineage_node target ON target.id = e.target;
CREATE INDEX ON lineage_edge (target);
