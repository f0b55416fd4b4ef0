use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::import_service_server::ImportService;
use cairn_service::{Ctx, Reply, field, refuse};
use prost_types::Timestamp;
use tonic::{Request, Status, async_trait};

use super::parse::{description, facts, invalid, tags};
use super::{Grpc, answer};
use crate::app::{Call, NewModel, NewVersion};
use crate::convert::from_timestamp;
use crate::model::entry::tag;
use crate::model::version::Facts;
use crate::model::{ModelName, Number, Origin, ProjectName};

/// Longest source, in characters.
const SOURCE_CHARS_MAX: usize = 500;

#[async_trait]
impl ImportService for Grpc {
    async fn import_registered_model(
        &self,
        request: Request<proto::ImportRegisteredModelRequest>,
    ) -> Reply<proto::RegisteredModel> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        description("description", &request.description)?;
        tags("tags", &request.tags)?;
        let new = NewModel {
            name: None,
            display_name: field("display_name", &request.display_name)?,
            description: request.description,
            tags: request.tags,
            origin: Some(self.origin(request.source, request.create_time.as_ref())?),
        };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.create_model(&call, &project, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer::model(made.value), made.position))
    }

    async fn import_model_version(
        &self,
        request: Request<proto::ImportModelVersionRequest>,
    ) -> Reply<proto::ModelVersion> {
        let (ctx, request) = Ctx::accept(request)?;
        let model: ModelName = field("parent", &request.parent)?;
        if request.version == 0 {
            return Err(invalid("version", "must be the number that it had: numbers begin at 1"));
        }
        let version = request.model_version.unwrap_or_default();
        let facts = facts(&version)?;
        description("model_version.description", &version.description)?;
        tags("model_version.tags", &version.tags)?;
        let origin = self.origin(request.source, request.create_time.as_ref())?;
        let call = Call::of(&ctx, &request.request_id);
        // A prompt is its tags; nobody reads anything at its source. What is an address is judged as one.
        let is_prompt = version.tags.get(tag::IS_PROMPT).is_some_and(|value| value.eq_ignore_ascii_case("true"))
            && !version.source_uri.contains([':', '/']);
        let facts = match is_prompt {
            true => Facts {
                source_uri: version.source_uri.clone(),
                artifact_uri: version.source_uri,
                source_run: version.source_run,
                ..facts
            },
            false => self.located(&ctx, &call, &model.parent(), &version, facts).await?,
        };
        let import = Some((Number(request.version), origin));
        let new = NewVersion { description: version.description, tags: version.tags, facts, import };
        let made = self.app.create_version(&call, &model, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer::version(made.value), made.position))
    }
}

impl Grpc {
    /// What is not from anywhere is not imported; what does not say when it was registered is registered now.
    fn origin(&self, source: String, time: Option<&Timestamp>) -> Result<Origin, Status> {
        if source.is_empty() || source.chars().count() > SOURCE_CHARS_MAX {
            return Err(invalid("source", format!("must have 1 to {SOURCE_CHARS_MAX} characters")));
        }
        let create_time = time.map_or_else(|| self.app.clock().now(), from_timestamp);
        Ok(Origin { source, create_time })
    }
}
