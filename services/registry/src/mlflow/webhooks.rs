//! MLflow's webhooks: the hooks of the project that tell afterwards, in MLflow's format.

use std::collections::BTreeSet;
use std::time::Duration;

use cairn_kernel::Expected;
use cairn_service::{Refusal, Reply};
use proto::mlflow_webhook_service_server::MlflowWebhookService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::caller::Caller;
use super::fault::{ErrorCode, invalid, translated};
use super::required::{page_size, required};
use super::{Mlflow, proto};
use crate::app::{Call, HookChange, HookRecord, NewHook, NewWebhook, Trial};
use crate::model::HookName;
use crate::model::hook::{Format, MlflowEvent, Timing};

/// Namespace of the ids of webhooks.
const WEBHOOKS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7765_6268_6f6f);
/// How long an MLflow server waits for a receiver.
const DEADLINE: Duration = Duration::from_secs(30);
/// Webhooks on one page, unless the caller says otherwise, and at most.
const PAGE_DEFAULT: i64 = 100;
const PAGE_MAX: i64 = 1_000;
/// Longest name of a webhook, in characters.
const NAME_CHARS_MAX: usize = 63;

#[tonic::async_trait]
impl MlflowWebhookService for Mlflow {
    async fn create_webhook(
        &self,
        request: Request<proto::CreateWebhookRequest>,
    ) -> Reply<proto::CreateWebhookResponse> {
        let (caller, request) = Caller::accept(request)?;
        let call = caller.allow(caller.project().name())?;
        let display_name = name(required("name", &request.name)?)?;
        let url = required("url", &request.url)?.to_owned();
        let events = events(&request.events)?;
        let name = caller.project().hook(&call.id(WEBHOOKS).to_string()).map_err(|fault| invalid(fault.to_string()))?;
        let change = HookChange {
            display_name: Some(display_name),
            description: request.description.clone(),
            webhook: Some(told(Some(url), request.secret.clone(), events)),
            ..HookChange::default()
        };
        let new = NewHook { timing: Timing::After, change };
        let mut made = self.app.create_hook(&call, &name, new).await.map_err(said)?;
        if request.status() == proto::WebhookStatus::Disabled {
            made = self.app.enable_hook(&caller.list(), &name, false).await.map_err(said)?;
        }
        let webhook = Some(self.webhook(&made.value).await?);
        Ok(caller.ctx().reply(proto::CreateWebhookResponse { webhook }, made.position))
    }

    async fn list_webhooks(&self, request: Request<proto::ListWebhooksRequest>) -> Reply<proto::ListWebhooksResponse> {
        let (caller, request) = Caller::accept(request)?;
        caller.allow(caller.project().name())?;
        let wanted = request.max_results.filter(|wanted| *wanted != 0).map_or(PAGE_DEFAULT, i64::from);
        let limit = page_size(wanted, PAGE_MAX)?;
        let from: usize = match request.page_token.as_deref() {
            None | Some("") => 0,
            Some(token) => token.parse().map_err(|_| invalid("Invalid page token, could not decode it."))?,
        };
        let mut all = self.app.all_hooks(&self.app.present(), caller.project()).await.map_err(said)?;
        all.retain(is_webhook);
        all.sort_by(|one, other| {
            other.hook.create_time.cmp(&one.hook.create_time).then(one.hook.name.cmp(&other.hook.name))
        });
        let mut webhooks = vec![];
        for record in all.iter().skip(from).take(limit) {
            webhooks.push(self.webhook(record).await?);
        }
        let next_page_token = (from + limit < all.len()).then(|| (from + limit).to_string());
        Ok(Response::new(proto::ListWebhooksResponse { webhooks, next_page_token }))
    }

    async fn get_webhook(&self, request: Request<proto::GetWebhookRequest>) -> Reply<proto::GetWebhookResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (_, _, record) = self.find(&caller, &request.webhook_id).await?;
        Ok(Response::new(proto::GetWebhookResponse { webhook: Some(self.webhook(&record).await?) }))
    }

    async fn update_webhook(
        &self,
        request: Request<proto::UpdateWebhookRequest>,
    ) -> Reply<proto::UpdateWebhookResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (hook, call, record) = self.find(&caller, &request.webhook_id).await?;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let had = record.hook.definition.webhook().map(|webhook| webhook.mlflow_events.clone()).unwrap_or_default();
        let events = if request.events.is_empty() { had } else { events(&request.events)? };
        let change = HookChange {
            display_name: given(&request.name).map(|text| name(&text)).transpose()?,
            description: request.description.clone(),
            webhook: Some(told(given(&request.url), given(&request.secret), events)),
            ..HookChange::default()
        };
        let made = self.app.change_hook(&call, &hook, Expected::Any, change).await.map_err(said)?;
        let (mut record, mut position) = (made.value, made.position);
        if let Some(status) = request.status {
            let is_enabled = status != i32::from(proto::WebhookStatus::Disabled);
            let made = self.app.enable_hook(&call, &hook, is_enabled).await.map_err(said)?;
            (record, position) = (made.value, made.position);
        }
        let webhook = Some(self.webhook(&record).await?);
        Ok(caller.ctx().reply(proto::UpdateWebhookResponse { webhook }, position))
    }

    async fn delete_webhook(
        &self,
        request: Request<proto::DeleteWebhookRequest>,
    ) -> Reply<proto::DeleteWebhookResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (hook, call, _) = self.find(&caller, &request.webhook_id).await?;
        let made = self.app.delete_hook(&call, &hook, Expected::Any).await.map_err(said)?;
        Ok(caller.ctx().reply(proto::DeleteWebhookResponse {}, made.position))
    }

    async fn test_webhook(&self, request: Request<proto::TestWebhookRequest>) -> Reply<proto::TestWebhookResponse> {
        let (caller, request) = Caller::accept(request)?;
        let (hook, call, _) = self.find(&caller, &request.webhook_id).await?;
        let event = request.event.as_ref().map(event).transpose()?;
        let Trial { is_success, status, body, error } =
            self.app.try_hook(&call, &hook, None, event).await.map_err(said)?;
        let is_answered = status != 0;
        let result = proto::WebhookTestResult {
            success: Some(is_success),
            response_status: is_answered.then_some(status.into()),
            response_body: is_answered.then_some(body),
            error_message: Some(error).filter(|error| !error.is_empty() && !is_answered),
        };
        Ok(Response::new(proto::TestWebhookResponse { result: Some(result) }))
    }
}

