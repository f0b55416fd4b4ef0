use std::collections::BTreeSet;

use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::hook_service_server::HookService;
use cairn_kernel::Position;
use cairn_search::{fingerprint, marks, token};
use cairn_service::{Ctx, Reply, field, refuse, timestamp};
use proto::hook::Action as Asked;
use rusqlite::types::Value;
use tonic::{Request, Response, Status, async_trait};

use super::Grpc;
use super::parse::{chars, etag, invalid, mask, page_size, search};
use crate::app::{Call, HookChange, HookRecord, NewHook, NewWebhook, Trial};
use crate::hooks::{Delivery, State};
use crate::model::entry::{DESCRIPTION_CHARS_MAX, DISPLAY_NAME_CHARS_MAX};
use crate::model::hook::{Action, Format, Timing, Trigger};
use crate::model::{DeliveryName, HookName, ModelName, ProjectName, VersionName};
use crate::stored::hook;
use crate::stored::terms::{duration, from_duration};

/// Longest message of an expression, in characters.
const MESSAGE_CHARS_MAX: usize = 1_000;
/// What an update may name.
const FIELDS: &[&str] = &["display_name", "description", "triggers", "model", "expression", "webhook"];

#[async_trait]
impl HookService for Grpc {
    async fn create_hook(&self, request: Request<proto::CreateHookRequest>) -> Reply<proto::Hook> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let name = project.hook(&request.hook_id).map_err(|fault| invalid("hook_id", fault))?;
        let given = request.hook.unwrap_or_default();
        words(&given)?;
        let timing = match given.timing() {
            proto::HookTiming::Before => Timing::Before,
            proto::HookTiming::After => Timing::After,
            proto::HookTiming::Unspecified => return Err(invalid("hook.timing", "must be before or after")),
        };
        let change = change(&project, &given, |_| true)?;
        let new = NewHook { timing, change };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.create_hook(&call, &name, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer(&made.value), made.position))
    }

    async fn get_hook(&self, request: Request<proto::GetHookRequest>) -> Reply<proto::Hook> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: HookName = field("name", &request.name)?;
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        Ok(Response::new(answer(&self.app.hook_in(&reading, &name).await.map_err(refuse)?)))
    }

    async fn list_hooks(&self, request: Request<proto::ListHooksRequest>) -> Reply<proto::ListHooksResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let project: ProjectName = field("parent", &request.parent)?;
        let limit = page_size(request.page_size)?;
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        let all = self.app.all_hooks(&reading, &project).await.map_err(refuse)?;
        // The token holds the last name of the page before.
        let fingerprint = fingerprint(&(&project, "hooks"));
        let after = match search(marks(&fingerprint, &request.page_token))?.as_deref() {
            None => String::new(),
            Some([Value::Text(name)]) => name.clone(),
            Some(_) => return Err(invalid("page_token", "is not one of this list")),
        };
        let mut rest = all.iter().filter(|record| record.hook.name.hook() > after.as_str());
        let hooks: Vec<proto::Hook> = rest.by_ref().take(limit).map(answer).collect();
        let next_page_token = match (rest.next(), hooks.last()) {
            (Some(_), Some(last)) => {
                let name = last.name.rsplit('/').next().unwrap_or_default().to_owned();
                token(&fingerprint, vec![Value::Text(name)])
            }
            _ => String::new(),
        };
        Ok(Response::new(proto::ListHooksResponse { hooks, next_page_token }))
    }

    async fn update_hook(&self, request: Request<proto::UpdateHookRequest>) -> Reply<proto::Hook> {
        let (ctx, request) = Ctx::accept(request)?;
        let given = request.hook.unwrap_or_default();
        let name: HookName = field("hook.name", &given.name)?;
        let expected = etag(&given.etag)?;
        let paths = request.update_mask.as_ref();
        mask(paths, FIELDS)?;
        words(&given)?;
        let names = |field: &str| match paths {
            Some(mask) if !mask.paths.is_empty() => mask.paths.iter().any(|path| path == field || path == "*"),
            _ => is_set(&given, field),
        };
        let call = Call::of(&ctx, &request.request_id);
        let change = change(&name.parent(), &given, names)?;
        let made = self.app.change_hook(&call, &name, expected, change).await;
        let made = made.map_err(refuse)?;
        Ok(ctx.reply(answer(&made.value), made.position))
    }

    async fn delete_hook(&self, request: Request<proto::DeleteHookRequest>) -> Reply<proto::Hook> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: HookName = field("name", &request.name)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.delete_hook(&call, &name, etag(&request.etag)?).await.map_err(refuse)?;
        Ok(ctx.reply(answer(&made.value), made.position))
    }

    async fn enable_hook(&self, request: Request<proto::EnableHookRequest>) -> Reply<proto::Hook> {
        let (ctx, request) = Ctx::accept(request)?;
        self.set_enabled(&ctx, &request.name, &request.request_id, true).await
    }

    async fn disable_hook(&self, request: Request<proto::DisableHookRequest>) -> Reply<proto::Hook> {
        let (ctx, request) = Ctx::accept(request)?;
        self.set_enabled(&ctx, &request.name, &request.request_id, false).await
    }

    async fn test_hook(&self, request: Request<proto::TestHookRequest>) -> Reply<proto::TestHookResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: HookName = field("name", &request.name)?;
        let version: Option<VersionName> = match request.version.as_str() {
            "" => None,
            text => Some(field("version", text)?),
        };
        if version.as_ref().is_some_and(|version| version.parent().parent() != name.parent()) {
            return Err(invalid("version", "must be one of the hook's project"));
        }
        let call = Call::of(&ctx, &request.request_id);
        let Trial { is_success, status, body, error } =
            self.app.try_hook(&call, &name, version.as_ref(), None).await.map_err(refuse)?;
        Ok(Response::new(proto::TestHookResponse {
            success: is_success,
            response_status: status.into(),
            response_body: body,
            error_message: error,
        }))
    }

    async fn list_hook_deliveries(
        &self,
        request: Request<proto::ListHookDeliveriesRequest>,
    ) -> Reply<proto::ListHookDeliveriesResponse> {
        let (_, request) = Ctx::accept(request)?;
        let name: HookName = field("parent", &request.parent)?;
        let limit = page_size(request.page_size)?;
        let before = match request.page_token.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| invalid("page_token", "is none of ours"))?),
        };
        let state = match request.state() {
            proto::HookDeliveryState::Unspecified => None,
            proto::HookDeliveryState::Pending => Some(State::Pending),
            proto::HookDeliveryState::Delivered => Some(State::Delivered),
            proto::HookDeliveryState::Dead => Some(State::Dead),
        };
        let page = self.app.deliveries(&name, state, before, limit).await.map_err(refuse)?;
        let deliveries = page.deliveries.iter().map(delivery).collect();
        let next_page_token = page.next.map(|seq| seq.to_string()).unwrap_or_default();
        Ok(Response::new(proto::ListHookDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn retry_hook_delivery(
        &self,
        request: Request<proto::RetryHookDeliveryRequest>,
    ) -> Reply<proto::HookDelivery> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: DeliveryName = field("name", &request.name)?;
        let found = self.app.retry_delivery(&name).await.map_err(refuse)?;
        // No event: whether somebody was told something is not the log's.
        Ok(ctx.reply(delivery(&found), Position::START))
    }
}

