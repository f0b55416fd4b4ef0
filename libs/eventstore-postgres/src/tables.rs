//! Every statement, with the names of one log's schema in it. All say their schema: nothing is set on a connection.

/// The version of the tables that this program makes and understands.
pub(crate) const VERSION: i32 = 1;

/// How long a process may hold the lock without saying anything: then it is dead, or as good as that.
const SILENCE_MS: u64 = 5_000;

/// Columns of an event as [`Decoder`](crate::row::Decoder) reads them. `e` is the event, `s` its stream, `k` its type.
const COLUMNS: &str = "e.position, e.stream, s.name, e.revision, e.kind, k.name, e.time, e.id, e.metadata, e.payload";

/// Statements of one log.
pub(crate) struct Statements {
    pub(crate) schema: String,
    pub(crate) channel: String,
    pub(crate) lock: String,
    pub(crate) hop: String,
    pub(crate) hop_with_names: String,
    pub(crate) kinds: String,
    pub(crate) heads: String,
    pub(crate) known: String,
    pub(crate) pasts: String,
    pub(crate) insert_kinds: String,
    pub(crate) insert_streams: String,
    pub(crate) insert_events: String,
    pub(crate) insert_carried: String,
    pub(crate) retain: String,
    pub(crate) retentions: String,
    pub(crate) held: String,
    pub(crate) end: String,
    pub(crate) tail: String,
    pub(crate) stream_forwards: String,
    pub(crate) stream_backwards: String,
    pub(crate) log_forwards: String,
    pub(crate) log_backwards: String,
    pub(crate) find: String,
    pub(crate) snapshot: String,
    pub(crate) keep_snapshots: String,
    pub(crate) sweep: String,
}

impl Statements {
    pub(crate) fn new(schema: &str, lock_timeout_ms: u128) -> Self {
        let s = schema;
        let end = "log::text, version, position, time, streams, kinds, retentions";
        Self {
            schema: s.to_owned(),
            channel: format!("{s}_appended"),
            // Local to the transaction, so that a pooler may hand the connection on. A commit that was answered is on the
            // disk whatever the server's default, and one that waits for replicas is never cut short.
            lock: format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                 SELECT set_config('lock_timeout', '{lock_timeout_ms}', true),
                        set_config('idle_in_transaction_session_timeout', '{SILENCE_MS}', true),
                        set_config('statement_timeout', '0', true),
                        set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                            WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true);
                 SELECT {end} FROM {s}.head FOR UPDATE"
            ),
            hop: hop(s, ""),
            hop_with_names: hop(s, &names(s)),
            kinds: format!("SELECT id, name FROM {s}.kinds"),
            heads: format!(
                "SELECT n.at, s.id, coalesce(s.max_age IS NOT NULL OR s.max_count IS NOT NULL, false), l.revision, l.id
                 FROM unnest($1::text[]) WITH ORDINALITY AS n (name, at)
                 LEFT JOIN {s}.streams s ON s.name = n.name
                 LEFT JOIN LATERAL (
                     SELECT e.revision, e.id FROM {s}.events e WHERE e.stream = s.id ORDER BY e.revision DESC LIMIT 1
                 ) l ON true"
            ),
            known: format!(
                "SELECT w.at, e.position
                 FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS w (name, id, at)
                 JOIN {s}.streams s ON s.name = w.name JOIN {s}.events e ON e.id = w.id AND e.stream = s.id"
            ),
            pasts: format!(
                "SELECT w.at, (
                     SELECT e.revision FROM {s}.events e WHERE e.stream = s.id AND e.position <= w.position
                     ORDER BY e.revision DESC LIMIT 1)
                 FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS w (name, position, at)
                 JOIN {s}.streams s ON s.name = w.name"
            ),
            insert_kinds: format!("INSERT INTO {s}.kinds (id, name) SELECT * FROM unnest($1::int[], $2::text[])"),
            insert_streams: format!(
                "INSERT INTO {s}.streams (id, name, category) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])"
            ),
            insert_events: format!(
                "INSERT INTO {s}.events (position, time, stream, revision, kind, id, metadata, payload)
                 SELECT $1 + at, $2, stream, revision, kind, id, metadata, payload
                 FROM unnest($3::bigint[], $4::bigint[], $5::int[], $6::uuid[], $7::bytea[], $8::bytea[])
                     WITH ORDINALITY AS n (stream, revision, kind, id, metadata, payload, at)"
            ),
            retain: format!(
                "UPDATE {s}.streams s SET max_age = n.max_age, max_count = n.max_count
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (id, max_age, max_count) WHERE s.id = n.id"
            ),
            insert_carried: format!(
                "INSERT INTO {s}.events (position, time, stream, revision, kind, id, metadata, payload)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::int[], $6::uuid[],
                                      $7::bytea[], $8::bytea[])"
            ),
            retentions: format!(
                "SELECT name, max_age, max_count FROM {s}.streams
                 WHERE max_age IS NOT NULL OR max_count IS NOT NULL ORDER BY id"
            ),
            held: held(s),
            end: format!("SELECT {end} FROM {s}.head"),
            tail: format!(
                "SELECT {COLUMNS}, (s.max_age IS NOT NULL OR s.max_count IS NOT NULL)
                 FROM {s}.events e LEFT JOIN {s}.streams s ON s.id = e.stream LEFT JOIN {s}.kinds k ON k.id = e.kind
                 WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position"
            ),
            stream_forwards: stream(s, ">=", "ASC"),
            stream_backwards: stream(s, "<=", "DESC"),
            log_forwards: log(s, "ASC"),
            log_backwards: log(s, "DESC"),
            // Materialized, or the whole log might be walked in its order until the id comes.
            find: format!(
                "WITH found AS MATERIALIZED (SELECT position FROM {s}.events WHERE id = $1)
                 SELECT {COLUMNS}
                 FROM {s}.events e LEFT JOIN {s}.streams s ON s.id = e.stream LEFT JOIN {s}.kinds k ON k.id = e.kind
                 WHERE e.position = (SELECT min(position) FROM found)"
            ),
            snapshot: format!(
                "SELECT p.revision, p.shape, p.state
                 FROM {s}.streams s JOIN {s}.snapshots p ON p.stream = s.id WHERE s.name = $1"
            ),
            keep_snapshots: format!(
                "INSERT INTO {s}.snapshots AS kept (stream, revision, shape, state)
                 SELECT s.id, n.revision, n.shape, n.state
                 FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[]) AS n (name, revision, shape, state)
                 JOIN {s}.streams s ON s.name = n.name
                 ON CONFLICT (stream) DO UPDATE
                 SET revision = excluded.revision, shape = excluded.shape, state = excluded.state
                 WHERE excluded.revision >= kept.revision"
            ),
            sweep: sweep(s),
        }
    }
}

