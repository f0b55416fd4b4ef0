use std::net::SocketAddr;

use bytes::Bytes;
use cairn_gateway::Config;
use futures::stream;
use serde_json::json;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_types::StatusExt;

use crate::things::Raw;
use crate::world::World;

pub async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

pub fn keyed<T>(world: &World, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {}", world.keys.good).parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

async fn unary(channel: Channel, method: &str, request: Request<Bytes>) -> Result<(MetadataMap, Bytes), Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = format!("/cairn.things.v1.{method}").parse().unwrap();
    let (metadata, message, _) = grpc.unary(request, path, Raw).await?.into_parts();
    Ok((metadata, message))
}

fn reason(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

#[tokio::test]
async fn the_same_key_is_the_same_caller_over_both_doors_s1_5() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let channel = channel(address).await;
    let message = world.things.to_bytes("cairn.things.v1.GetThingRequest", json!({ "name": "projects/a/things/b" }));
    let (metadata, answer) =
        unary(channel.clone(), "ThingService/GetThing", keyed(&world, message.clone())).await.unwrap();
    assert_eq!(world.things.to_json("cairn.things.v1.Thing", &answer)["name"], "projects/a/things/b");
    assert_eq!(metadata.get("cairn-position").unwrap(), "42");
    let principal = |world: &World| {
        let token = world.things.last().metadata.get("cairn-principal").unwrap().clone();
        world.access.verify(token.to_str().unwrap()).unwrap()
    };
    let over_grpc = principal(&world);
    assert_eq!(world.things.last().metadata.get("cairn-source").unwrap(), "127.0.0.1");
    assert!(world.things.last().metadata.get("authorization").is_none());

    world.get("/api/v1/projects/a/things/b").await;
    assert_eq!(principal(&world), over_grpc);
    assert_eq!(over_grpc.name, "serviceAccounts/trainer");

    let mut keyed_otherwise = Request::new(message);
    keyed_otherwise.metadata_mut().insert("x-api-key", world.keys.good.parse().unwrap());
    unary(channel, "ThingService/GetThing", keyed_otherwise).await.unwrap();
    assert_eq!(principal(&world), over_grpc);
}

#[tokio::test]
async fn refusals_have_their_reasons_and_details() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let channel = channel(address).await;
    let with = |credential: &str| {
        let mut request = Request::new(Bytes::new());
        request.metadata_mut().insert("authorization", format!("Bearer {credential}").parse().unwrap());
        request
    };
    for (credential, expected) in [
        (world.keys.revoked.as_str(), "CREDENTIAL_REVOKED"),
        (world.keys.expired.as_str(), "CREDENTIAL_EXPIRED"),
        ("nonsense", "CREDENTIAL_INVALID"),
    ] {
        let status = unary(channel.clone(), "ThingService/GetThing", with(credential)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, expected));
        assert!(status.metadata().contains_key("x-request-id"));
    }
    let status = unary(channel.clone(), "ThingService/Nothing", keyed(&world, Bytes::new())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "METHOD_UNKNOWN"));
    let message =
        world.things.to_bytes("cairn.things.v1.GetThingRequest", json!({ "name": "projects/a/things/missing" }));
    let status = unary(channel, "ThingService/GetThing", keyed(&world, message)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "THING_NOT_FOUND"));
}

#[tokio::test]
async fn identity_that_a_client_claims_is_not_believed() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let mut request = Request::new(Bytes::new());
    let forged = world.access.sign(&cairn_kernel::Principal::service("auth")).unwrap();
    request.metadata_mut().insert("cairn-principal", forged.parse().unwrap());
    request.metadata_mut().insert("cairn-source", "1.2.3.4".parse().unwrap());
    unary(channel(address).await, "StreamService/Hello", request).await.unwrap();
    let seen = world.things.last().metadata;
    assert!(seen.get("cairn-principal").is_none());
    assert_eq!(seen.get("cairn-source").unwrap(), "127.0.0.1");
}

#[tokio::test]
async fn streams_pass_both_ways() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let mut grpc = tonic::client::Grpc::new(channel(address).await);
    grpc.ready().await.unwrap();
    let request = world.things.to_bytes("cairn.things.v1.ListThingsRequest", json!({ "parent": "projects/a" }));
    let path = "/cairn.things.v1.ThingService/WatchThings".parse().unwrap();
    let mut things = grpc.server_streaming(keyed(&world, request), path, Raw).await.unwrap().into_inner();
    let mut count = 0;
    while things.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 2);

    let piece = |path: &str| {
        let json = json!({ "parent": "projects/a", "path": path, "content": { "data": "AAAA" } });
        world.things.to_bytes("cairn.things.v1.UploadFileRequest", json)
    };
    let pieces = keyed(&world, stream::iter([piece("f"), piece(""), piece("")]));
    let path = "/cairn.things.v1.ThingService/UploadFile".parse().unwrap();
    grpc.ready().await.unwrap();
    let answer = grpc.client_streaming(pieces, path, Raw).await.unwrap().into_inner();
    assert_eq!(world.things.to_json("cairn.things.v1.File", &answer), json!({ "path": "f", "size": "9" }));
}

async fn reflect(
    channel: Channel,
    request: Request<stream::Iter<std::array::IntoIter<ServerReflectionRequest, 1>>>,
) -> Result<ServerReflectionResponse, Status> {
    let mut answers = ServerReflectionClient::new(channel).server_reflection_info(request).await?.into_inner();
    answers.message().await.map(|answer| answer.expect("an answer for the question"))
}

fn question(message: MessageRequest) -> stream::Iter<std::array::IntoIter<ServerReflectionRequest, 1>> {
    stream::iter([ServerReflectionRequest { host: String::new(), message_request: Some(message) }])
}

#[tokio::test]
async fn reflection_tells_known_callers_of_public_services_only() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let channel = channel(address).await;
    let list = || question(MessageRequest::ListServices(String::new()));
    let refused = reflect(channel.clone(), Request::new(list())).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "CREDENTIAL_MISSING"));

    let answer = reflect(channel.clone(), keyed(&world, list())).await.unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"cairn.things.v1.ThingService"), "{names:?}");
    let event = question(MessageRequest::FileContainingSymbol("cairn.auth.events.v1.KeyRevoked".into()));
    assert!(reflect(channel, keyed(&world, event)).await.is_err(), "events are not for callers");
}

#[tokio::test]
async fn callers_who_ask_too_often_are_told_when_to_come_back() {
    let world = World::with(Config { caller_rate_max: 1, burst_seconds: 1, ..Config::default() });
    let (address, _stop) = world.grpc().await;
    let channel = channel(address).await;
    unary(channel.clone(), "StreamService/Hello", keyed(&world, Bytes::new())).await.unwrap();
    let status = unary(channel, "StreamService/Hello", keyed(&world, Bytes::new())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "RATE_LIMITED"));
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_in_grpc() {
    let world = World::new();
    let (address, _stop) = world.grpc().await;
    let answer = reqwest::get(format!("http://{address}/cairn.things.v1.StreamService/Hello")).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], (Code::InvalidArgument as i32).to_string());
}
