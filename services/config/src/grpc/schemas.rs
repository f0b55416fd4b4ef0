use cairn_contract::cairn::config::v1 as proto;
use cairn_kernel::Name;
use cairn_service::{Ctx, Page, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::configs::Configs;
use super::{rejected, value};
use crate::model::scope::Act;
use crate::model::{Key, ProjectName, Rejection, SchemaName};
use crate::query::Query;

impl Configs {
    pub(super) async fn declare_schema(&self, request: Request<proto::SetSchemaRequest>) -> Reply<proto::Schema> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, key) = schema_name(&request.name)?;
        let declare = Act::DeclareSchema { key, schema: value::given("schema", request.schema)? };
        let at = self.act(&ctx, &request.request_id, &name.scope(), declare).await?;
        Ok(ctx.reply(show(&self.0.query, &name).await?, at))
    }

    pub(super) async fn schema(&self, request: Request<proto::GetSchemaRequest>) -> Reply<proto::Schema> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, _) = schema_name(&request.name)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(show(&query, &name).await?))
    }

    pub(super) async fn schemas(
        &self,
        request: Request<proto::ListSchemasRequest>,
    ) -> Reply<proto::ListSchemasResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent: ProjectName = field("parent", &request.parent)?;
        let page = Page::read("schemas", &[parent.as_str()], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        let scope: Name = field("parent", parent.as_str())?;
        let found = query.schemas(&scope, &page).await.map_err(refuse)?;
        let (schemas, next_page_token) = page.cut(found, |schema| &schema.name);
        Ok(Response::new(proto::ListSchemasResponse { schemas, next_page_token }))
    }

    pub(super) async fn withdraw_schema(&self, request: Request<proto::DeleteSchemaRequest>) -> Reply<proto::Schema> {
        let (ctx, request) = Ctx::accept(request)?;
        let (name, key) = schema_name(&request.name)?;
        let before = self.0.query.schema(&name).await.map_err(refuse)?;
        let withdraw = Act::WithdrawSchema(key.clone());
        let at = self.act(&ctx, &request.request_id, &name.scope(), withdraw).await?;
        let nothing = || proto::Schema { name: name.to_string(), key: key.to_string(), ..Default::default() };
        Ok(ctx.reply(before.unwrap_or_else(nothing), at))
    }
}

async fn show(query: &Query, name: &SchemaName) -> Result<proto::Schema, Status> {
    let found = query.schema(name).await.map_err(refuse)?;
    found.ok_or_else(|| rejected(Rejection::SchemaNotFound(Key::stored(name.key()))))
}

fn schema_name(text: &str) -> Result<(SchemaName, Key), Status> {
    let name: SchemaName = field("name", text)?;
    let key = field("name", name.key())?;
    Ok((name, key))
}