impl Grpc {
    async fn set_enabled(&self, ctx: &Ctx, name: &str, request_id: &str, is_enabled: bool) -> Reply<proto::Hook> {
        let name: HookName = field("name", name)?;
        let made = self.app.enable_hook(&Call::of(ctx, request_id), &name, is_enabled).await.map_err(refuse)?;
        Ok(ctx.reply(answer(&made.value), made.position))
    }
}

fn words(given: &proto::Hook) -> Result<(), Status> {
    chars("hook.display_name", &given.display_name, DISPLAY_NAME_CHARS_MAX)?;
    chars("hook.description", &given.description, DESCRIPTION_CHARS_MAX)
}

/// Whether a field holds anything.
fn is_set(given: &proto::Hook, field: &str) -> bool {
    match field {
        "display_name" => !given.display_name.is_empty(),
        "description" => !given.description.is_empty(),
        "triggers" => !given.triggers.is_empty(),
        "model" => !given.model.is_empty(),
        "expression" => matches!(given.action, Some(Asked::Expression(_))),
        "webhook" => matches!(given.action, Some(Asked::Webhook(_))),
        _ => false,
    }
}

/// What a hook is to be about and do, as far as it is named.
fn change(project: &ProjectName, given: &proto::Hook, names: impl Fn(&str) -> bool) -> Result<HookChange, Status> {
    let read = |number: &i32| hook::trigger(*number).ok_or_else(|| invalid("hook.triggers", "must be triggers"));
    let triggers = given.triggers.iter().map(read).collect::<Result<BTreeSet<Trigger>, _>>()?;
    let model = match given.model.as_str() {
        "" => String::new(),
        text => {
            let model: ModelName = field("hook.model", text)?;
            if model.parent() != *project {
                return Err(invalid("hook.model", "must be one of the hook's project"));
            }
            model.model().to_owned()
        }
    };
    let mut change = HookChange {
        display_name: names("display_name").then(|| given.display_name.clone()),
        description: names("description").then(|| given.description.clone()),
        triggers: names("triggers").then_some(triggers),
        model: names("model").then_some(model),
        ..HookChange::default()
    };
    match &given.action {
        Some(Asked::Expression(proto::HookExpression { expression, message })) if names("expression") => {
            chars("hook.expression.message", message, MESSAGE_CHARS_MAX)?;
            if expression.trim().is_empty() {
                return Err(invalid("hook.expression.expression", "must be given"));
            }
            change.expression = Some((expression.clone(), message.clone()));
        }
        Some(Asked::Webhook(asked)) if names("webhook") => change.webhook = Some(webhook(asked)?),
        _ => {}
    }
    Ok(change)
}

