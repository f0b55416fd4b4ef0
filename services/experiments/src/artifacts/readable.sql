-- Files of runs and models: what they are and where their bytes are kept.
CREATE VIEW artifacts AS
SELECT owner, path, size, sha256, media_type, object_key, creator, to_timestamp(create_time / 1e6) AS create_time
FROM artifact;
