use std::time::Duration;

use cairn_contract::google::api::HttpBody;
use cairn_kernel::Expected;
use cairn_objects::{Body, Expect, PARTS_MAX, Part};
use cairn_service::Reply;
use proto::mlflow_artifact_service_server::MlflowArtifactService;
use tonic::{Request, Response, Status, Streaming};

use super::artifact_paths::{ProxyPath, artifact_path, folder, outside};
use super::caller::Caller;
use super::convert::{model_address, run_address};
use super::fault::{ErrorCode, invalid, missing};
use super::required::{required, run_id};
use super::{Mlflow, proto};
use crate::app::Call;
use crate::artifacts::{Asked, Child, PART_LIFETIME_MAX, Plan, Sending, Upload, first, media_type_of, receive, send};
use crate::model::artifact::{ARTIFACTS_PER_OWNER_MAX, ArtifactPath, Owner};

/// How long a presigned address is good, unless the caller wants less.
const LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);

#[tonic::async_trait]
impl MlflowArtifactService for Mlflow {
    async fn list_artifacts(
        &self,
        request: Request<proto::ListArtifactsRequest>,
    ) -> Reply<proto::ListArtifactsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, _) = caller.run(&self.app, run_id(&request.run_id, &request.run_uuid)?).await?;
        let root_uri = Some(run_address(&name));
        let files = self.list(&caller, &Owner::Run(name), request.path.as_deref().unwrap_or_default()).await?;
        Ok(Response::new(proto::ListArtifactsResponse { root_uri, files, next_page_token: None }))
    }

    async fn create_presigned_upload_url(
        &self,
        request: Request<proto::CreatePresignedUploadUrlRequest>,
    ) -> Reply<proto::CreatePresignedUploadUrlResponse> {
        Caller::accept(request)?;
        Err(ErrorCode::NotImplemented.says(
            "artifacts are uploaded through the server, or by the native API, which records what arrived at a presigned \
             address",
        ))
    }

    async fn create_presigned_download_url(
        &self,
        request: Request<proto::CreatePresignedDownloadUrlRequest>,
    ) -> Reply<proto::CreatePresignedDownloadUrlResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, _) = caller.run(&self.app, required("run_id", &request.run_id)?).await?;
        let path = required("path", &request.path)?;
        let lifetime = request.expiration.and_then(|seconds| u64::try_from(seconds).ok());
        let lifetime = lifetime.map_or(LIFETIME_MAX, Duration::from_secs).min(LIFETIME_MAX);
        let (presigned_url, headers, size) = self.presign(&Owner::Run(name), path, lifetime).await?;
        Ok(Response::new(proto::CreatePresignedDownloadUrlResponse {
            presigned_url: Some(presigned_url),
            headers: headers.into_iter().collect(),
            file_size: Some(size),
        }))
    }

    type GetArtifactStream = Sending;

    async fn get_artifact(&self, request: Request<proto::GetArtifactRequest>) -> Reply<Sending> {
        let asked = Asked::of(request.metadata());
        let (caller, request) = Caller::accept(request)?;
        let path = required("path", &request.path)?;
        let (name, _) = caller.run(&self.app, run_id(&request.run_id, &request.run_uuid)?).await?;
        self.download(&Owner::Run(name), path, &asked).await
    }

    async fn upload_artifact(
        &self,
        request: Request<Streaming<proto::UploadArtifactRequest>>,
    ) -> Reply<proto::UploadArtifactResponse> {
        let (caller, mut stream) = Caller::accept(request)?;
        let head = first(&mut stream).await?;
        let (name, call) = caller.run(&self.app, required("run_uuid", &head.run_uuid)?).await?;
        let path = required("path", &head.path)?;
        let body = receive(head.body, stream, |message| message.body);
        self.upload(&caller, call, Owner::Run(name), path, body).await?;
        Ok(Response::new(proto::UploadArtifactResponse {}))
    }

    async fn list_logged_model_artifacts(
        &self,
        request: Request<proto::ListLoggedModelArtifactsRequest>,
    ) -> Reply<proto::ListLoggedModelArtifactsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (name, _) = caller.logged_model(&self.app, &request.model_id).await?;
        let root_uri = Some(model_address(&name));
        let folder = request.artifact_directory_path.unwrap_or_default();
        let files = self.list(&caller, &Owner::LoggedModel(name), &folder).await?;
        Ok(Response::new(proto::ListLoggedModelArtifactsResponse { root_uri, files, next_page_token: None }))
    }

    type GetLoggedModelArtifactStream = Sending;

    async fn get_logged_model_artifact(
        &self,
        request: Request<proto::GetLoggedModelArtifactRequest>,
    ) -> Reply<Sending> {
        let asked = Asked::of(request.metadata());
        let (caller, request) = Caller::accept(request)?;
        let (name, _) = caller.logged_model(&self.app, &request.model_id).await?;
        let path = required("artifact_file_path", &request.artifact_file_path)?;
        self.download(&Owner::LoggedModel(name), path, &asked).await
    }

    async fn list_proxied_artifacts(
        &self,
        request: Request<proto::ListProxiedArtifactsRequest>,
    ) -> Reply<proto::ListProxiedArtifactsResponse> {
        let (caller, request) = Caller::accept(request)?;
        let path = request.path.unwrap_or_default();
        // Outside of runs and models there is nothing to list, which is no error.
        let Some(proxied) = ProxyPath::read(&path) else {
            folder(path.trim_start_matches('/'))?;
            return Ok(Response::new(proto::ListProxiedArtifactsResponse { files: vec![] }));
        };
        let (owner, _, below) = proxied.owner(&caller, &self.app).await?;
        let mut files = self.list(&caller, &owner, below).await?;
        for file in &mut files {
            // Relative to the folder asked for.
            file.path = file.path.take().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
        }
        Ok(Response::new(proto::ListProxiedArtifactsResponse { files }))
    }

    async fn upload_proxied_artifact(
        &self,
        request: Request<Streaming<proto::UploadProxiedArtifactRequest>>,
    ) -> Reply<HttpBody> {
        let (caller, mut stream) = Caller::accept(request)?;
        let head = first(&mut stream).await?;
        let proxied = ProxyPath::read(&head.path).ok_or_else(outside)?;
        let (owner, call, path) = proxied.owner(&caller, &self.app).await?;
        let body = receive(head.body, stream, |message| message.body);
        self.upload(&caller, call, owner, path, body).await?;
        Ok(Response::new(HttpBody::default()))
    }

    type DownloadProxiedArtifactStream = Sending;

    async fn download_proxied_artifact(
        &self,
        request: Request<proto::DownloadProxiedArtifactRequest>,
    ) -> Reply<Sending> {
        let asked = Asked::of(request.metadata());
        let (caller, request) = Caller::accept(request)?;
        let proxied = ProxyPath::read(&request.path).ok_or_else(outside)?;
        let (owner, _, path) = proxied.owner(&caller, &self.app).await?;
        self.download(&owner, path, &asked).await
    }

    async fn delete_proxied_artifact(
        &self,
        request: Request<proto::DeleteProxiedArtifactRequest>,
    ) -> Reply<proto::DeleteProxiedArtifactResponse> {
        let (caller, request) = Caller::accept(request)?;
        let proxied = ProxyPath::read(&request.path).ok_or_else(outside)?;
        let (owner, call, path) = proxied.owner(&caller, &self.app).await?;
        let below = folder(path)?;
        if !below.is_empty() {
            let path = artifact_path(&below)?;
            if self.artifacts.content(&owner, &path).await.is_ok() {
                self.artifacts.delete(caller.ctx(), call.order.clone(), &owner, &path, Expected::Any).await?;
            }
        }
        let rows = self.artifacts.below((caller.ctx(), ""), &owner, &below, "", ARTIFACTS_PER_OWNER_MAX).await?;
        for row in rows {
            self.artifacts.delete(caller.ctx(), call.order.clone(), &owner, &row.path, Expected::Any).await?;
        }
        Ok(Response::new(proto::DeleteProxiedArtifactResponse {}))
    }

    async fn create_multipart_upload(
        &self,
        request: Request<proto::CreateMultipartUploadRequest>,
    ) -> Reply<proto::CreateMultipartUploadResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (owner, _, path) = self.destination(&caller, &request.folder, &request.path).await?;
        let count = request.num_parts.unwrap_or(1);
        let count = u32::try_from(count).ok().filter(|count| (1..=PARTS_MAX).contains(count)).ok_or_else(|| {
            invalid(format!("Invalid value {count} for parameter 'num_parts' supplied: it must be 1 to {PARTS_MAX}."))
        })?;
        // Clients say nothing of the content's type: the name tells.
        let begun = self.artifacts.begin_parts(caller.ctx(), &owner, &path, None, &Plan::Count(count)).await;
        let (upload, _) = begun.map_err(said)?;
        let slots = self.artifacts.sign_parts(&owner, &upload, 1..=count, PART_LIFETIME_MAX).await?;
        let credentials = slots.into_iter().filter_map(|slot| Some((slot.number, slot.granted?.signed)));
        let credentials = credentials.map(|(number, signed)| proto::MultipartUploadCredential {
            url: Some(signed.url),
            part_number: Some(number.into()),
            headers: signed.headers.into_iter().collect(),
        });
        let credentials = credentials.collect();
        Ok(Response::new(proto::CreateMultipartUploadResponse { upload_id: Some(upload), credentials }))
    }

    async fn complete_multipart_upload(
        &self,
        request: Request<proto::CompleteMultipartUploadRequest>,
    ) -> Reply<proto::CompleteMultipartUploadResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (owner, call, path) = self.destination(&caller, &request.folder, &request.path).await?;
        let upload = required("upload_id", &request.upload_id)?;
        let is_direct = self.artifacts.is_direct();
        let parts = request.parts.into_iter().map(|sent| part(sent, is_direct)).collect();
        if self.artifacts.upload_path(&owner, upload)? != path {
            return Err(invalid("the upload was begun for another path"));
        }
        let completed = self.artifacts.complete_parts(caller.ctx(), call.order, &owner, upload, Some(parts)).await;
        completed.map_err(said)?;
        Ok(Response::new(proto::CompleteMultipartUploadResponse {}))
    }

    async fn abort_multipart_upload(
        &self,
        request: Request<proto::AbortMultipartUploadRequest>,
    ) -> Reply<proto::AbortMultipartUploadResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (owner, ..) = self.destination(&caller, &request.folder, &request.path).await?;
        self.artifacts.abort_parts(&owner, required("upload_id", &request.upload_id)?).await?;
        Ok(Response::new(proto::AbortMultipartUploadResponse {}))
    }

    async fn get_presigned_download_url(
        &self,
        request: Request<proto::GetPresignedDownloadUrlRequest>,
    ) -> Reply<proto::GetPresignedDownloadUrlResponse> {
        let (caller, request) = Caller::accept(request)?;
        let proxied = ProxyPath::read(&request.path).ok_or_else(outside)?;
        let (owner, _, path) = proxied.owner(&caller, &self.app).await?;
        let (url, headers, size) = self.presign(&owner, path, LIFETIME_MAX).await?;
        let headers = headers.into_iter().collect();
        let answer = proto::GetPresignedDownloadUrlResponse { url: Some(url), headers, file_size: Some(size) };
        Ok(Response::new(answer))
    }
}