/// Everything that a commit writes in one statement, which writes nothing if the head is not where it was. Parameters 1 to 8 as
/// for the events; what the head must say; what it says then; what is told to who listens; new types, and new streams.
///
/// `moved` is empty if another process has moved the head, also while this one waits for it: then its row is looked at anew.
fn hop(s: &str, names: &str) -> String {
    format!(
        "WITH moved AS (
             UPDATE {s}.head SET position = $15, time = $2, streams = $16, kinds = $17
             WHERE log = $9 AND version = $10 AND position = $11 AND streams = $12 AND kinds = $13 AND retentions = $14
             RETURNING pg_notify('{s}_appended', $18),
                       set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                           WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)
         ){names}
         INSERT INTO {s}.events (position, time, stream, revision, kind, id, metadata, payload)
         SELECT $1 + n.at, $2, n.stream, n.revision, n.kind, n.id, n.metadata, n.payload
         FROM moved, unnest($3::bigint[], $4::bigint[], $5::int[], $6::uuid[], $7::bytea[], $8::bytea[])
             WITH ORDINALITY AS n (stream, revision, kind, id, metadata, payload, at)"
    )
}

/// What is added for types and streams that have no number yet.
fn names(s: &str) -> String {
    format!(
        ", named AS (
             INSERT INTO {s}.kinds (id, name) SELECT n.* FROM moved, unnest($19::int[], $20::text[]) AS n (id, name)
         ), begun AS (
             INSERT INTO {s}.streams (id, name, category)
             SELECT n.* FROM moved, unnest($21::bigint[], $22::text[], $23::text[]) AS n (id, name, category)
         )"
    )
}

