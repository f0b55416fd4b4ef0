use std::str::FromStr;
use std::time::Duration;

use cairn_contract::cairn::experiments::v1 as proto;
use cairn_contract::cairn::experiments::v1::artifact_service_server::{ArtifactService, ArtifactServiceServer};
use cairn_kernel::{Expected, Revision};
use cairn_objects::{Digest, Expect};
use cairn_service::{Ctx, Refusal, Reply, field, refuse, timestamp};
use tonic::{Request, Response, Status, Streaming};

use super::grants::LIFETIME_MAX;
use super::query::Row;
use super::streams::{Sending, first, receive, send};
use super::{Artifacts, Asked, PART_LIFETIME_MAX, Plan, Slot, Upload};
use crate::model::artifact::{ArtifactName, ArtifactPath, Owner};

/// Artifacts on one page when the caller does not say, and at most.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1000;
/// Addresses of parts in one answer when the caller does not say, and at most.
const PARTS_DEFAULT: u32 = 100;
const PARTS_SIGNED_MAX: u32 = 1000;

/// The artifact service as the contract offers it.
struct Grpc {
    artifacts: Artifacts,
}

pub(super) fn service(artifacts: Artifacts) -> ArtifactServiceServer<impl ArtifactService> {
    ArtifactServiceServer::new(Grpc { artifacts })
}

