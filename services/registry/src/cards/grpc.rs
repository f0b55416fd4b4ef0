use aws_lc_rs::digest::{SHA256, digest};
use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::model_card_service_server::{ModelCardService, ModelCardServiceServer};
use cairn_contract::google::api::HttpBody;
use cairn_service::{Ctx, Reply, field, refuse, timestamp};
use tonic::{Request, Response, Status, async_trait};

use super::html::html;
use super::markdown::markdown;
use super::{Cards, Note, Subject, compare};
use crate::app::Call;
use crate::grpc::parse::{invalid, page_size};
use crate::model::{ModelName, Number, VersionName};

/// Most versions side by side.
const COMPARED_MAX: usize = 100;

struct Grpc {
    cards: Cards,
}

pub(super) fn service(cards: Cards) -> ModelCardServiceServer<impl ModelCardService> {
    ModelCardServiceServer::new(Grpc { cards }).max_decoding_message_size(usize::MAX)
}

#[async_trait]
impl ModelCardService for Grpc {
    async fn generate_model_card(&self, request: Request<proto::GenerateModelCardRequest>) -> Reply<proto::ModelCard> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("name", &request.name)?;
        let page = self.cards.card(&Call::of(&ctx, ""), &name).await.map_err(refuse)?;
        let markdown = markdown(&page);
        let etag = hex::encode(&digest(&SHA256, markdown.as_bytes()).as_ref()[..16]);
        Ok(Response::new(proto::ModelCard { name: name.to_string(), html: html(&page), markdown, etag }))
    }

    async fn render_model_card(&self, request: Request<proto::RenderModelCardRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: VersionName = field("name", &request.name)?;
        let page = self.cards.card(&Call::of(&ctx, ""), &name).await.map_err(refuse)?;
        let (content_type, text) = match request.format() {
            proto::CardFormat::Unspecified | proto::CardFormat::Html => ("text/html; charset=utf-8", html(&page)),
            proto::CardFormat::Markdown => ("text/markdown; charset=utf-8", markdown(&page)),
        };
        let body = HttpBody { content_type: content_type.to_owned(), data: text.into(), ..HttpBody::default() };
        Ok(Response::new(body))
    }

    async fn compare_model_versions(
        &self,
        request: Request<proto::CompareModelVersionsRequest>,
    ) -> Reply<proto::CompareModelVersionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let model: ModelName = field("parent", &request.parent)?;
        if request.versions.is_empty() || request.versions.len() > COMPARED_MAX {
            return Err(invalid("versions", format!("name 1 to {COMPARED_MAX} of them")));
        }
        let call = Call::of(&ctx, "");
        let mut versions = vec![];
        for number in request.versions {
            versions.push(self.cards.app.version(&call, &model.version(Number(number))).await.map_err(refuse)?);
        }
        Ok(Response::new(compare(&versions, request.differing_only)))
    }

    async fn list_model_notes(
        &self,
        request: Request<proto::ListModelNotesRequest>,
    ) -> Reply<proto::ListModelNotesResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let subject = subject(&request.parent)?;
        let limit = page_size(request.page_size)?;
        let call = Call::of(&ctx, "");
        let page = self.cards.notes(&call, &subject, limit, &request.page_token).await.map_err(refuse)?;
        let note = |note: Note| proto::ModelNote {
            resource: request.parent.clone(),
            revision: note.revision,
            text: note.text,
            author: note.author,
            create_time: Some(timestamp(note.time)),
        };
        let notes = page.notes.into_iter().map(note).collect();
        Ok(Response::new(proto::ListModelNotesResponse { notes, next_page_token: page.next_page_token }))
    }
}

/// A model or a version, by its name.
fn subject(name: &str) -> Result<Subject, Status> {
    match name.parse() {
        Ok(version) => Ok(Subject::Version(version)),
        Err(_) => field("parent", name).map(Subject::Model),
    }
}
