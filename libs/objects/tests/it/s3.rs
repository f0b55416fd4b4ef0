use std::time::Duration;

use cairn_kernel::{Clock, SystemClock};
use cairn_objects::{Action, Digest, Expect, Grant, Key, ObjectFault, ObjectStore, S3, S3Settings, Secret, of_bytes};
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::conformance::{every_store, tests};

const BUCKET: &str = "cairn";

/// An S3 in this process, over a temporary folder. Stops when dropped.
struct Server {
    _root: TempDir,
    endpoint: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve() -> Server {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join(BUCKET)).unwrap();
    let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
    service.set_auth(SimpleAuth::from_single("access", "secret"));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                // A client that goes away ends its connection, nothing else.
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    Server { _root: root, endpoint, task }
}

async fn connect(server: &Server, prefix: Option<&str>, secret: &str) -> S3 {
    let settings = S3Settings {
        endpoint: Some(server.endpoint.clone()),
        region: None,
        credentials: Some(("access".into(), Secret(secret.into()))),
    };
    S3::connect(BUCKET, prefix.map(|prefix| prefix.parse().unwrap()), &settings).await
}

async fn open() -> (S3, Server) {
    let server = serve().await;
    (connect(&server, Some("tenants/one"), "secret").await, server)
}

every_store!(tests, open());

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

fn grant(name: &str, action: Action) -> Grant {
    Grant { key: key(name), action, now: SystemClock.now(), lifetime: Duration::from_secs(60) }
}

#[tokio::test]
async fn a_prefix_keeps_stores_in_one_bucket_apart_s1_62() {
    let server = serve().await;
    let one = connect(&server, Some("one"), "secret").await;
    let two = connect(&server, Some("two"), "secret").await;
    one.put(&key("k"), of_bytes("1"), Expect::at_most(9)).await.unwrap();
    assert!(matches!(two.head(&key("k")).await, Err(ObjectFault::NotFound { .. })));
    assert!(two.list("", None, 10).await.unwrap().objects.is_empty());
    assert_eq!(connect(&server, None, "secret").await.head(&key("one/k")).await.unwrap().size, 1);
}

#[tokio::test]
async fn a_wrong_secret_is_a_store_that_cannot_be_used_s1_62() {
    let server = serve().await;
    let store = connect(&server, None, "wrong").await;
    let fault = store.put(&key("k"), of_bytes("1"), Expect::at_most(9)).await.unwrap_err();
    assert!(matches!(fault, ObjectFault::Unavailable { .. }), "{fault}");
    assert!(matches!(store.head(&key("k")).await, Err(ObjectFault::Unavailable { .. })));
}

#[tokio::test]
async fn presigned_addresses_move_one_object_without_credentials_s1_34() {
    let (store, _server) = open().await;
    let http = reqwest::Client::new();
    let send = |signed: cairn_objects::Signed, body: &'static str| {
        let request = http.put(signed.url).body(body);
        signed.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let put = grant("a/b c.txt", Action::Put { size: Some(5), sha256: Some(Digest::of(b"hello")) });
    let signed = store.presign(&put).await.unwrap();
    assert!(!send(signed.clone(), "hullo").await.unwrap().status().is_success());
    assert!(send(signed, "hello").await.unwrap().status().is_success());

    let get = grant("a/b c.txt", Action::Get { file_name: Some("b c.txt".into()), media_type: None });
    let signed = store.presign(&get).await.unwrap();
    let answer = http.get(&signed.url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "hello");
    store.put(&key("a/d c.txt"), of_bytes("other"), Expect::at_most(9)).await.unwrap();
    let changed = signed.url.replace("a/b%20c.txt", "a/d%20c.txt");
    assert_ne!(changed, signed.url);
    assert_eq!(http.get(changed).send().await.unwrap().status(), 403);

    let long_ago = Grant { now: cairn_kernel::Time::from_millis(1_600_000_000_000), ..get };
    let expired = store.presign(&long_ago).await.unwrap();
    assert_eq!(http.get(expired.url).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn parts_can_be_sent_to_presigned_addresses() {
    let (store, _server) = open().await;
    let upload = store.begin(&key("whole")).await.unwrap();
    let signed = store
        .presign(&grant("whole", Action::PutPart { upload: upload.clone(), number: 1, size: None }))
        .await
        .unwrap();
    let answer = reqwest::Client::new().put(signed.url).body("part").send().await.unwrap();
    assert!(answer.status().is_success());
    let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let written = store
        .complete(&key("whole"), &upload, &[cairn_objects::Part { number: 1, etag }], Expect::at_most(9))
        .await
        .unwrap();
    assert_eq!((written.size, written.sha256), (4, Digest::of(b"part")));
}

/// Answers every request with this listing of uploads, as S3 would. The stand-in has none.
async fn listing_of_uploads(listing: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (mut head, mut byte) = (vec![], [0]);
            while !head.ends_with(b"\r\n\r\n") {
                socket.read_exact(&mut byte).await.unwrap();
                head.extend(byte);
            }
            assert!(head.starts_with(b"GET /cairn/?uploads"), "{}", String::from_utf8_lossy(&head));
            let length = listing.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{listing}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    endpoint
}

#[tokio::test]
async fn uploads_left_alone_are_those_below_the_prefix_that_began_long_ago() {
    let endpoint = listing_of_uploads(
        "<ListMultipartUploadsResult><Bucket>cairn</Bucket><IsTruncated>false</IsTruncated>
         <Upload><Key>one/old</Key><UploadId>u1</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>
         <Upload><Key>one/new</Key><UploadId>u2</UploadId><Initiated>2026-03-01T00:00:00.000Z</Initiated></Upload>
         <Upload><Key>other/old</Key><UploadId>u3</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>
         </ListMultipartUploadsResult>",
    )
    .await;
    let settings = S3Settings {
        endpoint: Some(endpoint),
        region: None,
        credentials: Some(("access".into(), Secret("secret".into()))),
    };
    let store = S3::connect(BUCKET, Some(key("one")), &settings).await;
    let unfinished = store.unfinished(cairn_kernel::Time::parse("2026-02-01T00:00:00Z").unwrap()).await.unwrap();
    let told: Vec<_> = unfinished.iter().map(|upload| (upload.key.as_str(), upload.upload.0.as_str())).collect();
    assert_eq!(told, [("old", "u1")]);
}