impl Mlflow {
    /// A webhook by its id, and the call on it. Hooks of other formats are none.
    async fn find(&self, caller: &Caller, id: &str) -> Result<(HookName, Call, HookRecord), Status> {
        let missing = || ErrorCode::ResourceDoesNotExist.says(format!("Webhook with ID {id} not found."));
        let Ok(name) = caller.project().hook(id) else { return Err(caller.hidden(missing())) };
        let call = caller.allow(name.name())?;
        match self.app.hook(&name).await {
            Ok(record) if is_webhook(&record) => Ok((name, call, record)),
            Ok(_) => Err(missing()),
            Err(refusal) if refusal.reason == "HOOK_NOT_FOUND" => Err(missing()),
            Err(refusal) => Err(said(refusal)),
        }
    }

    async fn webhook(&self, record: &HookRecord) -> Result<proto::Webhook, Status> {
        let hook = &record.hook;
        let events = hook.definition.webhook().map(|webhook| webhook.mlflow_events.clone()).unwrap_or_default();
        let status = if hook.is_enabled { proto::WebhookStatus::Active } else { proto::WebhookStatus::Disabled };
        Ok(proto::Webhook {
            webhook_id: Some(hook.name.hook().to_owned()),
            name: Some(hook.display_name.clone()),
            description: Some(hook.description.clone()).filter(|text| !text.is_empty()),
            url: Some(self.app.whole_address(hook).await.map_err(said)?),
            events: events.into_iter().map(written).collect(),
            status: Some(status.into()),
            creation_timestamp: Some(hook.create_time.millis()),
            last_updated_timestamp: Some(hook.update_time.millis()),
        })
    }
}

fn is_webhook(record: &HookRecord) -> bool {
    record.hook.definition.webhook().is_some_and(|webhook| webhook.format == Format::Mlflow)
}

fn told(url: Option<String>, secret: Option<String>, mlflow_events: BTreeSet<MlflowEvent>) -> NewWebhook {
    let secret = secret.filter(|secret| !secret.is_empty());
    let deadline = Some(DEADLINE);
    NewWebhook { url, secret, format: Format::Mlflow, deadline, failure_mode: None, mlflow_events }
}

fn name(text: &str) -> Result<String, Status> {
    let is_end =
        |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    let is_inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter);
    let is_name = text.len() <= NAME_CHARS_MAX
        && text.chars().all(is_inner)
        && is_end(text.chars().next())
        && is_end(text.chars().last());
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(invalid(format!(
            "Webhook name '{text}' is invalid: at most {NAME_CHARS_MAX} lowercase letters, digits, dots (.), underscores \
             (_) and hyphens (-), with a letter or digit at both ends."
        ))),
    }
}

fn events(given: &[proto::WebhookEvent]) -> Result<BTreeSet<MlflowEvent>, Status> {
    match given {
        [] => Err(super::fault::missing("events")),
        given => given.iter().map(event).collect(),
    }
}

fn event(given: &proto::WebhookEvent) -> Result<MlflowEvent, Status> {
    let name = format!("{}.{}", given.entity().as_str_name(), given.action().as_str_name()).to_lowercase();
    name.parse().map_err(|problem: String| invalid(format!("Webhook event {problem}")))
}

fn written(event: MlflowEvent) -> proto::WebhookEvent {
    let (entity, action) = event.parts();
    let entity = proto::WebhookEntity::from_str_name(&entity.to_uppercase()).unwrap_or_default();
    let action = proto::WebhookAction::from_str_name(&action.to_uppercase()).unwrap_or_default();
    proto::WebhookEvent { entity: Some(entity.into()), action: Some(action.into()) }
}

fn said(refusal: Refusal) -> Status {
    match refusal.reason {
        "HOOK_ADDRESS_REFUSED" | "VALIDATION_ERROR" | "HOOKS_FULL" => invalid(refusal.message),
        _ => translated(refusal),
    }
}
