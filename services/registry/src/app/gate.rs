//! What hooks say before something happens.
//!
//! A hook is asked about what would happen, not about what was called: the same events that are told afterwards. So an
//! alias that a promotion moves is asked about as one that is moved by hand, and no door leads around a hook.
//!
//! Deciding must do nothing else, since it is done again when a race is lost; asking takes time and reaches out. So an
//! attempt that meets an unasked question ends without a trace, the hook is asked outside, and the attempt is made again:
//! it passes if the question is still the same. It depends on the project's hooks having stayed as they were, so one that
//! is made meanwhile is asked too.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use aws_lc_rs::digest;
use cairn_eventstore::{CommandFault, EventStore, Order, Work};
use cairn_kernel::{Aggregate, Position, StreamName};
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::{App, Call};
use crate::hooks::{Happening, ModelView, Scene, Verdict, VersionView, overlaid, question};
use crate::model::hook::{self, Hook, Hooks, Timing, Trigger};
use crate::model::registered::{self, Change, Command, Rejection};
use crate::model::version::{self, Facts};
use crate::model::{Model, ModelName, Number, Version, VersionName};

/// How often what is asked may change under the asking before it is given up.
const ROUNDS_MAX: u32 = 16;
/// Namespace of the ids of questions.
const QUESTIONS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_686f_6f6b_6173);

/// Stands between deciding and happening. One for each call; its clones are the same one.
#[derive(Clone)]
pub(super) struct Gate {
    inner: Arc<Inner>,
}

struct Inner {
    caller: String,
    store: Arc<dyn EventStore>,
    questions: Mutex<Questions>,
}

#[derive(Default)]
struct Questions {
    /// Those that were answered with yes.
    passed: BTreeSet<Key>,
    open: Vec<Question>,
}

/// A hook as it is, and what it is asked.
type Key = [u8; 32];

struct Question {
    key: Key,
    hook: Arc<Hook>,
    scene: Scene,
    happening: Happening,
}

type Outcome<T> = Result<T, CommandFault<Rejection>>;

impl App {
    /// Carries out commands as one append, if the hooks of the project agree.
    ///
    /// `attempt` asks the gate before it stages anything. If the gate holds it back, it gives `None` and nothing staged.
    pub(super) async fn gated<T, F, Fut>(&self, call: &Call, order: &Order, attempt: F) -> Outcome<(T, Position)>
    where
        F: Fn(Work, Gate) -> Fut,
        Fut: Future<Output = Outcome<(Option<T>, Work)>>,
    {
        let inner = Inner {
            caller: call.principal().to_owned(),
            store: Arc::clone(self.inner.commands.store()),
            questions: Mutex::default(),
        };
        let gate = Gate { inner: Arc::new(inner) };
        for _ in 0..ROUNDS_MAX {
            let (value, position) = self.inner.commands.transact(order, |work| attempt(work, gate.clone())).await?;
            match value {
                Some(value) => return Ok((value, position)),
                None => self.ask(call, &gate).await?,
            }
        }
        // What is asked about is another model each time: somebody else changes it faster than hooks answer.
        Err(CommandFault::Contended {
            stream: StreamName::stored(order.metadata.resource.as_str()),
            attempts: ROUNDS_MAX,
        })
    }

    /// Asks what is open. The first that does not agree ends it.
    async fn ask(&self, call: &Call, gate: &Gate) -> Outcome<()> {
        let open = std::mem::take(&mut gate.inner.questions.lock().open);
        for Question { key, hook, scene, happening } in open {
            let id = Uuid::new_v5(&call.id(QUESTIONS), &key).to_string();
            let body = question(&hook.name, self.inner.clock.now(), &scene, &happening);
            let patience = call.deadline.saturating_duration_since(Instant::now());
            let verdict = self.inner.tools.ask(&hook, &id, body, scene.document(&happening), patience).await;
            let (name, digest, trigger) = (hook.name.clone(), hook.definition.digest(), happening.trigger);
            let rejection = match verdict {
                Verdict::Agreed => {
                    gate.inner.questions.lock().passed.insert(key);
                    continue;
                }
                Verdict::Refused(message) => hook::Rejection::Refused { hook: name, digest, trigger, message },
                Verdict::Unanswered(problem) => hook::Rejection::Unanswered { hook: name, digest, trigger, problem },
            };
            return Err(CommandFault::Rejected(rejection.into()));
        }
        Ok(())
    }
}

impl Gate {
    /// Whether what a command on a model leads to may happen.
    pub async fn lets_command(&self, work: &mut Work, model: &ModelName, command: &Command) -> Outcome<bool> {
        let Some(hooks) = self.hooks(work, model).await? else { return Ok(true) };
        let state = work.witness::<Model>(&model.stream()).await?.state;
        let events = state.decide(command.clone()).map_err(CommandFault::Rejected)?;
        let mut lets = true;
        for registered::Event { change, .. } in &events {
            let Some(happening) = Happening::of_model(change) else { continue };
            if !is_anybody(&hooks, happening.trigger, model) {
                continue;
            }
            let version = match happening.version {
                Some(number) => Some(self.version(work, model, &state, number).await?),
                None => None,
            };
            lets &= self.lets(&hooks, model_view(model, &state, change), version, happening);
        }
        Ok(lets)
    }

