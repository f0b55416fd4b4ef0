use std::sync::Arc;

use async_trait::async_trait;
use cairn_contract::cairn::ledger::events::v1::{CommandRejected, ReadRecorded, RequestRecorded};
use cairn_eventstore::{
    AppendFault, Appending, Direction, EventStore, Filter, Memory, Page, ReadFault, Recorded, Retention, Snapshot,
    Write,
};
use cairn_kernel::{Position, Revision, StreamName};
use futures::FutureExt;
use prost::Message;
use tokio::sync::watch;
use tonic::Code;
use uuid::Uuid;

use super::reason;
use crate::zoo::{LION, Zoo, about_leo};

const SHORT: &str = "cairn.ledger.events.v1.";

async fn kinds(zoo: &Zoo) -> Vec<String> {
    zoo.events().await.iter().map(|event| event.kind.strip_prefix(SHORT).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_change_that_a_rule_refuses_is_recorded() {
    let zoo = Zoo::new();
    let refused = zoo.call_as("users/keeper", "FeedLion", about_leo("poison")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(kinds(&zoo).await, ["CommandRejected"]);
    let rejected = CommandRejected::decode(zoo.events().await[0].payload.clone()).unwrap();
    assert_eq!((rejected.code, rejected.reason.as_str()), (Code::FailedPrecondition as i32, "LION_NOT_HUNGRY"));
    assert_eq!(rejected.message, "the lion is not hungry");
    assert_eq!(rejected.call.unwrap().resource, LION);
}

#[tokio::test]
async fn what_needs_no_record_gets_none() {
    let zoo = Zoo::new();
    zoo.call_as("users/keeper", "FeedLion", about_leo("meat")).await.unwrap();
    assert_eq!(zoo.call_as("users/keeper", "GetLion", about_leo("nothing")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(zoo.call_as("users/keeper", "FeedLion", about_leo("leak")).await.unwrap_err().code(), Code::Internal);
    assert_eq!(kinds(&zoo).await, [""; 0]);
}

#[tokio::test]
async fn a_marked_read_is_recorded_with_its_request_and_without_its_secrets() {
    let zoo = Zoo::new();
    zoo.call_as("users/keeper", "InspectLion", about_leo("meat")).await.unwrap();
    assert_eq!(kinds(&zoo).await, ["ReadRecorded"]);
    let read = ReadRecorded::decode(zoo.events().await[0].payload.clone()).unwrap();
    assert_eq!((read.code, read.call.unwrap().principal.as_str()), (0, "users/keeper"));
    let text = read.request.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text.json).unwrap();
    assert_eq!(json, serde_json::json!({"name": LION, "food": "meat", "secret": "[hidden]"}));
    assert_eq!(text.bytes as usize, about_leo("meat").into_inner().encoded_len());
    assert_eq!(text.sha256.len(), 64);
}

#[tokio::test]
async fn a_marked_change_is_recorded_however_it_ends() {
    let zoo = Zoo::new();
    zoo.call_as("users/keeper", "MoveLion", about_leo("meat")).await.unwrap();
    zoo.call_as("users/keeper", "MoveLion", about_leo("nothing")).await.unwrap_err();
    assert_eq!(kinds(&zoo).await, ["RequestRecorded", "CommandRejected", "RequestRecorded"]);
    let events = zoo.events().await;
    let codes = [0, 2].map(|at| RequestRecorded::decode(events[at].payload.clone()).unwrap().code);
    assert_eq!(codes, [Code::Ok as i32, Code::NotFound as i32]);
}

#[tokio::test]
async fn a_marked_stream_is_recorded_when_it_begins_and_when_it_does_not() {
    let zoo = Zoo::new();
    let mut stream = zoo.watch_as("users/keeper", about_leo("meat")).await.unwrap().into_inner();
    assert_eq!(kinds(&zoo).await, ["ReadRecorded"], "durable before the first message");
    assert!(stream.message().await.unwrap().is_some());
    zoo.watch_as("users/keeper", about_leo("nothing")).await.unwrap_err();
    let events = zoo.events().await;
    let codes: Vec<_> = events.iter().map(|event| ReadRecorded::decode(event.payload.clone()).unwrap()).collect();
    assert_eq!(codes.iter().map(|read| read.code).collect::<Vec<_>>(), [Code::Ok as i32, Code::NotFound as i32]);
    assert!(codes[0].request.is_none(), "the contract asks for the fact alone");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_answered() {
    let zoo = Zoo::over(Arc::new(Full(Memory::new())));
    for (principal, method) in
        [("users/visitor", "GetLion"), ("users/keeper", "InspectLion"), ("users/keeper", "MoveLion")]
    {
        let refused = zoo.call_as(principal, method, about_leo("meat")).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "STORAGE_FULL"), "{method}");
    }
    zoo.call_as("users/keeper", "GetLion", about_leo("meat")).await.unwrap();
}

/// Hanging up must not be a way to change something unrecorded.
#[tokio::test]
async fn a_change_is_finished_and_recorded_when_its_caller_hangs_up() {
    let zoo = Zoo::new();
    tokio::select! {
        _ = zoo.call_as("users/keeper", "MoveLion", about_leo("gate")) => panic!("the gate is closed"),
        () = zoo.gate.entered.notified() => {}
    }
    zoo.gate.open.notify_one();
    zoo.process.drain().await.unwrap();
    assert_eq!(kinds(&zoo).await, ["RequestRecorded"]);
}

/// A store whose disk has no room.
struct Full(Memory);

#[async_trait]
impl EventStore for Full {
    fn append(&self, _: Vec<Write>) -> Appending {
        futures::future::ready(Err(AppendFault::StorageFull)).boxed()
    }

    async fn read(
        &self,
        stream: &StreamName,
        from: Revision,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Arc<Recorded>>, ReadFault> {
        self.0.read(stream, from, direction, limit).await
    }

    async fn read_all(
        &self,
        from: Position,
        direction: Direction,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, ReadFault> {
        self.0.read_all(from, direction, filter, limit).await
    }

    async fn find(&self, id: Uuid) -> Result<Option<Arc<Recorded>>, ReadFault> {
        self.0.find(id).await
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.0.head()
    }

    async fn retain(&self, stream: &StreamName, retention: Retention) -> Result<(), AppendFault> {
        self.0.retain(stream, retention).await
    }

    async fn snapshot(&self, stream: &StreamName) -> Result<Option<Snapshot>, ReadFault> {
        self.0.snapshot(stream).await
    }

    async fn keep_snapshot(&self, stream: &StreamName, snapshot: Snapshot) {
        self.0.keep_snapshot(stream, snapshot).await;
    }

    fn trouble(&self) -> Option<AppendFault> {
        Some(AppendFault::StorageFull)
    }
}
