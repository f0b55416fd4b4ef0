use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_access::guardrail::{check, expand, schema};
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::guardrail_service_server::GuardrailService;
use cairn_eventstore::Work;
use cairn_kernel::{Expected, Position};
use cairn_service::{Ctx, Page, Reply, field, refuse};
use tonic::{Request, Response, Status};

use crate::desk::{Desk, Reading, given, masked, rejected, require_open, stream, text};
use crate::model::guardrail::{Act, Command, Definition, Source};
use crate::model::{Guardrail, GuardrailName, OrganizationName, Rejection, Slug};

pub struct Guardrails(pub Arc<Desk>);

impl Guardrails {
    async fn show(&self, reading: &Reading, name: &GuardrailName) -> Result<proto::Guardrail, Status> {
        let found = reading.query.guardrail(name.as_str()).await.map_err(refuse)?;
        found.ok_or_else(|| rejected(Rejection::GuardrailNotFound(name.clone())))
    }

    async fn reply(&self, ctx: &Ctx, name: &GuardrailName, at: Position) -> Reply<proto::Guardrail> {
        Ok(ctx.reply(self.show(&self.0.present(), name).await?, at))
    }

    /// Refuses what there would be no room for.
    fn require_room(&self, name: &GuardrailName, source: &Source) -> Result<(), Status> {
        let organization = name.organization();
        let (count, bytes) = self.0.access.world().guardrails_beside(&organization.name(), name.as_str());
        let limits = &self.0.limits;
        let full = |what, limit| Err(rejected(Rejection::Full { holder: organization.to_string(), what, limit }));
        if count >= limits.guardrails_max {
            return full("guardrails", limits.guardrails_max);
        }
        if bytes + source.policy.len() > limits.guardrails_bytes_max {
            return full("bytes of guardrails", limits.guardrails_bytes_max);
        }
        Ok(())
    }
}

/// What a guardrail forbids: what was written, or what a template comes to. Everything that speaks against it otherwise.
pub(super) fn source(
    policy: String,
    template: String,
    parameters: BTreeMap<String, String>,
) -> Result<Source, (String, Vec<String>)> {
    let policy = match (policy.is_empty(), template.is_empty()) {
        (true, true) => return Err((policy, vec!["a policy or a template must be said".to_owned()])),
        (false, false) => return Err((policy, vec!["a policy cannot stand beside a template".to_owned()])),
        (false, true) => policy,
        (true, false) => expand(&template, &parameters).map_err(|problem| (String::new(), vec![problem]))?,
    };
    let problems = check(&policy);
    if problems.is_empty() { Ok(Source { policy, template, parameters }) } else { Err((policy, problems)) }
}

fn required(asked: proto::Guardrail) -> Result<Source, Status> {
    let made = source(asked.policy, asked.template, asked.parameters);
    made.map_err(|(_, problems)| rejected(Rejection::GuardrailInvalid(problems)))
}

#[tonic::async_trait]
impl GuardrailService for Guardrails {
    async fn create_guardrail(&self, request: Request<proto::CreateGuardrailRequest>) -> Reply<proto::Guardrail> {
        let (ctx, request) = Ctx::accept(request)?;
        let organization: OrganizationName = field("parent", &request.parent)?;
        let given = given("guardrail", request.guardrail)?;
        let id: Slug = field("guardrail_id", &request.guardrail_id)?;
        let name = GuardrailName::stored(format!("{organization}/guardrails/{id}"));
        let description = text("guardrail.description", &given.description)?;
        let source = required(given)?;
        let _turn = self.0.turn(&ctx).await?;
        self.require_room(&name, &source)?;
        let act = Act::Create(Definition { description, source });
        let command = Command { guardrail: name.clone(), act };
        let attempt = |mut work: Work| {
            let (organization, command) = (organization.clone(), command.clone());
            async move {
                require_open(&mut work, &organization).await?;
                let stream = stream::<Guardrail>(&command.guardrail);
                work.decide::<Guardrail>(&stream, Expected::Any, command).await?;
                Ok(((), work))
            }
        };
        let ((), at) = self.0.commands.transact(&ctx.order(&request.request_id), attempt).await.map_err(refuse)?;
        self.0.settle(&ctx, at).await?;
        self.reply(&ctx, &name, at).await
    }