    /// Whether a version may be registered.
    pub async fn lets_version(
        &self,
        work: &mut Work,
        model: &ModelName,
        number: &Command,
        description: &str,
        tags: &BTreeMap<String, String>,
        facts: &Arc<Facts>,
    ) -> Outcome<bool> {
        let Some(hooks) = self.hooks(work, model).await? else { return Ok(true) };
        if !is_anybody(&hooks, Trigger::VersionCreate, model) {
            return Ok(true);
        }
        let state = work.witness::<Model>(&model.stream()).await?.state;
        state.decide(number.clone()).map_err(CommandFault::Rejected)?;
        let change = version::Change::Created {
            description: description.to_owned(),
            tags: tags.clone(),
            facts: Arc::clone(facts),
            artifacts: Arc::default(),
        };
        let version = VersionView {
            description: description.to_owned(),
            tags: Arc::new(tags.clone()),
            facts: Arc::clone(facts),
            ..VersionView::default()
        };
        let version = overlaid(&*self.inner.store, version).await?;
        let model = ModelView::of(model, &state);
        let Some(happening) = Happening::of_version(None, &change) else { return Ok(true) };
        Ok(self.lets(&hooks, model, Some(version), happening))
    }

    /// Whether what a command on a version leads to may happen.
    pub async fn lets_version_command(
        &self,
        work: &mut Work,
        name: &VersionName,
        command: version::Command,
    ) -> Outcome<bool> {
        let (model, number) = (name.parent(), name.number());
        let Some(hooks) = self.hooks(work, &model).await? else { return Ok(true) };
        if !is_anybody(&hooks, Trigger::VersionUpdate, &model) {
            return Ok(true);
        }
        let version = work.witness::<Version>(&name.stream()).await?.state;
        let events = version.decide(command).map_err(CommandFault::Rejected)?;
        let state = work.witness::<Model>(&model.stream()).await?.state;
        let mut lets = true;
        for event in &events {
            let Some(happening) = Happening::of_version(Some(number), &event.change) else { continue };
            let view = self.version(work, &model, &state, number).await?;
            lets &= self.lets(&hooks, ModelView::of(&model, &state), Some(view), happening);
        }
        Ok(lets)
    }

    /// The hooks that what is decided depends on. `None`: nobody is to be asked, because there are none or because this
    /// has happened already.
    async fn hooks(&self, work: &mut Work, model: &ModelName) -> Outcome<Option<Arc<Hooks>>> {
        if work.is_repeat() {
            return Ok(None);
        }
        let hooks = work.witness::<Hooks>(&model.parent().hooks_stream()).await;
        let hooks = hooks.map_err(|fault| fault.map(Rejection::from))?.state;
        let has_any = hooks.all().any(|hook| hook.is_enabled && hook.definition.timing == Timing::Before);
        Ok(has_any.then_some(hooks))
    }

    async fn version(&self, work: &mut Work, model: &ModelName, state: &Model, number: Number) -> Outcome<VersionView> {
        let version = work.witness::<Version>(&model.version(number).stream()).await?.state;
        Ok(overlaid(&*self.inner.store, VersionView::of(Some(number), state, &version)).await?)
    }

    /// Whether every hook on something has said yes to it. Those that were not asked are written down.
    fn lets(&self, hooks: &Hooks, model: ModelView, version: Option<VersionView>, happening: Happening) -> bool {
        let name = model.name.model().to_owned();
        let scene = Scene { caller: self.inner.caller.clone(), model, version };
        let document = scene.document(&happening).to_string();
        let mut questions = self.inner.questions.lock();
        let mut lets = true;
        for hook in hooks.on(Timing::Before, happening.trigger, &name) {
            let key = key(hook, &document);
            if questions.passed.contains(&key) {
                continue;
            }
            lets = false;
            let (scene, happening) = (scene.clone(), happening.clone());
            questions.open.push(Question { key, hook: Arc::clone(hook), scene, happening });
        }
        lets
    }
}

fn is_anybody(hooks: &Hooks, trigger: Trigger, model: &ModelName) -> bool {
    hooks.on(Timing::Before, trigger, model.model()).next().is_some()
}

/// The model that something happens to: one that is made is shown as it will be.
fn model_view(name: &ModelName, state: &Model, change: &Change) -> ModelView {
    let view = ModelView::of(name, state);
    match change {
        Change::Created { display_name, description, tags } => ModelView {
            display_name: display_name.clone(),
            description: description.clone(),
            tags: Arc::new(tags.clone()),
            aliases: BTreeMap::new(),
            ..view
        },
        _ => view,
    }
}

fn key(hook: &Hook, document: &str) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(hook.name.as_str().as_bytes());
    context.update(hook.definition.digest().as_bytes());
    context.update(document.as_bytes());
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}
