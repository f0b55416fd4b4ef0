use cairn_contract::cairn::ledger::events::v1::AccessDenied;
use cairn_service::Listening;
use cairn_service::guard::SEALED_SOURCE;
use http_body_util::BodyExt;
use prost::Message;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_prost::ProstCodec;
use tower::Service;

use super::reason;
use crate::zoo::{LION, Lion, LionRequest, Zoo, about_leo, path};

/// Serves the zoo over a socket until the token is cancelled.
async fn served(zoo: &Zoo) -> (Channel, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (process, stop) = (zoo.process.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let server = tokio::spawn(async move { process.serve(listener, &Listening::default(), None, stopped).await });
    (Endpoint::from_shared(address).unwrap().connect().await.unwrap(), stop, server)
}

#[tokio::test]
async fn the_same_guard_stands_before_a_socket() {
    let zoo = Zoo::new();
    let (channel, stop, server) = served(&zoo).await;
    let mut client = tonic::client::Grpc::new(channel)
        .send_compressed(CompressionEncoding::Zstd)
        .accept_compressed(CompressionEncoding::Zstd);
    client.ready().await.unwrap();
    let codec = ProstCodec::<LionRequest, Lion>::default;
    let stranger = client.unary(about_leo("meat"), path("GetLion"), codec()).await.unwrap_err();
    assert_eq!(reason(&stranger), "CREDENTIAL_MISSING");
    client.ready().await.unwrap();
    let allowed = zoo.signed("users/keeper", about_leo("meat"));
    let answer: Lion = client.unary(allowed, path("GetLion"), codec()).await.unwrap().into_inner();
    assert!(answer.seen.contains(LION) && answer.seen.contains("127.0.0.1"), "{}", answer.seen);
    client.ready().await.unwrap();
    let mut denied = zoo.signed("users/visitor", about_leo("meat"));
    denied.metadata_mut().insert(SEALED_SOURCE, "sealed:abc".parse().unwrap());
    assert_eq!(client.unary(denied, path("GetLion"), codec()).await.unwrap_err().code(), Code::PermissionDenied);
    let recorded = AccessDenied::decode(zoo.events().await[0].payload.clone()).unwrap();
    assert_eq!(recorded.call.unwrap().source_address, "sealed:abc", "what is written down is never the address");
    drop(client);
    stop.cancel();
    server.await.unwrap();
}

#[tokio::test]
async fn stopping_finishes_the_calls_that_were_accepted() {
    let zoo = Zoo::new();
    let (channel, stop, server) = served(&zoo).await;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let request = zoo.signed("users/keeper", about_leo("gate"));
    let call = tokio::spawn(async move {
        client.unary(request, path("GetLion"), ProstCodec::<LionRequest, Lion>::default()).await
    });
    zoo.gate.entered.notified().await;
    stop.cancel();
    zoo.gate.open.notify_one();
    call.await.unwrap().unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn a_stream_of_requests_is_admitted_by_its_first_and_reaches_the_service_whole() {
    let zoo = Zoo::new();
    let send = |principal: &'static str| {
        let messages = ["red", "green", "blue"].map(|food| about_leo(food).into_inner());
        let request = zoo.signed(principal, Request::new(tokio_stream::iter(messages)));
        let mut client = tonic::client::Grpc::new(zoo.process.clone());
        async move {
            client.ready().await.unwrap();
            client.client_streaming(request, path("PaintLion"), ProstCodec::<LionRequest, Lion>::default()).await
        }
    };
    assert_eq!(send("users/keeper").await.unwrap().into_inner().seen, format!("{LION} red,green,blue"));
    assert_eq!(send("users/visitor").await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_mistake() {
    let zoo = Zoo::new();
    let call = |bytes: Vec<u8>| {
        let body = Body::new(http_body_util::Full::new(bytes::Bytes::from(bytes)).map_err(|never| match never {}));
        let mut request = http::Request::post(path("GetLion").as_str()).body(body).unwrap();
        let token = zoo.signed("users/keeper", Request::new(()));
        let token = token.metadata().get("cairn-principal").unwrap().to_str().unwrap();
        request.headers_mut().insert("cairn-principal", token.parse().unwrap());
        request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        let mut process = zoo.process.clone();
        async move { tonic::Status::from_header_map(process.call(request).await.unwrap().headers()).unwrap() }
    };
    // A good name, and then a field that is cut off in its middle.
    let mut cut = LionRequest { name: LION.into(), ..Default::default() }.encode_to_vec();
    cut.extend([0x12, 0x09, b'm']);
    let mut framed = vec![0, 0, 0, 0, u8::try_from(cut.len()).unwrap()];
    framed.extend(cut);
    for bytes in [vec![], vec![0, 0, 0, 0, 9, 1], vec![7, 0, 0, 0, 0], framed] {
        let refused = call(bytes.clone()).await;
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "VALIDATION_ERROR"),
            "{bytes:?}"
        );
    }
    let huge = call(vec![0, 0xff, 0xff, 0xff, 0xff]).await;
    assert_eq!((huge.code(), reason(&huge).as_str()), (Code::ResourceExhausted, "REQUEST_TOO_LARGE"));
}