fn webhook(asked: &proto::HookWebhook) -> Result<NewWebhook, Status> {
    let events = asked.mlflow_events.iter().map(|event| event.parse());
    let mlflow_events =
        events.collect::<Result<_, _>>().map_err(|problem: String| invalid("hook.webhook.mlflow_events", problem))?;
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Ok(NewWebhook {
        url: given(&asked.url),
        secret: given(&asked.secret),
        format: hook::format(asked.format),
        deadline: asked.deadline.map(from_duration),
        failure_mode: hook::failure_mode(asked.failure_mode),
        mlflow_events,
    })
}

fn answer(record: &HookRecord) -> proto::Hook {
    let HookRecord { hook: found, etag } = record;
    let definition = &found.definition;
    let action = match definition.action.clone() {
        Action::Expression { expression, message } => Asked::Expression(proto::HookExpression { expression, message }),
        Action::Webhook(webhook) => Asked::Webhook(proto::HookWebhook {
            url: String::new(),
            origin: webhook.origin,
            format: hook::format_number(webhook.format),
            secret: String::new(),
            signed: !webhook.secret_id.is_empty() && webhook.format != Format::Slack,
            deadline: Some(duration(webhook.deadline)),
            failure_mode: hook::failure_mode_number(webhook.failure_mode),
            mlflow_events: webhook.mlflow_events.iter().map(|event| event.as_str().to_owned()).collect(),
        }),
    };
    let model = match definition.model.as_str() {
        "" => String::new(),
        model => format!("{}/models/{model}", found.name.parent()),
    };
    proto::Hook {
        name: found.name.to_string(),
        display_name: found.display_name.clone(),
        description: found.description.clone(),
        timing: hook::timing_number(definition.timing),
        triggers: definition.triggers.iter().copied().map(hook::trigger_number).collect(),
        model,
        action: Some(action),
        enabled: found.is_enabled,
        digest: definition.digest(),
        create_time: Some(timestamp(found.create_time)),
        update_time: Some(timestamp(found.update_time)),
        creator: found.creator.clone(),
        etag: etag.to_string(),
    }
}

fn delivery(found: &Delivery) -> proto::HookDelivery {
    let state = match found.state {
        State::Pending => proto::HookDeliveryState::Pending,
        State::Delivered => proto::HookDeliveryState::Delivered,
        State::Dead => proto::HookDeliveryState::Dead,
    };
    proto::HookDelivery {
        name: format!("{}/deliveries/{}", found.hook, found.id),
        trigger: hook::trigger_number(found.trigger),
        model: found.model.clone(),
        event_id: found.event_id.clone(),
        state: state.into(),
        attempt_count: i32::try_from(found.attempts).unwrap_or(i32::MAX),
        response_status: found.response_status.into(),
        error: found.error.clone(),
        event_time: Some(timestamp(found.event_time)),
        next_attempt_time: (found.state == State::Pending).then(|| timestamp(found.due)),
        end_time: found.end_time.map(timestamp),
    }
}