/// A stretch of a stream. Parameters: name, first revision, how many at most, the time.
///
/// The stretch is taken in the order of the index before anything is joined to it.
fn stream(s: &str, bound: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS}
         FROM (SELECT id, name, max_age, max_count,
                      (SELECT max(l.revision) FROM {s}.events l WHERE l.stream = f.id) AS last
               FROM {s}.streams f WHERE f.name = $1) s
         CROSS JOIN LATERAL (
             SELECT * FROM {s}.events i
             WHERE i.stream = s.id AND i.revision {bound} $2
               AND (s.max_age IS NULL OR $4 - i.time <= s.max_age)
               AND (s.max_count IS NULL OR s.last - i.revision < s.max_count)
             ORDER BY i.revision {order} LIMIT $3
         ) e
         LEFT JOIN {s}.kinds k ON k.id = e.kind
         ORDER BY e.revision {order}"
    )
}

/// A stretch of the log. Parameters: after this position, up to this one, how many at most, the time, bytes at most,
/// categories, types, beginnings of types; `NULL` for the last three wants all.
///
/// The first event comes however large it is.
fn log(s: &str, order: &str) -> String {
    format!(
        "SELECT {COLUMNS}
         FROM (
             SELECT e.*, sum(octet_length(e.metadata) + octet_length(e.payload))
                        OVER (ORDER BY e.position {order} ROWS UNBOUNDED PRECEDING) AS bytes
             FROM {s}.events e JOIN {s}.streams s ON s.id = e.stream
             WHERE e.position > $1 AND e.position <= $2
               AND ($6::text[] IS NULL OR s.category = ANY ($6))
               AND (($7::text[] IS NULL AND $8::text[] IS NULL) OR e.kind = ANY (ARRAY (
                   SELECT id FROM {s}.kinds t
                   WHERE t.name = ANY ($7) OR EXISTS (SELECT 1 FROM unnest($8) b WHERE starts_with(t.name, b)))))
               AND (s.max_age IS NULL OR $4 - e.time <= s.max_age)
               AND (s.max_count IS NULL OR
                    (SELECT max(l.revision) FROM {s}.events l WHERE l.stream = e.stream) - e.revision < s.max_count)
             ORDER BY e.position {order} LIMIT $3
         ) e
         LEFT JOIN {s}.streams s ON s.id = e.stream LEFT JOIN {s}.kinds k ON k.id = e.kind
         WHERE e.bytes - octet_length(e.metadata) - octet_length(e.payload) < $5
         ORDER BY e.position {order}"
    )
}

/// Events after a position, shown or not. Parameters: the position, how many at most, and the bytes after which it is enough.
fn held(s: &str) -> String {
    format!(
        "SELECT {COLUMNS} FROM (
             SELECT e.*, sum(octet_length(e.metadata) + octet_length(e.payload)) OVER (ORDER BY e.position) AS bytes
             FROM (SELECT * FROM {s}.events WHERE position > $1 ORDER BY position LIMIT $2) e
         ) e
         LEFT JOIN {s}.streams s ON s.id = e.stream LEFT JOIN {s}.kinds k ON k.id = e.kind
         WHERE e.bytes - octet_length(e.metadata) - octet_length(e.payload) < $3
         ORDER BY e.position"
    )
}

/// Removes some events that are no longer shown. Parameters: streams after this one, how many of them, how many events of
/// each, the time, and the time before which events may go. The last event of a stream stays, because its revision counts.
fn sweep(s: &str) -> String {
    format!(
        "WITH few AS MATERIALIZED (
             SELECT f.id, f.max_age, f.max_count,
                    (SELECT max(l.revision) FROM {s}.events l WHERE l.stream = f.id) AS last
             FROM {s}.streams f WHERE (f.max_age IS NOT NULL OR f.max_count IS NOT NULL) AND f.id > $1
             ORDER BY f.id LIMIT $2
         ), gone AS (
             DELETE FROM {s}.events WHERE position IN (
                 SELECT e.position FROM few CROSS JOIN LATERAL (
                     SELECT i.position, i.revision, i.time FROM {s}.events i
                     WHERE i.stream = few.id AND i.revision < few.last ORDER BY i.revision LIMIT $3
                 ) e
                 WHERE e.time < $5 AND ($4 - e.time > few.max_age OR few.last - e.revision >= few.max_count)
             ) RETURNING 1
         )
         SELECT (SELECT max(id) FROM few), (SELECT count(*) FROM few), (SELECT count(*) FROM gone)"
    )
}
