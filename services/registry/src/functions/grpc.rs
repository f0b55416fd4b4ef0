use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::function_service_server::{FunctionService, FunctionServiceServer};
use cairn_kernel::Expected;
use cairn_service::{Ctx, Refusal, Reply, field, refuse, timestamp};
use prost_types::Struct;
use prost_types::value::Kind;
use serde_json::Value;
use tonic::{Request, Response, Status, async_trait};

use super::{FunctionRecord, FunctionSearch, Functions, Visible};
use crate::app::Call;
use crate::grpc::parse::{etag, invalid, page_size};
use crate::model::ProjectName;
use crate::model::function::{Command, Document, FunctionId, FunctionName};
use crate::stored::structure::{object, structure};

/// Most labels that a list is asked for.
const LABELS_ASKED_MAX: usize = 16;

struct Grpc {
    functions: Functions,
}

pub(super) fn service(functions: Functions) -> FunctionServiceServer<impl FunctionService> {
    FunctionServiceServer::new(Grpc { functions }).max_decoding_message_size(usize::MAX)
}

#[async_trait]
impl FunctionService for Grpc {
    async fn create_function(&self, request: Request<proto::CreateFunctionRequest>) -> Reply<proto::Function> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let id: FunctionId = field("function_id", &request.function_id)?;
        let name = project.function(&id);
        let function = request.function.unwrap_or_default();
        let document = document("function", function.description, function.labels, function.spec)?;
        let command = Command::Create { name: name.clone(), document };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.functions.change(&call, &name, Expected::Any, command).await.map_err(refuse)?;
        Ok(ctx.reply(answer(made.value), made.position))
    }

    async fn get_function(&self, request: Request<proto::GetFunctionRequest>) -> Reply<proto::Function> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: FunctionName = field("name", &request.name)?;
        let as_of = ctx.as_of(&request.as_of)?;
        let found = self.functions.function(&Call::of(&ctx, ""), &name, as_of).await.map_err(refuse)?;
        Ok(Response::new(answer(found)))
    }

    async fn list_functions(
        &self,
        request: Request<proto::ListFunctionsRequest>,
    ) -> Reply<proto::ListFunctionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        if request.labels.len() > LABELS_ASKED_MAX {
            return Err(invalid("labels", format!("{} of them, at most {LABELS_ASKED_MAX}", request.labels.len())));
        }
        let label = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        let search = FunctionSearch {
            visible: Visible::of(&ctx.visible(&ctx.method().permission, project.name()), &project),
            labels: request.labels.into_iter().map(label).collect(),
            as_of: ctx.as_of(&request.as_of)?,
            limit: page_size(request.page_size)?,
            page_token: request.page_token,
            project,
        };
        let page = self.functions.search(&Call::of(&ctx, ""), search).await.map_err(refuse)?;
        let functions = page.items.into_iter().map(answer).collect();
        Ok(Response::new(proto::ListFunctionsResponse { functions, next_page_token: page.next_page_token }))
    }

    async fn patch_function(&self, request: Request<proto::PatchFunctionRequest>) -> Reply<proto::Function> {
        let (ctx, mut request) = Ctx::accept(request)?;
        let name: FunctionName = field("name", &request.name)?;
        let mut patch = request.patch.take().unwrap_or_default();
        let stale_if_not = aside(&mut patch, &name, request.etag)?;
        let expected = etag(&stale_if_not)?;
        check_numbers("patch", &patch)?;
        let command = Command::Patch(Value::Object(object(patch)));
        let call = Call::of(&ctx, &request.request_id);
        let made = self.functions.change(&call, &name, expected, command).await.map_err(refuse)?;
        Ok(ctx.reply(answer(made.value), made.position))
    }

    async fn delete_function(&self, request: Request<proto::DeleteFunctionRequest>) -> Reply<proto::Function> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: FunctionName = field("name", &request.name)?;
        let expected = etag(&request.etag)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.functions.change(&call, &name, expected, Command::Delete).await.map_err(refuse)?;
        Ok(ctx.reply(answer(made.value), made.position))
    }

    async fn list_function_revisions(
        &self,
        request: Request<proto::ListFunctionRevisionsRequest>,
    ) -> Reply<proto::ListFunctionRevisionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: FunctionName = field("parent", &request.parent)?;
        let limit = page_size(request.page_size)?;
        let call = Call::of(&ctx, "");
        let page = self.functions.revisions(&call, &name, limit, &request.page_token).await.map_err(refuse)?;
        let functions = page.items.into_iter().map(answer).collect();
        Ok(Response::new(proto::ListFunctionRevisionsResponse { functions, next_page_token: page.next_page_token }))
    }
}

/// What people say of a function or a version, checked.
pub(super) fn document(
    place: &'static str,
    description: String,
    labels: std::collections::BTreeMap<String, String>,
    spec: Option<Struct>,
) -> Result<Document, Status> {
    let spec = spec.unwrap_or_default();
    check_numbers(place, &spec)?;
    let document = Document { description, labels, spec: object(spec) };
    document.problem().map_or(Ok(document), |problem| Err(invalid(place, problem)))
}

/// JSON has no infinities; over gRPC they could come.
fn check_numbers(place: &'static str, structure: &Struct) -> Result<(), Status> {
    fn is_finite(value: &prost_types::Value) -> bool {
        match &value.kind {
            Some(Kind::NumberValue(number)) => number.is_finite(),
            Some(Kind::ListValue(list)) => list.values.iter().all(is_finite),
            Some(Kind::StructValue(inner)) => inner.fields.values().all(is_finite),
            _ => true,
        }
    }
    match structure.fields.values().all(is_finite) {
        true => Ok(()),
        false => Err(invalid(place, "a number is infinite or none at all")),
    }
}

/// Takes `name` and `etag` off a patch: they say which function is meant, and in which state. Gives the etag.
fn aside(patch: &mut Struct, name: &FunctionName, given: String) -> Result<String, Status> {
    let mut take = |key: &str| match patch.fields.remove(key)?.kind {
        Some(Kind::StringValue(text)) => Some(text),
        _ => Some(String::new()),
    };
    if let Some(other) = take("name").filter(|other| other != name.as_str()) {
        return Err(invalid("name", format!("is {:?} in the path and {other:?} in the body", name.as_str())));
    }
    match take("etag") {
        Some(own) if !given.is_empty() && own != given => {
            Err(refuse(Refusal::invalid("etag", "is another in the body than beside it")))
        }
        Some(own) => Ok(own),
        None => Ok(given),
    }
}

fn answer(record: FunctionRecord) -> proto::Function {
    let Document { description, labels, spec } = record.document;
    let (latest, publish_time) = record.latest.unzip();
    proto::Function {
        name: record.name.to_string(),
        description,
        labels,
        spec: Some(structure(spec)),
        status: Some(proto::FunctionStatus {
            latest_version: latest.map(|version| version.to_string()).unwrap_or_default(),
            version_count: record.version_count,
            publish_time: publish_time.map(timestamp),
            delete_time: record.delete_time.map(timestamp),
        }),
        revision: record.revision,
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        creator: record.creator,
        updater: record.updater,
        etag: record.etag.to_string(),
    }
}
