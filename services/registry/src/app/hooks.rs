//! The hooks of a project, as who administers them sees them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cairn_kernel::{Code, Expected, Position, Revision};
use cairn_service::Refusal;
use tokio::time::Instant;
use uuid::Uuid;

use super::{App, Call, Made, Reading};
use crate::hooks::{
    BookFault, Delivery, DeliveryPage, Happening, ModelView, Scene, State, ToolsFault, Verdict, VersionView, check,
    example, overlaid, question, trial,
};
use crate::model::hook::{
    Act, Action, Command, Definition, FailureMode, Format, Hook, Hooks, MlflowEvent, Rejection, Timing, Trigger,
    Webhook,
};
use crate::model::{DeliveryName, HookName, Model, ModelName, ProjectName, Version, VersionName};

/// Namespace of the names of secrets, and of trials.
const SECRETS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_686f_6f6b_7365);
/// Fewest and most characters of a secret that Cairn's own requests are signed with.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=256;
/// Begins a secret that is written in base64.
const ENCODED: &str = "whsec_";
/// Longest and usual wait for a webhook, before something happens and after.
const DEADLINES_BEFORE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));
const DEADLINES_AFTER: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Longest part of an answer that is shown, in characters.
const SHOWN_CHARS_MAX: usize = 4_000;

/// A hook about to be made.
#[derive(Clone, Debug)]
pub struct NewHook {
    pub timing: Timing,
    pub change: HookChange,
}

/// What a hook is to be called, be about and do. Absent: as it is.
#[derive(Clone, Debug, Default)]
pub struct HookChange {
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub triggers: Option<BTreeSet<Trigger>>,
    /// Empty: all models.
    pub model: Option<String>,
    pub expression: Option<(String, String)>,
    pub webhook: Option<NewWebhook>,
}

/// What a webhook is to be. Without an address or a secret it keeps its own.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub url: Option<String>,
    pub secret: Option<String>,
    pub format: Format,
    pub deadline: Option<Duration>,
    pub failure_mode: Option<FailureMode>,
    pub mlflow_events: BTreeSet<MlflowEvent>,
}

/// A hook and the etag that names the state of its project's hooks.
#[derive(Clone, Debug, PartialEq)]
pub struct HookRecord {
    pub hook: Arc<Hook>,
    pub etag: Revision,
}

/// What came of trying a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    pub is_success: bool,
    pub status: u16,
    pub body: String,
    pub error: String,
}

/// A definition, and the credentials that it names.
struct Defined {
    definition: Definition,
    url: Option<String>,
    secret: Option<String>,
}

impl App {
    /// Makes a hook.
    pub async fn create_hook(&self, call: &Call, name: &HookName, new: NewHook) -> Result<Made<HookRecord>, Refusal> {
        let NewHook { timing, mut change } = new;
        let given = change.display_name.take().filter(|text| !text.is_empty());
        let display_name = given.unwrap_or_else(|| name.hook().to_owned());
        let description = change.description.take().unwrap_or_default();
        let defined = self.define(call, name, timing, change, None).await?;
        let creator = call.principal().to_owned();
        let act = |definition| Act::Create { display_name, description, definition, creator };
        self.redefine(call, name, Expected::Any, defined, act).await
    }

    /// A hook.
    pub async fn hook(&self, name: &HookName) -> Result<HookRecord, Refusal> {
        self.hook_in(&self.present(), name).await
    }

    /// A hook as a read sees it.
    pub async fn hook_in(&self, reading: &Reading, name: &HookName) -> Result<HookRecord, Refusal> {
        let (hooks, etag) = self.hooks(reading, &name.parent()).await?;
        let hook = hooks.find(name).cloned().ok_or_else(|| Refusal::of(&Rejection::NotFound(name.clone())))?;
        Ok(HookRecord { hook, etag })
    }

    /// The hooks of a project, by name.
    pub async fn all_hooks(&self, reading: &Reading, project: &ProjectName) -> Result<Vec<HookRecord>, Refusal> {
        let (hooks, etag) = self.hooks(reading, project).await?;
        Ok(hooks.all().map(|hook| HookRecord { hook: Arc::clone(hook), etag }).collect())
    }

    /// Changes what a hook is called, is about and does, all or nothing.
    pub async fn change_hook(
        &self,
        call: &Call,
        name: &HookName,
        expected: Expected,
        mut change: HookChange,
    ) -> Result<Made<HookRecord>, Refusal> {
        let earlier = self.hook(name).await?.hook;
        let timing = earlier.definition.timing;
        let (display_name, description) = (change.display_name.take(), change.description.take());
        let defined = self.define(call, name, timing, change, Some(&earlier.definition)).await?;
        let act = |definition| Act::Change { display_name, description, definition: Some(definition) };
        self.redefine(call, name, expected, defined, act).await
    }

