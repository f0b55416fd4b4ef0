//! The events everybody stores.

use bytes::Bytes;
use uuid::Uuid;

/// Streams the events go to, in turns.
pub const STREAMS: usize = 1_000;
pub const KIND: &str = "cairn.experiments.events.v1.MetricsLogged";

/// An event as a contender gets it.
#[derive(Clone)]
pub struct Event {
    pub id: Uuid,
    pub payload: Bytes,
    pub metadata: Bytes,
}

/// Events with random ids, as those of requests that may be repeated are: the hard case for an index.
pub fn events(count: usize) -> Vec<Event> {
    let metadata = Bytes::from(
        r#"{"principal":"users/u-7f3k","project":"projects/fraud","action":"experiments.runs.log","resource":"projects/fraud/experiments/7/runs/abcdef0123456789","request_id":"3f0e9a52-5a3f-4c0e-9a43-7d1b0f8f4a11","$correlationId":"3f0e9a52"}"#,
    );
    let payload = Bytes::from((0..320u32).map(|n| (n * 31 % 251) as u8).collect::<Vec<u8>>());
    (0..count).map(|_| Event { id: Uuid::new_v4(), payload: payload.clone(), metadata: metadata.clone() }).collect()
}

/// The stream of batch number `n`.
pub fn stream(n: usize) -> usize {
    n % STREAMS
}
