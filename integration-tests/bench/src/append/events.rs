//! The events everybody stores.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use uuid::{Builder, Uuid};

/// Streams the events go to, in turns.
pub const STREAMS: usize = 1_000;
pub const KIND: &str = "cairn.experiments.events.v1.MetricsLogged";

/// An event as a contender gets it. Its id is made when it is appended, as a service does.
#[derive(Clone)]
pub struct Event {
    pub payload: Bytes,
    pub metadata: Bytes,
}

/// How events are named.
#[derive(Clone, Copy, Debug)]
pub enum Ids {
    /// As our commands name them: beginning with the time, so that they go to the end of an index.
    Growing,
    /// As those of requests that may be repeated are, which must be the same on every try: the hard case for an index.
    Random,
}

impl Ids {
    pub fn name(self) -> &'static str {
        match self {
            Self::Growing => "ids that grow with time",
            Self::Random => "random ids",
        }
    }

    pub fn next(self) -> Uuid {
        let random = Uuid::new_v4();
        match self {
            Self::Random => random,
            Self::Growing => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let mut bytes = [0; 10];
                bytes.copy_from_slice(&random.as_bytes()[..10]);
                let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
            }
        }
    }
}

pub fn events(count: usize) -> Vec<Event> {
    let metadata = Bytes::from(
        r#"{"principal":"users/u-7f3k","project":"projects/fraud","action":"experiments.runs.log","resource":"projects/fraud/experiments/7/runs/abcdef0123456789","request_id":"3f0e9a52-5a3f-4c0e-9a43-7d1b0f8f4a11","$correlationId":"3f0e9a52"}"#,
    );
    let payload = Bytes::from((0..320u32).map(|n| (n * 31 % 251) as u8).collect::<Vec<u8>>());
    vec![Event { payload, metadata }; count]
}

/// The stream of batch number `n`.
pub fn stream(n: usize) -> usize {
    n % STREAMS
}