#[tonic::async_trait]
impl ArtifactService for Grpc {
    async fn list_artifacts(
        &self,
        request: Request<proto::ListArtifactsRequest>,
    ) -> Reply<proto::ListArtifactsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let owner: Owner = field("parent", &request.parent)?;
        let folder = match request.folder.as_str() {
            "" => String::new(),
            folder => field::<ArtifactPath>("folder", folder)?.to_string(),
        };
        let limit = page_size(request.page_size)?;
        let after = request.page_token.parse::<PageToken>();
        let after = after.map_err(|()| refuse(Refusal::invalid("page_token", "is not one of ours")))?;
        let mut rows = self.artifacts.below((&ctx, &request.as_of), &owner, &folder, &after.0, limit + 1).await?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(|row| PageToken(row.path.to_string()).to_string());
        let artifacts = rows.into_iter().map(|row| self.artifact(&owner, row)).collect::<Result<_, _>>()?;
        let next_page_token = next.unwrap_or_default();
        Ok(Response::new(proto::ListArtifactsResponse { artifacts, next_page_token }))
    }

    async fn get_artifact(&self, request: Request<proto::GetArtifactRequest>) -> Reply<proto::Artifact> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ArtifactName = field("name", &request.name)?;
        let row = self.artifacts.row(&ctx, &request.as_of, &name).await?;
        Ok(Response::new(self.artifact(name.owner(), row)?))
    }

    async fn upload_artifact(
        &self,
        request: Request<Streaming<proto::UploadArtifactRequest>>,
    ) -> Reply<proto::Artifact> {
        let (ctx, mut stream) = Ctx::accept(request)?;
        let head = first(&mut stream).await?;
        let owner: Owner = field("parent", &head.parent)?;
        let path: ArtifactPath = field("path", &head.path)?;
        let sha256 = optional::<Digest>("sha256", &head.sha256)?;
        let media_type = head.content.as_ref().map(|content| content.content_type.clone());
        let media_type = media_type.filter(|media_type| is_telling(media_type));
        let expect = Expect { sha256, ..Expect::at_most(self.artifacts.size_max()) };
        let body = receive(head.content, stream, |message| message.content);
        let upload = Upload { owner: owner.clone(), path: path.clone(), media_type, expect };
        self.artifacts.store(&ctx, ctx.order(&head.request_id), upload, body).await?;
        self.answer(&ctx, &owner, &path).await
    }

    type DownloadArtifactStream = Sending;

    async fn download_artifact(&self, request: Request<proto::DownloadArtifactRequest>) -> Reply<Sending> {
        let asked = Asked::of(request.metadata());
        let (_, request) = Ctx::accept(request)?;
        let owner: Owner = field("parent", &request.parent)?;
        let path: ArtifactPath = field("path", &request.path)?;
        Ok(send(self.artifacts.open(&owner, &path, &asked).await?, path.file_name()))
    }

    async fn begin_artifact_upload(
        &self,
        request: Request<proto::BeginArtifactUploadRequest>,
    ) -> Reply<proto::BeginArtifactUploadResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let owner: Owner = field("parent", &request.parent)?;
        let path: ArtifactPath = field("path", &request.path)?;
        let sha256: Digest = field("sha256", &request.sha256)?;
        let lifetime = lifetime(request.lifetime, LIFETIME_MAX)?;
        let media_type = Some(request.media_type).filter(|media_type| !media_type.is_empty());
        if request.part_bytes > 0 {
            let plan = Plan::Known { size: request.size_bytes, sha256, part_bytes: request.part_bytes };
            let (upload, part_count) = self.artifacts.begin_parts(&ctx, &owner, &path, media_type, &plan).await?;
            let response = proto::BeginArtifactUploadResponse { upload, part_count, ..Default::default() };
            return Ok(Response::new(response));
        }
        let content = (request.size_bytes, sha256);
        let (upload, granted) = self.artifacts.begin(&ctx, &owner, &path, media_type, content, lifetime).await?;
        Ok(Response::new(proto::BeginArtifactUploadResponse {
            upload,
            address: granted.signed.url,
            headers: granted.signed.headers.into_iter().collect(),
            expire_time: Some(timestamp(granted.expire_time)),
            part_count: 0,
        }))
    }

    async fn sign_artifact_upload_parts(
        &self,
        request: Request<proto::SignArtifactUploadPartsRequest>,
    ) -> Reply<proto::SignArtifactUploadPartsResponse> {
        let (_, request) = Ctx::accept(request)?;
        let owner: Owner = field("parent", &request.parent)?;
        let lifetime = match request.lifetime {
            None => LIFETIME_MAX,
            asked => lifetime(asked, PART_LIFETIME_MAX)?,
        };
        let first = request.first_part.max(1);
        let count = if request.part_count == 0 { PARTS_DEFAULT } else { request.part_count };
        if count > PARTS_SIGNED_MAX {
            return Err(refuse(Refusal::invalid("part_count", format!("must be at most {PARTS_SIGNED_MAX}"))));
        }
        let numbers = first..=first.saturating_add(count - 1);
        let slots = self.artifacts.sign_parts(&owner, &request.upload, numbers, lifetime).await?;
        let parts = slots.into_iter().map(part).collect();
        Ok(Response::new(proto::SignArtifactUploadPartsResponse { parts }))
    }

    async fn abort_artifact_upload(
        &self,
        request: Request<proto::AbortArtifactUploadRequest>,
    ) -> Reply<proto::AbortArtifactUploadResponse> {
        let (_, request) = Ctx::accept(request)?;
        let owner: Owner = field("parent", &request.parent)?;
        self.artifacts.abort_parts(&owner, &request.upload).await?;
        Ok(Response::new(proto::AbortArtifactUploadResponse {}))
    }

    async fn complete_artifact_upload(
        &self,
        request: Request<proto::CompleteArtifactUploadRequest>,
    ) -> Reply<proto::Artifact> {
        let (ctx, request) = Ctx::accept(request)?;
        let owner: Owner = field("parent", &request.parent)?;
        let order = ctx.order(&request.request_id);
        let artifacts = &self.artifacts;
        let path = match artifacts.is_in_parts(&request.upload) {
            true => artifacts.complete_parts(&ctx, order, &owner, &request.upload, None).await?,
            false => artifacts.complete(&ctx, order, &owner, &request.upload).await?,
        };
        self.answer(&ctx, &owner, &path).await
    }

    async fn sign_artifact_address(
        &self,
        request: Request<proto::SignArtifactAddressRequest>,
    ) -> Reply<proto::SignArtifactAddressResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ArtifactName = field("name", &request.name)?;
        let lifetime = lifetime(request.lifetime, LIFETIME_MAX)?;
        let row = self.artifacts.row(&ctx, "", &name).await?;
        let granted = self.artifacts.sign(&row.content, row.path.file_name(), lifetime).await?;
        Ok(Response::new(proto::SignArtifactAddressResponse {
            address: granted.signed.url,
            headers: granted.signed.headers.into_iter().collect(),
            expire_time: Some(timestamp(granted.expire_time)),
        }))
    }

    async fn delete_artifact(&self, request: Request<proto::DeleteArtifactRequest>) -> Reply<proto::Artifact> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: ArtifactName = field("name", &request.name)?;
        let expected = match request.etag.as_str() {
            "" => Expected::Any,
            etag => Expected::Exactly(Revision(field("etag", etag)?)),
        };
        let row = self.artifacts.row(&ctx, "", &name).await?;
        let order = ctx.order(&request.request_id);
        let position = self.artifacts.delete(&ctx, order, name.owner(), &row.path, expected).await?;
        Ok(ctx.reply(self.artifact(name.owner(), row)?, position))
    }
}