    async fn get_guardrail(&self, request: Request<proto::GetGuardrailRequest>) -> Reply<proto::Guardrail> {
        let (ctx, request) = Ctx::accept(request)?;
        let name = field("name", &request.name)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(self.show(&reading, &name).await?))
    }

    async fn list_guardrails(
        &self,
        request: Request<proto::ListGuardrailsRequest>,
    ) -> Reply<proto::ListGuardrailsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let parent: OrganizationName = field("parent", &request.parent)?;
        let page = Page::read("guardrails", &[parent.as_str()], request.page_size, &request.page_token)?;
        let reading = self.0.reading(&ctx, &request.as_of).await?;
        let found = reading.query.guardrails(parent.as_str(), &page).await.map_err(refuse)?;
        let (guardrails, next_page_token) = page.cut(found, |guardrail| &guardrail.name);
        Ok(Response::new(proto::ListGuardrailsResponse { guardrails, next_page_token }))
    }

    async fn update_guardrail(&self, request: Request<proto::UpdateGuardrailRequest>) -> Reply<proto::Guardrail> {
        let (ctx, request) = Ctx::accept(request)?;
        let wanted = given("guardrail", request.guardrail)?;
        let name: GuardrailName = field("guardrail.name", &wanted.name)?;
        let are_parameters_set = if wanted.parameters.is_empty() { "" } else { "set" };
        let fields = [
            ("description", wanted.description.as_str()),
            ("policy", wanted.policy.as_str()),
            ("template", wanted.template.as_str()),
            ("parameters", are_parameters_set),
        ];
        let masked = masked(request.update_mask.as_ref(), &fields)?;
        let is_about = |field: &str| masked.contains(&field);
        let description = is_about("description");
        let description = description.then(|| text("guardrail.description", &wanted.description)).transpose()?;
        let redefines = ["policy", "template", "parameters"].into_iter().any(is_about);
        let etag = wanted.etag.clone();
        let _turn = self.0.turn(&ctx).await?;
        let source = if redefines {
            let mut asked = wanted;
            if !is_about("policy") {
                asked.policy.clear();
            }
            // Other parameters, of the template as it is.
            if !is_about("template") && asked.policy.is_empty() {
                asked.template = self.show(&self.0.present(), &name).await?.template;
            }
            let source = required(asked)?;
            self.require_room(&name, &source)?;
            Some(source)
        } else {
            None
        };
        let command = Command { guardrail: name.clone(), act: Act::Redefine { description, source } };
        let stream = stream::<Guardrail>(&name);
        let at = self.0.execute::<Guardrail>(&ctx, &request.request_id, &stream, &etag, command).await?;
        self.reply(&ctx, &name, at).await
    }

    async fn delete_guardrail(&self, request: Request<proto::DeleteGuardrailRequest>) -> Reply<proto::Guardrail> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: GuardrailName = field("name", &request.name)?;
        let command = Command { guardrail: name.clone(), act: Act::Delete };
        let stream = stream::<Guardrail>(&name);
        let at = self.0.execute::<Guardrail>(&ctx, &request.request_id, &stream, &request.etag, command).await?;
        self.reply(&ctx, &name, at).await
    }

    async fn validate_guardrail(
        &self,
        request: Request<proto::ValidateGuardrailRequest>,
    ) -> Reply<proto::ValidateGuardrailResponse> {
        let (_, request) = Ctx::accept(request)?;
        let made = source(request.policy, request.template, request.parameters);
        let (policy, problems) = made.map_or_else(|against| against, |source| (source.policy, vec![]));
        Ok(Response::new(proto::ValidateGuardrailResponse {
            valid: problems.is_empty(),
            problems,
            policy,
            schema: schema().to_owned(),
        }))
    }
}
