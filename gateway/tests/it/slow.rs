//! Clients that open a window and take nothing, over HTTP/2 as it is on the wire.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use cairn_gateway::Config;
use futures::{StreamExt, stream};
use h2::client::SendRequest;
use http::{Request, StatusCode};
use serde_json::json;
use tokio::net::TcpStream;
use tonic::Code;
use tonic_types::StatusExt;

use crate::grpc::{channel, keyed};
use crate::things::Raw;
use crate::world::World;

const IMPATIENT: u64 = 20;

fn impatient() -> World {
    World::with(Config { idle_timeout_ms: IMPATIENT, ..Config::default() })
}

/// A connection whose streams may be sent so many bytes, and no more ever.
async fn client(address: SocketAddr, window: u32) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn get(world: &World, verb: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(verb).uri(format!("http://cairn{path}"));
    request.header("authorization", format!("Bearer {}", world.keys.good)).body(()).unwrap()
}

#[tokio::test]
async fn a_stream_without_a_window_is_cut_and_its_connection_goes_on() {
    let world = impatient();
    let (address, _stop) = world.http().await;
    let mut client = client(address, 0).await;
    for path in ["/api/v1/projects/a/files/huge", "/hello", "/api/v1/projects/quiet/things:watch"] {
        let (response, _) = client.send_request(get(&world, "GET", path), true).unwrap();
        let mut response = response.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let fault = response.body_mut().data().await.unwrap().unwrap_err();
        assert_eq!((fault.is_reset(), fault.reason()), (true, Some(h2::Reason::CANCEL)), "{path}: {fault}");
        client = client.ready().await.unwrap();
    }
    assert!(world.things.flowed.load(Ordering::SeqCst) <= 4, "the service was held up, nothing was collected");
    let (response, _) = client.send_request(get(&world, "HEAD", "/hello"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_stream_that_takes_a_part_and_then_nothing_is_cut() {
    let world = impatient();
    let (address, _stop) = world.http().await;
    let mut client = client(address, 100_000).await;
    let (response, _) = client.send_request(get(&world, "GET", "/api/v1/projects/a/files/huge"), true).unwrap();
    let mut response = response.await.unwrap();
    let mut taken = 0;
    let fault = loop {
        match response.body_mut().data().await.unwrap() {
            Ok(data) => taken += data.len(),
            Err(fault) => break fault,
        }
    };
    assert_eq!((taken, fault.reason()), (65_535, Some(h2::Reason::CANCEL)), "a connection's own window is not opened");
    assert!(world.things.flowed.load(Ordering::SeqCst) < 16, "the service was held up, nothing was collected");
}

#[tokio::test]
async fn a_connection_that_holds_the_rest_of_a_finished_answer_is_cut() {
    let world = impatient();
    let (address, _stop) = world.http().await;
    let mut client = client(address, 1).await;
    let (response, _) = client.send_request(get(&world, "GET", "/hello"), true).unwrap();
    let mut response = response.await.unwrap();
    assert_eq!(response.body_mut().data().await.unwrap().unwrap().len(), 1);
    let fault = response.body_mut().data().await.unwrap().unwrap_err();
    assert!(!fault.is_reset(), "the connection itself has ended: {fault}");
    assert!(client.ready().await.is_err());
}

#[tokio::test]
async fn a_grpc_stream_without_a_window_is_cut() {
    let world = impatient();
    let (address, _stop) = world.grpc().await;
    let mut client = client(address, 0).await;
    let mut request = get(&world, "POST", "/cairn.things.v1.ThingService/WatchThings");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let message = world.things.to_bytes("cairn.things.v1.ListThingsRequest", json!({ "parent": "projects/quiet" }));
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data([&[0], &length[..], &message].concat().into(), true).unwrap();
    let mut response = response.await.unwrap();
    let fault = response.body_mut().data().await.unwrap().unwrap_err();
    assert_eq!((fault.is_reset(), fault.reason()), (true, Some(h2::Reason::CANCEL)), "{fault}");
}

#[tokio::test]
async fn a_grpc_upload_that_pauses_is_given_up_and_not_kept() {
    let world = impatient();
    let (address, _stop) = world.grpc().await;
    let mut grpc = tonic::client::Grpc::new(channel(address).await);
    grpc.ready().await.unwrap();
    let json = json!({ "parent": "projects/a", "path": "f", "content": { "data": "AAAA" } });
    let first = world.things.to_bytes("cairn.things.v1.UploadFileRequest", json);
    let pieces = keyed(&world, stream::iter([first]).chain(stream::pending()));
    let path = "/cairn.things.v1.ThingService/UploadFile".parse().unwrap();
    let status = grpc.client_streaming(pieces, path, Raw).await.map(drop).unwrap_err();
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
    assert_eq!((status.code(), reason.as_deref()), (Code::DeadlineExceeded, Some("CLIENT_TOO_SLOW")));
    assert_eq!(world.things.completed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_grpc_upload_that_its_client_cancels_never_looks_complete() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let mut client = client(address, 65_535).await;
    let mut request = get(&world, "POST", "/cairn.things.v1.ThingService/UploadFile");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let json = json!({ "parent": "projects/a", "path": "f", "content": { "data": "AAAA" } });
    let message = world.things.to_bytes("cairn.things.v1.UploadFileRequest", json);
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data([&[0], &length[..], &message].concat().into(), false).unwrap();
    while world.things.flowed.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    body.send_reset(h2::Reason::CANCEL);
    assert!(response.await.is_err());
    // The next call on the same connection is answered after the reset was heard.
    let (response, _) = client.send_request(get(&world, "GET", "/"), true).unwrap();
    response.await.unwrap();
    assert_eq!(world.things.completed.load(Ordering::SeqCst), 0);
}
