use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::function_version_service_server::{
    FunctionVersionService, FunctionVersionServiceServer,
};
use cairn_objects::Digest;
use cairn_service::{Ctx, Reply, field, refuse, timestamp};
use tonic::{Request, Response, Streaming, async_trait};

use super::grpc::document;
use super::packages::NewVersion;
use super::streams::{Sending, receive, send};
use super::{Functions, VersionRecord};
use crate::app::Call;
use crate::grpc::parse::{chars, invalid, page_size};
use crate::model::function::{Document, FunctionName, FunctionVersionName, Package, VersionId};
use crate::stored::structure::structure;

/// Longest signature, in characters: a note of a few lines.
const SIGNATURE_CHARS_MAX: usize = 8000;

struct Grpc {
    functions: Functions,
}

pub(super) fn service(functions: Functions) -> FunctionVersionServiceServer<impl FunctionVersionService> {
    FunctionVersionServiceServer::new(Grpc { functions }).max_decoding_message_size(usize::MAX)
}

#[async_trait]
impl FunctionVersionService for Grpc {
    async fn upload_function_package(
        &self,
        request: Request<Streaming<proto::UploadFunctionPackageRequest>>,
    ) -> Reply<proto::FunctionPackage> {
        let (ctx, mut stream) = Ctx::accept(request)?;
        let head = stream.message().await?.ok_or_else(|| invalid("content", "the upload has no message"))?;
        let name: FunctionName = field("parent", &head.parent)?;
        let sha256: Digest = field("sha256", &head.sha256)?;
        let body = receive(head.content, stream);
        let written = self.functions.upload(&Call::of(&ctx, ""), &name, sha256, body).await.map_err(refuse)?;
        Ok(Response::new(proto::FunctionPackage { sha256: written.sha256.to_string(), size_bytes: written.size }))
    }

    async fn create_function_version(
        &self,
        request: Request<proto::CreateFunctionVersionRequest>,
    ) -> Reply<proto::FunctionVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let function: FunctionName = field("parent", &request.parent)?;
        let version: VersionId = field("function_version_id", &request.function_version_id)?;
        let given = request.function_version.unwrap_or_default();
        chars("function_version.signature", &given.signature, SIGNATURE_CHARS_MAX)?;
        let new = NewVersion {
            name: function.version(&version),
            document: document("function_version", given.description, given.labels, given.spec)?,
            sha256: field("function_version.sha256", &given.sha256)?,
            signature: given.signature,
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.functions.publish(&call, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer(made.value), made.position))
    }

    async fn get_function_version(
        &self,
        request: Request<proto::GetFunctionVersionRequest>,
    ) -> Reply<proto::FunctionVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: FunctionVersionName = field("name", &request.name)?;
        let found = self.functions.version(&Call::of(&ctx, ""), &name).await.map_err(refuse)?;
        Ok(Response::new(answer(found)))
    }

    async fn list_function_versions(
        &self,
        request: Request<proto::ListFunctionVersionsRequest>,
    ) -> Reply<proto::ListFunctionVersionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let function: FunctionName = field("parent", &request.parent)?;
        let limit = page_size(request.page_size)?;
        let call = Call::of(&ctx, "");
        let page = self.functions.versions(&call, &function, limit, &request.page_token).await.map_err(refuse)?;
        let function_versions = page.items.into_iter().map(answer).collect();
        let next_page_token = page.next_page_token;
        Ok(Response::new(proto::ListFunctionVersionsResponse { function_versions, next_page_token }))
    }

    type DownloadFunctionPackageStream = Sending;

    async fn download_function_package(
        &self,
        request: Request<proto::DownloadFunctionPackageRequest>,
    ) -> Reply<Sending> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: FunctionVersionName = field("name", &request.name)?;
        let found = self.functions.version(&Call::of(&ctx, ""), &name).await.map_err(refuse)?;
        let body = self.functions.package(&found).await.map_err(refuse)?;
        Ok(send(&found, body))
    }
}

fn answer(record: VersionRecord) -> proto::FunctionVersion {
    let VersionRecord { name, package, create_time, creator } = record;
    let Package { document, sha256, size, signature, .. } = Package::clone(&package);
    let Document { description, labels, spec } = document;
    proto::FunctionVersion {
        name: name.to_string(),
        version: name.version.to_string(),
        description,
        labels,
        spec: Some(structure(spec)),
        etag: sha256.clone(),
        sha256,
        size_bytes: size,
        signature,
        create_time: Some(timestamp(create_time)),
        creator,
    }
}
