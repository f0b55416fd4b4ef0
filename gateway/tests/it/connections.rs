//! HTTP/1 connections on the wire, after requests whose bodies nobody reads.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::world::World;

/// Refused by its head alone.
fn refused(headers: &str) -> String {
    format!("PATCH /hello HTTP/1.1\r\nhost: a\r\n{headers}\r\n")
}

const NEXT: &str = "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n";

struct Client(TcpStream);

impl Client {
    async fn to(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; nothing if the connection has ended instead.
    async fn hear(&mut self) -> Option<String> {
        let mut heard = vec![];
        loop {
            let text = String::from_utf8_lossy(&heard);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() >= length.parse::<usize>().unwrap() {
                    return Some(text.into_owned());
                }
            }
            // A reset is an end too.
            match self.0.read_u8().await {
                Ok(byte) => heard.push(byte),
                Err(_) => return None,
            }
        }
    }
}

#[tokio::test]
async fn a_connection_goes_on_behind_a_refused_request_whose_body_comes_late() {
    let world = World::new();
    let (address, _stop) = world.http().await;
    for (headers, body) in [("content-length: 2\r\n", "{}"), ("transfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")]
    {
        let mut client = Client::to(address).await;
        client.say(&refused(headers)).await;
        let early = timeout(Duration::from_millis(20), client.hear()).await;
        assert!(early.is_err(), "the answer waits for the rest of the request: {early:?}");
        client.say(body).await;
        let answer = client.hear().await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 405") && !answer.contains("connection: close"), "{answer}");
        client.say(NEXT).await;
        let next = client.hear().await.expect("the connection was not announced to end");
        assert!(next.starts_with("HTTP/1.1 404"), "{next}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_behind_a_refusal_says_so() {
    let world = World::new();
    let (address, _stop) = world.http().await;
    let unread = [
        // Never comes.
        ("content-length: 2\r\n", ""),
        // More than anybody would read for nothing.
        ("content-length: 1000000\r\n", ""),
        ("transfer-encoding: chunked\r\n", &*format!("{:x}\r\n{}", 70_000, "x".repeat(70_000))),
        // Not sent unless it is asked for.
        ("content-length: 2\r\nexpect: 100-continue\r\n", ""),
    ];
    for (headers, body) in unread {
        let mut client = Client::to(address).await;
        client.say(&refused(headers)).await;
        client.say(body).await;
        let answer = client.hear().await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("connection: close"), "{headers:?}: {answer}");
        assert_eq!(client.hear().await, None);
    }
}
