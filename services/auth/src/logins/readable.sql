-- Who is logged in, and until when.
CREATE VIEW sessions AS
SELECT name, owner, client, identity_provider, scopes,
       to_timestamp(auth_time / 1e6) AS auth_time, to_timestamp(expire_time / 1e6) AS expire_time,
       to_timestamp(refresh_time / 1e6) AS refresh_time, to_timestamp(revoke_time / 1e6) AS revoke_time
FROM session;
CREATE INDEX ON session (owner);
