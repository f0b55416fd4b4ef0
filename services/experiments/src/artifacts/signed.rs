use cairn_contract::cairn::experiments::v1::object_service_server::{ObjectService, ObjectServiceServer};
use cairn_contract::cairn::experiments::v1::{ReadObjectRequest, WriteObjectRequest, WriteObjectResponse};
use cairn_kernel::Code;
use cairn_objects::{Action, Claims, Expect, Key, SignerFault};
use cairn_service::{Refusal, Reply, refuse};
use tonic::{Request, Response, Status, Streaming};

use super::read::entity_tag;
use super::streams::{Sending, attach, first, receive, sending, tell};
use super::{Artifacts, Asked};

/// Serves the addresses we signed. The signature is the whole right: there is no caller to ask about.
struct Grpc {
    artifacts: Artifacts,
}

pub(super) fn service(artifacts: Artifacts) -> ObjectServiceServer<impl ObjectService> {
    ObjectServiceServer::new(Grpc { artifacts })
}

#[tonic::async_trait]
impl ObjectService for Grpc {
    type ReadObjectStream = Sending;

    async fn read_object(&self, request: Request<ReadObjectRequest>) -> Reply<Sending> {
        let asked = Asked::of(request.metadata());
        let ReadObjectRequest { key, expires, detail, signature } = request.into_inner();
        let claims = Claims { verb: "GET", key: &key, expires, detail: &detail, signature: &signature };
        let (key, Action::Get { file_name, media_type }) = self.verify(&claims)? else { return Err(forged()) };
        let found = self.artifacts.inner.objects.head(&key).await.map_err(|fault| refuse(Refusal::of(&fault)))?;
        // Each upload has a key of its own, so the key is as good as a digest.
        let etag = entity_tag(key.file_name());
        let portion = asked.portion(&etag, found.size);
        let body = self.artifacts.portion(&key, &portion, found.size).await?;
        let mut response = sending(media_type.as_deref().unwrap_or("application/octet-stream"), body);
        tell(response.metadata_mut(), &portion, &etag, found.size);
        attach(response.metadata_mut(), file_name.as_deref().unwrap_or_else(|| key.file_name()));
        Ok(response)
    }

    async fn write_object(&self, request: Request<Streaming<WriteObjectRequest>>) -> Reply<WriteObjectResponse> {
        let mut stream = request.into_inner();
        let WriteObjectRequest { key, expires, detail, signature, content } = first(&mut stream).await?;
        let claims = Claims { verb: "PUT", key: &key, expires, detail: &detail, signature: &signature };
        let (key, action) = self.verify(&claims)?;
        let body = receive(content, stream, |message| message.content);
        let objects = &self.artifacts.inner.objects;
        let size_max = self.artifacts.inner.size_max;
        let etag = match action {
            Action::Put { size, sha256 } => {
                let written = objects.put(&key, body, Expect { size_max, size, sha256 }).await;
                written.map(|written| written.sha256.to_string())
            }
            Action::PutPart { upload, number, size } => {
                let expect = Expect { size_max, size, sha256: None };
                let part = objects.put_part(&key, &upload, number, body, expect).await;
                part.map(|part| part.etag)
            }
            Action::Get { .. } => return Err(forged()),
        };
        let etag = etag.map_err(|fault| refuse(Refusal::of(&fault)))?;
        Ok(Response::new(WriteObjectResponse { etag }))
    }
}

impl Grpc {
    fn verify(&self, claims: &Claims<'_>) -> Result<(Key, Action), Status> {
        let inner = &self.artifacts.inner;
        inner.signer.verify(claims, inner.clock.now()).map_err(|fault| match fault {
            SignerFault::Forged => forged(),
            SignerFault::Expired => {
                refuse(Refusal::new(Code::PermissionDenied, "SIGNATURE_EXPIRED", fault.to_string()))
            }
        })
    }
}

fn forged() -> Status {
    refuse(Refusal::new(Code::PermissionDenied, "SIGNATURE_INVALID", SignerFault::Forged.to_string()))
}