impl Mlflow {
    async fn list(&self, caller: &Caller, owner: &Owner, path: &str) -> Result<Vec<proto::FileInfo>, Status> {
        let children = self.artifacts.children(caller.ctx(), owner, &folder(path)?).await?;
        Ok(children.into_iter().map(file_info).collect())
    }

    async fn upload(&self, caller: &Caller, call: Call, owner: Owner, path: &str, body: Body) -> Result<(), Status> {
        let path = artifact_path(path)?;
        // Clients say `application/octet-stream` or nothing: the name tells more.
        let media_type = Some(media_type_of(path.file_name()));
        let expect = Expect::at_most(self.artifacts.size_max());
        let upload = Upload { owner, path, media_type, expect };
        self.artifacts.store(caller.ctx(), call.order, upload, body).await.map_err(said)?;
        Ok(())
    }

    async fn download(&self, owner: &Owner, path: &str, asked: &Asked) -> Reply<Sending> {
        let path = artifact_path(path)?;
        Ok(send(self.artifacts.open(owner, &path, asked).await?, path.file_name()))
    }

    /// Where an upload in parts goes: the folder stands in the address, and the name is that of the client's file.
    async fn destination(
        &self,
        caller: &Caller,
        folder: &str,
        file: &str,
    ) -> Result<(Owner, Call, ArtifactPath), Status> {
        let proxied = ProxyPath::read(folder).ok_or_else(outside)?;
        let (owner, call, below) = proxied.owner(caller, &self.app).await?;
        // A client on Windows sends its own separators.
        let name = file.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).ok_or_else(|| missing("path"))?;
        let path = match self::folder(below)?.as_str() {
            "" => artifact_path(name)?,
            below => artifact_path(&format!("{below}/{name}"))?,
        };
        Ok((owner, call, path))
    }

    /// An address that leads to the store itself. Where it would lead back to us, the proxy does as well.
    async fn presign(
        &self,
        owner: &Owner,
        path: &str,
        lifetime: Duration,
    ) -> Result<(String, Vec<(String, String)>, i64), Status> {
        let path = artifact_path(path)?;
        if !self.artifacts.is_direct() {
            return Err(unsupported());
        }
        let content = self.artifacts.content(owner, &path).await?;
        let granted = self.artifacts.sign(&content, path.file_name(), lifetime).await?;
        Ok((granted.signed.url, granted.signed.headers, i64::try_from(content.size).unwrap_or(i64::MAX)))
    }
}

fn file_info(child: Child) -> proto::FileInfo {
    let size = child.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    proto::FileInfo {
        path: Some(child.path),
        is_dir: Some(child.size.is_none()),
        // MLflow's server leaves out the size of an empty file.
        file_size: size.filter(|size| *size > 0),
    }
}

/// A part as a client names it, with the entity tag that came back when it was sent.
fn part(part: proto::MultipartUploadPart, is_direct: bool) -> Part {
    let number = part.part_number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    let etag = part.etag.unwrap_or_default();
    // Our own tags come back in the quotes of HTTP; those of an S3 are its own matter.
    Part { number, etag: if is_direct { etag } else { etag.trim_matches('"').to_owned() } }
}

fn unsupported() -> Status {
    ErrorCode::NotImplemented.says("Multipart download is not supported for the current artifact repository")
}

/// A run or model that takes no artifacts, in MLflow's words.
fn said(status: Status) -> Status {
    match status.code() {
        tonic::Code::FailedPrecondition => invalid(status.message()),
        _ => status,
    }
}
