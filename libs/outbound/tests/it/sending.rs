use std::time::Duration;

use bytes::Bytes;
use cairn_outbound::{Allowed, Outbound, SendFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Answers every connection with the same bytes, and tells of each.
async fn server(answer: Vec<u8>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (told, answer) = (told.clone(), answer.clone());
            tokio::spawn(async move {
                let mut request = vec![0; 8192];
                let read = socket.read(&mut request).await.unwrap_or_default();
                let _ = told.send(String::from_utf8_lossy(&request[..read]).into_owned());
                let _ = socket.write_all(&answer).await;
                // An empty answer is one that never comes.
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (format!("http://127.0.0.1:{port}"), heard)
}

fn answer(head: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

fn to_loopback() -> Outbound {
    Outbound::new(Allowed::parse(["127.0.0.1/32", "::1"]).unwrap(), "test").unwrap()
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_goes_there() {
    let (inner, mut reached) = server(answer("200 OK", "secret")).await;
    let (outer, _kept) = server(answer(&format!("302 Found\r\nlocation: {inner}/"), "elsewhere")).await;
    let outbound = to_loopback();
    let address = outbound.address(&format!("{outer}/x")).unwrap();
    let got = outbound.post(&address, &[], Bytes::from_static(b"{}"), LONG).await.unwrap();
    assert_eq!((got.status, got.is_success(), got.body.as_ref()), (302, false, b"elsewhere".as_ref()));
    assert!(reached.try_recv().is_err());
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_connected_to() {
    let (inner, mut reached) = server(answer("200 OK", "secret")).await;
    let port = inner.rsplit(':').next().unwrap();
    let outbound = Outbound::new(Allowed::nothing(), "test").unwrap();
    let address = outbound.address(&format!("http://localhost:{port}/")).unwrap();
    let fault = outbound.post(&address, &[], Bytes::new(), LONG).await.unwrap_err();
    assert_eq!(fault, SendFault::Private("localhost".into()));
    assert!(reached.try_recv().is_err());
}

#[tokio::test]
async fn an_address_kept_while_it_was_allowed_is_not_reached_when_it_no_longer_is() {
    let (inner, mut reached) = server(answer("200 OK", "secret")).await;
    let address = to_loopback().address(&inner).unwrap();
    let strict = Outbound::new(Allowed::nothing(), "test").unwrap();
    let fault = strict.post(&address, &[], Bytes::new(), LONG).await.unwrap_err();
    assert_eq!(fault, SendFault::Private("127.0.0.1".into()));
    assert!(reached.try_recv().is_err());
}

#[tokio::test]
async fn who_does_not_answer_in_time_has_not_answered() {
    let (silent, _heard) = server(vec![]).await;
    let outbound = to_loopback();
    let address = outbound.address(&silent).unwrap();
    let deadline = Duration::from_millis(20);
    let fault = outbound.post(&address, &[], Bytes::new(), deadline).await.unwrap_err();
    assert_eq!(fault, SendFault::Late(deadline));
}

#[tokio::test]
async fn no_more_of_an_answer_is_read_than_its_beginning() {
    let (wordy, _heard) = server(answer("200 OK", &"a".repeat(1 << 20))).await;
    let outbound = to_loopback();
    let address = outbound.address(&wordy).unwrap();
    let got = outbound.post(&address, &[], Bytes::new(), LONG).await.unwrap();
    assert_eq!(got.body.len(), 64 << 10);
}

#[tokio::test]
async fn what_went_wrong_does_not_tell_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let outbound = to_loopback();
    let address = outbound.address(&format!("http://127.0.0.1:{port}/services/T0/canary?key=canary")).unwrap();
    let fault = outbound.post(&address, &[], Bytes::new(), LONG).await.unwrap_err();
    assert!(matches!(fault, SendFault::Unreachable(_)) && !fault.to_string().contains("canary"), "{fault}");
}

#[tokio::test]
async fn a_request_carries_its_headers_and_its_body() {
    let (server, mut heard) = server(answer("204 No Content", "")).await;
    let outbound = to_loopback();
    let address = outbound.address(&format!("{server}/in?a=1")).unwrap();
    let headers = [("webhook-id", "m1".to_owned())];
    assert!(outbound.post(&address, &headers, Bytes::from_static(b"{\"a\":1}"), LONG).await.unwrap().is_success());
    let request = heard.recv().await.unwrap();
    assert!(request.starts_with("POST /in?a=1 HTTP/1.1\r\n") && request.contains("webhook-id: m1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n") && request.contains("user-agent: test\r\n"));
}
