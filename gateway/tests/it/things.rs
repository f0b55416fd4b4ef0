//! The service behind the gateway: it does what the name of a thing says, and records what reached it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use cairn_kernel::Code;
use cairn_service::{Refusal, refuse};
use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::{Value, json};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

#[derive(Clone)]
pub struct Things {
    pool: DescriptorPool,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Bytes of uploads that have arrived, and pieces of downloads that were asked for.
    pub flowed: Arc<AtomicU64>,
    /// Uploads that were taken for whole.
    pub completed: Arc<AtomicU64>,
}

/// A call as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub metadata: MetadataMap,
    pub message: Value,
}

impl Things {
    pub fn new(pool: DescriptorPool) -> Self {
        Self { pool, seen: Arc::default(), flowed: Arc::default(), completed: Arc::default() }
    }

    /// The last call, which must have arrived.
    pub fn last(&self) -> Seen {
        self.seen.lock().last().cloned().expect("a call arrived")
    }

    fn note(&self, path: &str, input: &str, request: &Request<Bytes>) -> Value {
        let message = self.to_json(input, request.get_ref());
        let seen = Seen { path: path.to_owned(), metadata: request.metadata().clone(), message: message.clone() };
        self.seen.lock().push(seen);
        message
    }

    pub fn to_json(&self, message: &str, bytes: &[u8]) -> Value {
        let message = self.pool.get_message_by_name(message).unwrap();
        let message = DynamicMessage::decode(message, bytes).unwrap();
        let options = SerializeOptions::new().use_proto_field_name(true);
        message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
    }

    pub fn to_bytes(&self, message: &str, json: Value) -> Bytes {
        let message = self.pool.get_message_by_name(message).unwrap();
        DynamicMessage::deserialize(message, json).unwrap().encode_to_vec().into()
    }

    fn thing(&self, name: &str) -> Result<Response<Bytes>, Status> {
        let refusal = match name.rsplit('/').next().unwrap_or_default() {
            "missing" => Refusal::new(Code::NotFound, "THING_NOT_FOUND", "there is no such thing").with("name", name),
            "stale" => Refusal::new(Code::Aborted, "ETAG_MISMATCH", "the thing has changed"),
            "full" => {
                Refusal::new(Code::Unavailable, "STORAGE_FULL", "the disk is full").after(Duration::from_millis(1500))
            }
            "secretive" => Refusal::internal("the password is hunter2"),
            "broken" => return Err(Status::unknown("the password is hunter2")),
            "late" => return Err(Status::deadline_exceeded("late")),
            _ => {
                let json = json!({ "name": name, "size": "9007199254740993", "etag": "7", "labels": ["a"] });
                let mut response = Response::new(self.to_bytes("cairn.things.v1.Thing", json));
                response.metadata_mut().insert("cairn-position", "42".parse().unwrap());
                response.metadata_mut().insert("x-internal", "secret".parse().unwrap());
                return Ok(response);
            }
        };
        Err(refuse(refusal))
    }

    async fn unary(self, path: String, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        const V1: &str = "cairn.things.v1.";
        let input = |name: &str| format!("{V1}{name}");
        match path.rsplit('/').next().unwrap() {
            "GetThing" | "GetRetiredThing" | "ArchiveThing" | "FoundThing" | "DropThing" => {
                let message = self.note(&path, &input("GetThingRequest"), &request);
                if path.ends_with("ArchiveThing") {
                    self.seen.lock().pop();
                    self.note(&path, &input("ArchiveThingRequest"), &request);
                }
                let name = message["name"].as_str().unwrap_or_default().to_owned();
                if name.ends_with("/endless") {
                    std::future::pending::<()>().await;
                }
                self.thing(&name)
            }
            "CreateThing" => {
                let message = self.note(&path, &input("CreateThingRequest"), &request);
                Ok(Response::new(self.to_bytes("cairn.things.v1.Thing", message["thing"].clone())))
            }
            "UpdateThing" => {
                let message = self.note(&path, &input("UpdateThingRequest"), &request);
                self.thing(message["thing"]["name"].as_str().unwrap())
            }
            "ListThings" | "ListThingNames" => {
                self.note(&path, &input("ListThingsRequest"), &request);
                let json = json!({ "things": [{ "name": "a" }], "names": ["a", "b"] });
                Ok(Response::new(self.to_bytes("cairn.things.v1.ListThingsResponse", json)))
            }
            "Echo" => {
                self.note(&path, &input("Everything"), &request);
                Ok(Response::new(request.into_inner()))
            }
            "Hello" => {
                self.note(&path, "google.protobuf.Empty", &request);
                Ok(Response::new(http_body("text/plain", b"OK")))
            }
            "PutNote" => {
                self.note(&path, &input("UploadFileRequest"), &request);
                let body = self.to_json("cairn.things.v1.UploadFileRequest", request.get_ref());
                let json = json!({ "path": body["path"], "content_type": body["content"]["content_type"] });
                Ok(Response::new(self.to_bytes("cairn.things.v1.File", json)))
            }
            other => Err(Status::unimplemented(other.to_owned())),
        }
    }