impl Grpc {
    /// The artifact as lists show it now: they have seen its change.
    async fn answer(&self, ctx: &Ctx, owner: &Owner, path: &ArtifactPath) -> Reply<proto::Artifact> {
        let name = owner.artifact(&path.id()).map_err(refuse)?;
        let row = self.artifacts.row(ctx, "", &name).await?;
        Ok(ctx.reply(self.artifact(owner, row)?, self.artifacts.position()))
    }

    fn artifact(&self, owner: &Owner, row: Row) -> Result<proto::Artifact, Status> {
        Ok(proto::Artifact {
            name: owner.artifact(&row.path.id()).map_err(refuse)?.to_string(),
            path: row.path.to_string(),
            storage_address: self.artifacts.storage_address(&row.content),
            size_bytes: row.content.size,
            sha256: row.content.sha256,
            media_type: row.content.media_type,
            create_time: Some(timestamp(row.create_time)),
            creator: row.creator,
            etag: row.revision.to_string(),
        })
    }
}

/// Where a page ended. Opaque, so that it can be told from a path.
struct PageToken(String);

impl std::fmt::Display for PageToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl FromStr for PageToken {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let path = hex::decode(text).map_err(|_| ())?;
        Ok(Self(String::from_utf8(path).map_err(|_| ())?))
    }
}

fn page_size(asked: i32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_MAX)),
        Err(_) => Err(refuse(Refusal::invalid("page_size", "must not be negative"))),
    }
}

/// How long an address is to be good: as long as it may be, unless the caller wants less.
fn lifetime(asked: Option<prost_types::Duration>, max: Duration) -> Result<Duration, Status> {
    let invalid = || refuse(Refusal::invalid("lifetime", format!("must be from 1 to {} seconds", max.as_secs())));
    let Some(asked) = asked else { return Ok(max) };
    let lifetime = Duration::try_from(asked).map_err(|_| invalid())?;
    if lifetime < Duration::from_secs(1) || lifetime > max { Err(invalid()) } else { Ok(lifetime) }
}

fn part(slot: Slot) -> proto::ArtifactUploadPart {
    let Slot { number, size, is_stored, granted } = slot;
    let mut part =
        proto::ArtifactUploadPart { number, size_bytes: size.unwrap_or_default(), is_stored, ..Default::default() };
    if let Some(granted) = granted {
        part.address = granted.signed.url;
        part.headers = granted.signed.headers.into_iter().collect();
        part.expire_time = Some(timestamp(granted.expire_time));
    }
    part
}

fn optional<T: FromStr>(name: &'static str, text: &str) -> Result<Option<T>, Status>
where
    T::Err: std::fmt::Display,
{
    if text.is_empty() { Ok(None) } else { field(name, text).map(Some) }
}

/// Whether a media type says more than "bytes", which is what clients send when they do not know.
fn is_telling(media_type: &str) -> bool {
    let is_valid = media_type.len() <= 255 && media_type.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    is_valid && !matches!(media_type, "" | "application/octet-stream" | "application/x-www-form-urlencoded")
}
