use std::time::Duration;

use cairn_contract::google::api::HttpBody;
use cairn_kernel::Expected;
use cairn_objects::{Body, Expect};
use cairn_service::Reply;
use proto::mlflow_artifact_service_server::MlflowArtifactService;
use tonic::{Request, Response, Status, Streaming};

use super::artifact_paths::{ProxyPath, artifact_path, folder, outside};
use super::caller::Caller;
use super::convert::{model_address, run_address};
use super::fault::{ErrorCode, invalid};
use super::required::{required, run_id};
use super::{Mlflow, proto};
use crate::app::Call;
use crate::artifacts::{Child, Sending, Upload, first, media_type_of, receive, send};
use crate::model::artifact::{ARTIFACTS_PER_OWNER_MAX, Owner};

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
        let (caller, request) = Caller::accept(request)?;
        let path = required("path", &request.path)?;
        let (name, _) = caller.run(&self.app, run_id(&request.run_id, &request.run_uuid)?).await?;
        self.download(&Owner::Run(name), path).await
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
        let (caller, request) = Caller::accept(request)?;
        let (name, _) = caller.logged_model(&self.app, &request.model_id).await?;
        self.download(&Owner::LoggedModel(name), required("artifact_file_path", &request.artifact_file_path)?).await
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
        let (caller, request) = Caller::accept(request)?;
        let proxied = ProxyPath::read(&request.path).ok_or_else(outside)?;
        let (owner, _, path) = proxied.owner(&caller, &self.app).await?;
        self.download(&owner, path).await
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
        let rows = self.artifacts.below(caller.ctx(), &owner, &below, "", ARTIFACTS_PER_OWNER_MAX).await?;
        for row in rows {
            self.artifacts.delete(caller.ctx(), call.order.clone(), &owner, &row.path, Expected::Any).await?;
        }
        Ok(Response::new(proto::DeleteProxiedArtifactResponse {}))
    }

    async fn create_multipart_upload(
        &self,
        request: Request<proto::CreateMultipartUploadRequest>,
    ) -> Reply<proto::CreateMultipartUploadResponse> {
        Caller::accept(request)?;
        Err(unsupported())
    }

    async fn complete_multipart_upload(
        &self,
        request: Request<proto::CompleteMultipartUploadRequest>,
    ) -> Reply<proto::CompleteMultipartUploadResponse> {
        Caller::accept(request)?;
        Err(unsupported())
    }

    async fn abort_multipart_upload(
        &self,
        request: Request<proto::AbortMultipartUploadRequest>,
    ) -> Reply<proto::AbortMultipartUploadResponse> {
        Caller::accept(request)?;
        Err(unsupported())
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

    async fn download(&self, owner: &Owner, path: &str) -> Reply<Sending> {
        let path = artifact_path(path)?;
        Ok(send(self.artifacts.open(owner, &path).await?, path.file_name()))
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

fn unsupported() -> Status {
    ErrorCode::NotImplemented.says("Multipart upload is not supported for the current artifact repository")
}

/// A run or model that takes no artifacts, in MLflow's words.
fn said(status: Status) -> Status {
    match status.code() {
        tonic::Code::FailedPrecondition => invalid(status.message()),
        _ => status,
    }
}