    async fn upload(self, path: String, request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
        let (metadata, _, mut messages) = request.into_parts();
        let (mut size, mut first) = (0, Value::Null);
        let mut content_type = String::new();
        while let Some(message) = messages.message().await? {
            let message = self.pool_decode("cairn.things.v1.UploadFileRequest", message);
            let content = message.get_field_by_name("content").unwrap().as_message().unwrap().clone();
            size += content.get_field_by_name("data").unwrap().as_bytes().unwrap().len() as u64;
            if first.is_null() {
                content_type = content.get_field_by_name("content_type").unwrap().as_str().unwrap().to_owned();
                let text = |name: &str| message.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
                first = json!({ "parent": text("parent"), "path": text("path") });
                self.seen.lock().push(Seen { path: path.clone(), metadata: metadata.clone(), message: first.clone() });
            }
            self.flowed.store(size, Ordering::SeqCst);
        }
        self.completed.fetch_add(1, Ordering::SeqCst);
        let json = json!({ "path": first["path"], "size": size.to_string(), "content_type": content_type });
        Ok(Response::new(self.to_bytes("cairn.things.v1.File", json)))
    }

    fn pool_decode(&self, message: &str, bytes: Bytes) -> DynamicMessage {
        DynamicMessage::decode(self.pool.get_message_by_name(message).unwrap(), bytes).unwrap()
    }

    async fn streamed(
        self,
        path: String,
        request: Request<Bytes>,
    ) -> Result<Response<stream::BoxStream<'static, Result<Bytes, Status>>>, Status> {
        if path.ends_with("DownloadFile") {
            return self.download(&path, &request);
        }
        let message = self.note(&path, "cairn.things.v1.ListThingsRequest", &request);
        let thing = self.to_bytes("cairn.things.v1.Thing", json!({ "name": "t", "size": "1" }));
        let things = stream::iter([Ok(thing.clone()), Ok(thing)]);
        let placed = |place: &str| {
            Ok(self.to_bytes("cairn.things.v1.Thing", json!({ "name": "t", "size": "1", "etag": place })))
        };
        match message["parent"].as_str().unwrap() {
            "projects/refused" => Err(refuse(Refusal::new(Code::NotFound, "THING_NOT_FOUND", "no such project"))),
            "projects/failing" => {
                let fault = refuse(Refusal::new(Code::Unavailable, "STORE_UNAVAILABLE", "the store is gone"));
                Ok(Response::new(things.chain(stream::iter([Err(fault)])).boxed()))
            }
            "projects/placed" => {
                let things = stream::iter(["7", "8\ndata: forged", ""].map(placed));
                let mut response = Response::new(things.boxed());
                response.metadata_mut().insert("cairn-cursor", "6".parse().unwrap());
                Ok(response)
            }
            "projects/quiet" => Ok(Response::new(things.chain(stream::pending()).boxed())),
            _ => Ok(Response::new(things.boxed())),
        }
    }

    fn download(
        &self,
        path: &str,
        request: &Request<Bytes>,
    ) -> Result<Response<stream::BoxStream<'static, Result<Bytes, Status>>>, Status> {
        let message = self.note(path, "cairn.things.v1.DownloadFileRequest", request);
        let flowed = Arc::clone(&self.flowed);
        let piece = move |at: u64| {
            flowed.store(at, Ordering::SeqCst);
            Ok(http_body(if at == 1 { "image/png" } else { "" }, &[at as u8; 64 << 10]))
        };
        match message["path"].as_str().unwrap() {
            "broken" => {
                let pieces = stream::iter(1..=2).map(piece).chain(stream::iter([Err(Status::internal("disk"))]));
                Ok(Response::new(pieces.boxed()))
            }
            "elsewhere" => {
                let mut response = Response::new(stream::empty().boxed());
                response.metadata_mut().insert("cairn-http-status", "302".parse().unwrap());
                response.metadata_mut().insert("cairn-http-location", "https://s3.example/x".parse().unwrap());
                Ok(response)
            }
            "huge" => Ok(Response::new(stream::iter(1..=1_000_000).map(piece).boxed())),
            _ => {
                let mut response = Response::new(stream::iter(1..=3).map(piece).boxed());
                let metadata = response.metadata_mut();
                metadata.insert("cairn-http-content-length", (3 * (64 << 10)).into());
                metadata.insert("cairn-http-content-disposition", "attachment; filename=\"x.png\"".parse().unwrap());
                metadata.insert("cairn-http-set-cookie", "a=b".parse().unwrap());
                Ok(response)
            }
        }
    }
}

fn http_body(content_type: &str, data: &[u8]) -> Bytes {
    let data = Bytes::copy_from_slice(data);
    let body = cairn_contract::google::api::HttpBody { content_type: content_type.into(), data, extensions: vec![] };
    body.encode_to_vec().into()
}

impl Service<http::Request<Body>> for Things {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let things = self.clone();
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let mut grpc = tonic::server::Grpc::new(Raw);
            Ok(match path.rsplit('/').next().unwrap() {
                "UploadFile" => {
                    grpc.client_streaming(service_fn(|r| things.clone().upload(path.clone(), r)), request).await
                }
                "WatchThings" | "DownloadFile" => {
                    grpc.server_streaming(service_fn(|r| things.clone().streamed(path.clone(), r)), request).await
                }
                _ => grpc.unary(service_fn(|r| things.clone().unary(path.clone(), r)), request).await,
            })
        })
    }
}

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
