//! PostgreSQL without anything around it: one connection, one prepared statement, a commit per batch.

use std::time::Instant;

use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::append::events::{Ids, STREAMS, events};
use crate::append::{Measured, latencies, record};

/// `stream_of` says to which stream an event goes, from the number of its batch and its own within the batch.
pub(super) async fn batches(
    url: &str,
    schema: &str,
    batch: usize,
    count: usize,
    stream_of: fn(usize, usize) -> usize,
) -> anyhow::Result<Measured> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let line = tokio::spawn(connection);
    // The same columns, durability and uniqueness as our event store has.
    client
        .batch_execute(&format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.events (
                 position bigint PRIMARY KEY, stream bigint NOT NULL, revision bigint NOT NULL, time bigint NOT NULL,
                 kind integer NOT NULL, id uuid NOT NULL, metadata bytea NOT NULL, payload bytea NOT NULL,
                 UNIQUE (stream, revision), UNIQUE (id, stream))"
        ))
        .await?;
    let insert = client
        .prepare(&format!(
            "INSERT INTO {schema}.events (position, time, stream, revision, kind, id, metadata, payload)
             SELECT $1::bigint + at, $2::bigint, stream, revision, kind, id, metadata, payload
             FROM unnest($3::bigint[], $4::bigint[], $5::int[], $6::uuid[], $7::bytea[], $8::bytea[])
                 WITH ORDINALITY AS n (stream, revision, kind, id, metadata, payload, at)"
        ))
        .await?;
    let events = events(count);
    let mut revisions = vec![0i64; STREAMS];
    let mut position = 0i64;
    let mut latency = latencies();
    let started = Instant::now();
    for (n, batch) in events.chunks(batch).enumerate() {
        let since = Instant::now();
        let streams: Vec<i64> = (0..batch.len()).map(|at| stream_of(n, at) as i64).collect();
        let next = |stream: &i64| {
            let revision = &mut revisions[*stream as usize];
            *revision += 1;
            *revision - 1
        };
        let of_streams: Vec<i64> = streams.iter().map(next).collect();
        let kinds = vec![1i32; batch.len()];
        let ids: Vec<Uuid> = batch.iter().map(|_| Ids::Growing.next()).collect();
        let metadata: Vec<&[u8]> = batch.iter().map(|event| &event.metadata[..]).collect();
        let payloads: Vec<&[u8]> = batch.iter().map(|event| &event.payload[..]).collect();
        let time = 1_800_000_000_000_000i64 + position;
        client.execute(&insert, &[&position, &time, &streams, &of_streams, &kinds, &ids, &metadata, &payloads]).await?;
        position += batch.len() as i64;
        record(&mut latency, since);
    }
    let measured = Measured::new(count, started.elapsed(), latency);
    drop(client);
    line.await??;
    Ok(measured)
}
