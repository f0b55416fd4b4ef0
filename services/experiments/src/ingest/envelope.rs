use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::experiments::events::v1::MetricsLogged;
use cairn_eventstore::{Order, RequestKey, Stored};
use cairn_kernel::{Metadata, Time};
use prost::{Message, Name};
use uuid::Uuid;

use crate::model::run::{Change, Event};
use crate::model::{BatchId, Points, Run, RunName};

/// A batch on its way: what is to be logged, by whom, and what a repeat of it is recognised by.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub run: RunName,
    pub id: Option<BatchId>,
    pub order: Order,
    /// The method that it came in by.
    pub method: String,
    pub points: Arc<Points>,
    /// The span in which it was queued.
    pub traceparent: Option<String>,
    pub enqueued: Time,
}

/// As it is queued. Fields may be added, never given a new meaning: what one release has queued the next one reads.
#[derive(Clone, PartialEq, Message)]
struct Wire {
    /// Who, for which request: as it is stored beside events.
    #[prost(bytes = "vec", tag = "1")]
    metadata: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    request: Vec<u8>,
    #[prost(string, tag = "3")]
    request_hash: String,
    /// As its sender called it. Empty: not at all.
    #[prost(string, tag = "4")]
    batch_id: String,
    #[prost(string, tag = "5")]
    batch_sha256: String,
    #[prost(string, tag = "6")]
    method: String,
    /// Run and points, as an event has them.
    #[prost(bytes = "bytes", tag = "7")]
    points: Bytes,
    #[prost(string, tag = "8")]
    traceparent: String,
    #[prost(int64, tag = "9")]
    enqueued_micros: i64,
}

/// Run and points as an event has them.
pub(crate) fn pack(run: &RunName, points: &Arc<Points>) -> Bytes {
    Run::encode(&Event { run: run.clone(), change: Change::MetricsLogged(Arc::clone(points)) }).1
}

impl Envelope {
    /// The bytes that are queued, with the points as [`pack`] has them.
    pub fn encode(&self, points: Bytes) -> Bytes {
        let request = self.order.request.as_ref();
        let wire = Wire {
            metadata: self.order.metadata.encode(),
            request: request.map(|request| request.id.as_bytes().to_vec()).unwrap_or_default(),
            request_hash: request.map(|request| request.hash.clone()).unwrap_or_default(),
            batch_id: self.id.as_ref().map(|id| id.id.clone()).unwrap_or_default(),
            batch_sha256: self.id.as_ref().map(|id| id.sha256.clone()).unwrap_or_default(),
            method: self.method.clone(),
            points,
            traceparent: self.traceparent.clone().unwrap_or_default(),
            enqueued_micros: self.enqueued.micros(),
        };
        wire.encode_to_vec().into()
    }

    /// Reads what [`Envelope::encode`] has written, in this or an earlier release.
    pub fn decode(bytes: &Bytes) -> Result<Self, String> {
        let wire = Wire::decode(bytes.clone()).map_err(|fault| fault.to_string())?;
        let event = Run::decode(&MetricsLogged::full_name(), &wire.points).map_err(|fault| fault.to_string())?;
        let Change::MetricsLogged(points) = event.change else { return Err("it holds no points".to_owned()) };
        let id = Uuid::from_slice(&wire.request).map_err(|fault| format!("its request id: {fault}"))?;
        let (metadata, hash) = (Metadata::decode(&wire.metadata), wire.request_hash);
        let batch = BatchId { id: wire.batch_id, sha256: wire.batch_sha256 };
        Ok(Self {
            run: event.run,
            id: Some(batch).filter(|batch| !batch.id.is_empty()),
            order: Order { metadata, request: Some(RequestKey { id, hash }) },
            method: wire.method,
            points,
            traceparent: Some(wire.traceparent).filter(|text| !text.is_empty()),
            enqueued: Time::from_micros(wire.enqueued_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_queued() {
        let run: RunName = "projects/p/experiments/1/runs/r".parse().unwrap();
        let mut points = Points::builder();
        points.push("loss", None, -3, 17, f64::NAN);
        points.push("acc", None, i64::MAX, 16, f64::INFINITY);
        let points = Arc::new(points.finish());
        let metadata = Metadata { principal: "users/u-1".into(), ..Metadata::default() };
        let sent = Envelope {
            run: run.clone(),
            id: Some(BatchId { id: "b".into(), sha256: "00".into() }),
            order: Order { metadata, request: Some(RequestKey { id: Uuid::from_u128(7), hash: "00".into() }) },
            method: "/cairn.experiments.v1.RunService/LogBatch".into(),
            points: Arc::clone(&points),
            traceparent: Some("00-1-2-01".into()),
            enqueued: Time::from_micros(12),
        };
        let read = Envelope::decode(&sent.encode(pack(&run, &points))).unwrap();
        assert_eq!((read.run, read.id, read.points), (sent.run, sent.id, sent.points));
        assert_eq!((read.order.metadata, read.order.request), (sent.order.metadata, sent.order.request));
        assert_eq!((read.method, read.traceparent, read.enqueued), (sent.method, sent.traceparent, sent.enqueued));
    }

    #[test]
    fn what_nobody_can_read_says_so() {
        for bytes in [&b"\xff\xff"[..], b""] {
            assert!(Envelope::decode(&Bytes::from_static(bytes)).is_err());
        }
    }
}