    /// Puts a hook in force, or takes it out of force.
    pub async fn enable_hook(
        &self,
        call: &Call,
        name: &HookName,
        is_enabled: bool,
    ) -> Result<Made<HookRecord>, Refusal> {
        let act = if is_enabled { Act::Enable } else { Act::Disable };
        let position = self.act_on_hook(call, name, Expected::Any, act).await?;
        self.made_hook(name, position).await
    }

    /// Deletes a hook, its credentials, and what was to be delivered for it. Gives it as it was.
    pub async fn delete_hook(
        &self,
        call: &Call,
        name: &HookName,
        expected: Expected,
    ) -> Result<Made<HookRecord>, Refusal> {
        let tools = &self.inner.tools;
        let _turn = tools.administration().await;
        let before = self.hook(name).await;
        let position = self.act_on_hook(call, name, expected, Act::Delete).await?;
        tools.forget(name, None).await.map_err(ToolsFault::from)?;
        Ok(Made { value: before?, position })
    }

    /// Tries a hook: with a version, or with an example. `event`: with an example of this.
    pub async fn try_hook(
        &self,
        call: &Call,
        name: &HookName,
        version: Option<&VersionName>,
        event: Option<MlflowEvent>,
    ) -> Result<Trial, Refusal> {
        let hook = self.hook(name).await?.hook;
        let (scene, happening) = match version {
            Some(version) => self.scene(call, &hook, version).await?,
            None => {
                let mut definition = Definition::clone(&hook.definition);
                if let (Some(event), Action::Webhook(webhook)) = (event, &mut definition.action) {
                    webhook.mlflow_events = [event].into();
                }
                example(&name.parent(), &definition, call.principal())
            }
        };
        let now = self.inner.clock.now();
        let id = call.id(SECRETS).to_string();
        let patience = call.deadline.saturating_duration_since(Instant::now());
        let mut webhook = match &hook.definition.action {
            Action::Webhook(webhook) => webhook.clone(),
            Action::Expression { .. } => {
                let body = question(name, now, &scene, &happening);
                let verdict = self.inner.tools.ask(&hook, &id, body, scene.document(&happening), patience).await;
                return Ok(match verdict {
                    Verdict::Agreed => Trial { is_success: true, ..Trial::default() },
                    Verdict::Refused(error) | Verdict::Unanswered(error) => Trial { error, ..Trial::default() },
                });
            }
        };
        webhook.mlflow_events.extend(event);
        let Some(body) = trial(&hook, &webhook, &scene, &happening, now) else {
            let error = "its format has nothing for this".to_owned();
            return Ok(Trial { error, ..Trial::default() });
        };
        let sent = self.inner.tools.send(name, &webhook, webhook.format, &id, body, patience).await;
        Ok(match sent {
            Err(error) => Trial { error, ..Trial::default() },
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body).chars().take(SHOWN_CHARS_MAX).collect();
                let error = match answer.is_success() {
                    true => String::new(),
                    false => format!("it answered with status {}", answer.status),
                };
                Trial { is_success: answer.is_success(), status: answer.status, body, error }
            }
        })
    }

    /// A page of what was or is to be delivered for a hook, newest first.
    pub async fn deliveries(
        &self,
        name: &HookName,
        state: Option<State>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<DeliveryPage, Refusal> {
        self.hook(name).await?;
        Ok(self.inner.tools.book.page(name, state, before, limit).await?)
    }

    /// Delivers a dead letter after all. One that waits already is as it is: that is what a repeat meets.
    pub async fn retry_delivery(&self, name: &DeliveryName) -> Result<Delivery, Refusal> {
        let tools = &self.inner.tools;
        self.hook(&name.parent()).await?;
        let is_revived = tools.book.revive(name, self.inner.clock.now()).await?;
        tools.stir();
        let found = tools.book.find(name).await?;
        let found = found.ok_or_else(|| Refusal::of(&Rejection::NoDelivery(name.clone())))?;
        match is_revived || found.state == State::Pending {
            true => Ok(found),
            false => Err(Refusal::of(&Rejection::NotDead { delivery: name.clone(), state: found.state.as_str() })),
        }
    }

    /// The whole address of a hook. For who administers hooks in a dialect that shows it.
    pub(crate) async fn whole_address(&self, hook: &Hook) -> Result<String, Refusal> {
        let Some(webhook) = hook.definition.webhook() else { return Ok(String::new()) };
        let found = self.inner.tools.whole_address(&hook.name, webhook).await.map_err(ToolsFault::from)?;
        Ok(found.unwrap_or_else(|| webhook.origin.clone()))
    }

    async fn hooks(&self, reading: &Reading, project: &ProjectName) -> Result<(Arc<Hooks>, Revision), Refusal> {
        let loaded = self.loaded::<Hooks>(reading, &project.hooks_stream()).await?;
        Ok((loaded.state, loaded.revision.unwrap_or(Revision(0))))
    }

    /// A version as something that happens to it would be shown.
    async fn scene(&self, call: &Call, hook: &Hook, version: &VersionName) -> Result<(Scene, Happening), Refusal> {
        let (model, number) = (version.parent(), version.number());
        self.version(call, version).await?;
        let state = self.inner.commands.load::<Model>(&model.stream()).await?.state;
        let facts = self.inner.commands.load::<Version>(&version.stream()).await?.state;
        let view = overlaid(&**self.inner.commands.store(), VersionView::of(Some(number), &state, &facts)).await?;
        let trigger = hook.definition.triggers.first().copied().unwrap_or(Trigger::VersionCreate);
        let (_, happening) = example(&model.parent(), &hook.definition, call.principal());
        let happening = Happening { trigger, version: Some(number), change: happening.change };
        let scene =
            Scene { caller: call.principal().to_owned(), model: ModelView::of(&model, &state), version: Some(view) };
        Ok((scene, happening))
    }

    /// Judges what a hook is to be.
    async fn define(
        &self,
        call: &Call,
        name: &HookName,
        timing: Timing,
        change: HookChange,
        earlier: Option<&Definition>,
    ) -> Result<Defined, Refusal> {
        let HookChange { triggers, model, expression, webhook, .. } = change;
        let triggers = triggers.or_else(|| earlier.map(|earlier| earlier.triggers.clone())).unwrap_or_default();
        let model = model.or_else(|| earlier.map(|earlier| earlier.model.clone())).unwrap_or_default();
        let had = earlier.and_then(Definition::webhook);
        let (mut url, mut secret) = (None, None);
        let action = match (expression, webhook) {
            (Some(_), Some(_)) => return Err(Refusal::invalid("hook", "it is an expression or a webhook, not both")),
            (Some((expression, message)), None) => {
                if timing == Timing::After {
                    return Err(Refusal::invalid("hook.expression", "decides before something happens, not after"));
                }
                check(&expression).await.map_err(|rejection| Refusal::of(&rejection))?;
                Action::Expression { expression, message }
            }
            (None, Some(new)) => {
                let secret_id = call.id(SECRETS).simple().to_string();
                (url, secret) = (new.url.clone(), new.secret.clone());
                Action::Webhook(self.webhook(timing, new, had, secret_id)?)
            }
            (None, None) => match earlier {
                Some(earlier) => earlier.action.clone(),
                None => return Err(Refusal::invalid("hook", "it must have an expression or a webhook")),
            },
        };
        let triggers = match &action {
            Action::Webhook(webhook) if webhook.format == Format::Mlflow => {
                webhook.mlflow_events.iter().map(|event| event.trigger()).collect()
            }
            _ => triggers,
        };
        if triggers.is_empty() {
            return Err(Refusal::invalid("hook.triggers", "must name at least one"));
        }
        if !model.is_empty() {
            ModelName::new(name.project(), &model).map_err(|fault| Refusal::invalid("hook.model", fault))?;
        }
        Ok(Defined { definition: Definition { timing, triggers, model, action }, url, secret })
    }

    fn webhook(
        &self,
        timing: Timing,
        new: NewWebhook,
        had: Option<&Webhook>,
        secret_id: String,
    ) -> Result<Webhook, Refusal> {
        let NewWebhook { url, secret, format, deadline, failure_mode, mlflow_events } = new;
        let invalid = |field: &'static str, problem: &str| Err(Refusal::invalid(field, problem));
        let (origin, address_digest) = match (&url, had) {
            (Some(url), _) => {
                let address = self.inner.tools.address(url);
                let address = address.map_err(|fault| Refusal::of(&Rejection::Address(fault.to_string())))?;
                (address.origin(), hex::encode(digest::digest(&digest::SHA256, url.as_bytes())))
            }
            (None, Some(had)) => (had.origin.clone(), had.address_digest.clone()),
            (None, None) => return invalid("hook.webhook.url", "must be given"),
        };
        let secret_id = match (&secret, had) {
            (Some(_), _) => secret_id,
            (None, Some(had)) if format != Format::Slack => had.secret_id.clone(),
            (None, _) => String::new(),
        };
        match format {
            Format::Cairn if secret_id.is_empty() => {
                return invalid("hook.webhook.secret", "must be given: requests of this format are signed");
            }
            Format::Slack if secret.is_some() => {
                return invalid("hook.webhook.secret", "Slack knows its senders by their addresses, not by secrets");
            }
            _ => {}
        }
        if let Some(secret) = &secret {
            let shortest = if format == Format::Cairn { *SECRET_CHARS.start() } else { 1 };
            if !(shortest..=*SECRET_CHARS.end()).contains(&secret.chars().count()) {
                let problem = format!("must have {shortest} to {} characters", SECRET_CHARS.end());
                return invalid("hook.webhook.secret", &problem);
            }
            let encoded = secret.strip_prefix(ENCODED).filter(|_| format == Format::Cairn);
            if encoded.is_some_and(|encoded| STANDARD.decode(encoded).is_err()) {
                return invalid("hook.webhook.secret", "begins with whsec_, and what follows is not base64");
            }
        }
        if timing == Timing::Before && format != Format::Cairn {
            return invalid("hook.webhook.format", "before something happens it is HOOK_FORMAT_CAIRN");
        }
        if (format == Format::Mlflow) == mlflow_events.is_empty() {
            return invalid("hook.webhook.mlflow_events", "must be given with HOOK_FORMAT_MLFLOW, and only then");
        }
        match (timing, failure_mode) {
            (Timing::Before, None) => {
                return invalid(
                    "hook.webhook.failure_mode",
                    "must say what counts when there is no answer: open or closed",
                );
            }
            (Timing::After, Some(_)) => {
                return invalid("hook.webhook.failure_mode", "has no meaning once it has happened");
            }
            _ => {}
        }
        let (longest, usual) = if timing == Timing::Before { DEADLINES_BEFORE } else { DEADLINES_AFTER };
        let deadline = deadline.unwrap_or(usual);
        if deadline.is_zero() || deadline > longest {
            let problem = format!("must be more than nothing and at most {} seconds", longest.as_secs());
            return invalid("hook.webhook.deadline", &problem);
        }
        Ok(Webhook { origin, address_digest, format, secret_id, deadline, failure_mode, mlflow_events })
    }

    /// Carries out an act that brings a definition, with its credentials kept before it is in force.
    async fn redefine(
        &self,
        call: &Call,
        name: &HookName,
        expected: Expected,
        defined: Defined,
        act: impl FnOnce(Arc<Definition>) -> Act,
    ) -> Result<Made<HookRecord>, Refusal> {
        let tools = &self.inner.tools;
        // One at a time: nobody forgets what another has just kept.
        let _turn = tools.administration().await;
        let Defined { definition, url, secret } = defined;
        if let Some(webhook) = definition.webhook() {
            tools.keep(name, webhook, url, secret).await.map_err(ToolsFault::from)?;
        }
        let done = self.act_on_hook(call, name, expected, act(Arc::new(definition))).await;
        // Whatever came of it, what the hook does not name is not kept.
        let current = self.hook(name).await;
        let webhook = current.as_ref().ok().and_then(|record| record.hook.definition.webhook());
        tools.forget(name, webhook).await.map_err(ToolsFault::from)?;
        let position = done?;
        Ok(Made { value: current?, position })
    }

    async fn act_on_hook(
        &self,
        call: &Call,
        name: &HookName,
        expected: Expected,
        act: Act,
    ) -> Result<Position, Refusal> {
        let command = Command { hook: name.clone(), act, now: self.inner.clock.now() };
        let stream = name.parent().hooks_stream();
        let order = call.on(name.name());
        let done = self.inner.commands.execute::<Hooks>(&order, &stream, expected, command).await;
        Ok(done.map_err(Refusal::from)?.position)
    }

    async fn made_hook(&self, name: &HookName, position: Position) -> Result<Made<HookRecord>, Refusal> {
        Ok(Made { value: self.hook(name).await?, position })
    }
}

impl From<ToolsFault> for Refusal {
    fn from(fault: ToolsFault) -> Self {
        let mut refusal = Self::new(Code::Internal, "STORAGE_ERROR", "what belongs to hooks could not be kept or read");
        refusal.cause = Some(fault.to_string().into());
        refusal
    }
}

impl From<BookFault> for Refusal {
    fn from(fault: BookFault) -> Self {
        ToolsFault::from(fault).into()
    }
}
