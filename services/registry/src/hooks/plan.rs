//! Reads the log and writes down what is to be delivered for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::{Direction, EventStore, Filter, Message, Recorded, Stored, Subscription};
use cairn_kernel::{Aggregate, Position};
use prost::Message as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use super::book::{HookNote, Planned};
use super::payload::{Told, bodies};
use super::{Happening, ModelView, Scene, Tools, VersionView, overlaid};
use crate::model::hook::{Change, Definition, Event, Hooks, Timing};
use crate::model::{HookName, Model, ModelName, Number, Version};
use crate::stored::hook;

/// How long to wait before something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Events of hooks' history read at a time.
const PAGE: usize = 512;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The hooks there are at a place in the log: whether each is in force, and what it is.
type Known = BTreeMap<String, (bool, Arc<Definition>)>;

/// Goes on until it is stopped. A book that is new begins at `begin`.
pub(super) async fn run(tools: Arc<Tools>, store: Arc<dyn EventStore>, begin: Position, stop: CancellationToken) {
    stop.run_until_cancelled_owned(follow(tools, store, begin)).await;
}

async fn follow(tools: Arc<Tools>, store: Arc<dyn EventStore>, begin: Position) {
    loop {
        let Err(fault) = read(&tools, &store, begin).await;
        warn!(%fault, "what is to be delivered cannot be planned yet");
        sleep(RETRY).await;
    }
}

/// Reads on from where the book is, for as long as that can be done.
async fn read(tools: &Tools, store: &Arc<dyn EventStore>, begin: Position) -> Result<Infallible, Failure> {
    let (position, mut known) = start(tools, store, begin).await?;
    let filter = Filter::categories([Hooks::CATEGORY, Model::CATEGORY, Version::CATEGORY]);
    let mut subscription = Subscription::new(Arc::clone(store), position, filter);
    loop {
        let (events, position) = match subscription.next().await? {
            Message::Events(events) => {
                let last = events.last().map_or(Position::START, |event| event.position);
                (events, last)
            }
            Message::Checkpoint(at) | Message::CaughtUp(at) => (vec![], at),
        };
        let mut rows = vec![];
        for recorded in &events {
            if recorded.stream.category() != Hooks::CATEGORY {
                rows.extend(planned(tools, &**store, &known, recorded).await?);
            } else if let Some(note) = noted(&mut known, recorded) {
                // In the order of the log: what is planned before a hook goes, goes with it.
                tools.book.plan(std::mem::take(&mut rows), vec![note], recorded.position).await?;
            }
        }
        let has_rows = !rows.is_empty();
        tools.book.plan(rows, vec![], position).await?;
        if has_rows || events.iter().any(|event| event.stream.category() == Hooks::CATEGORY) {
            tools.stir();
        }
    }
}

/// Where the book is, and the hooks there are then.
async fn start(tools: &Tools, store: &Arc<dyn EventStore>, begin: Position) -> Result<(Position, Known), Failure> {
    let head = *store.head().borrow();
    if let Some((position, hooks)) = tools.book.reading().await? {
        if position <= head {
            let read = |(name, (is_enabled, spec)): (String, (bool, Vec<u8>))| {
                let spec = proto::HookSpec::decode(spec.as_slice())?;
                Ok::<_, prost::DecodeError>((name, (is_enabled, Arc::new(hook::decode(spec)))))
            };
            return Ok((position, hooks.into_iter().map(read).collect::<Result<_, _>>()?));
        }
        // What was delivered for events that are gone stays delivered; from here on it is another log.
        warn!(%position, %head, "the log is shorter than what was read of it: deliveries begin anew at its end");
    }
    let begin = begin.min(head);
    let (mut known, mut from) = (Known::new(), Position::START);
    let filter = Filter::categories([Hooks::CATEGORY]);
    loop {
        let page = store.read_all(from, Direction::Forwards, &filter, PAGE).await?;
        let until = page.events.iter().filter(|event| event.position <= begin);
        let notes: Vec<HookNote> = until.filter_map(|event| noted(&mut known, event)).collect();
        tools.book.plan(vec![], notes, page.considered.min(begin)).await?;
        if page.is_end || page.considered >= begin {
            tools.book.plan(vec![], vec![], begin).await?;
            return Ok((begin, known));
        }
        from = page.considered;
    }
}

/// Learns what happened to a hook.
fn noted(known: &mut Known, recorded: &Recorded) -> Option<HookNote> {
    let Event { hook, change, .. } = match Hooks::decode(&recorded.kind, &recorded.payload) {
        Ok(event) => event,
        Err(fault) => {
            error!(position = %recorded.position, %fault, "an event of a hook does not read");
            return None;
        }
    };
    let name = hook.to_string();
    match change {
        Change::Created { definition, .. } => drop(known.insert(name.clone(), (true, definition))),
        Change::Redefined(definition) => known.get_mut(&name)?.1 = definition,
        Change::Enabled => known.get_mut(&name)?.0 = true,
        Change::Disabled => known.get_mut(&name)?.0 = false,
        Change::Described { .. } => return None,
        Change::Deleted => {
            known.remove(&name);
            return Some(HookNote::Gone(name));
        }
    }
    let (is_enabled, definition) = known.get(&name)?;
    Some(HookNote::Is { hook: name, is_enabled: *is_enabled, spec: hook::encode(definition).encode_to_vec() })
}

/// What is to be delivered for one event.
async fn planned(
    tools: &Tools,
    store: &dyn EventStore,
    known: &Known,
    recorded: &Recorded,
) -> Result<Vec<Planned>, Failure> {
    let Some((model, happening)) = happening(recorded) else { return Ok(vec![]) };
    let prefix = format!("{}/hooks/", model.parent());
    let told: Vec<(HookName, &Definition)> = known
        .range(prefix.clone()..)
        .take_while(|(name, _)| name.starts_with(&prefix))
        .filter(|(_, (is_enabled, _))| *is_enabled)
        .filter(|(_, (_, definition))| definition.is_about(Timing::After, happening.trigger, model.model()))
        .filter_map(|(name, (_, definition))| Some((name.parse().ok()?, &**definition)))
        .collect();
    if told.is_empty() {
        return Ok(vec![]);
    }
    let caller = recorded.metadata().principal;
    let scene = scene(tools, store, &model, caller, happening.version).await?;
    let event = Told { id: recorded.id, position: recorded.position, kind: &recorded.kind, time: recorded.time };
    let mut rows = vec![];
    for (hook, definition) in told {
        let Some(webhook) = definition.webhook() else { continue };
        for (part, body) in bodies(&hook, webhook, &event, &scene, &happening).into_iter().enumerate() {
            // INVARIANT: the same event gives the same ids, so that nothing is written down, or taken, twice.
            let id = Uuid::new_v5(&recorded.id, format!("{hook}\n{part}").as_bytes());
            rows.push(Planned {
                id: id.to_string(),
                hook: hook.to_string(),
                model: model.to_string(),
                event_id: recorded.id.to_string(),
                trigger: happening.trigger,
                format: webhook.format,
                body,
                time: recorded.time,
            });
        }
    }
    Ok(rows)
}

/// What an event is to hooks.
fn happening(recorded: &Recorded) -> Option<(ModelName, Happening)> {
    let unread =
        |fault| error!(position = %recorded.position, %fault, "an event does not read, and nobody is told of it");
    if recorded.stream.category() == Version::CATEGORY {
        let event = Version::decode(&recorded.kind, &recorded.payload).map_err(unread).ok()?;
        let number = Some(event.version.number());
        return Some((event.version.parent(), Happening::of_version(number, &event.change)?));
    }
    let event = Model::decode(&recorded.kind, &recorded.payload).map_err(unread).ok()?;
    Some((event.model, Happening::of_model(&event.change)?))
}

/// The model and the version that an event is about, as they are now.
async fn scene(
    tools: &Tools,
    store: &dyn EventStore,
    model: &ModelName,
    caller: String,
    number: Option<Number>,
) -> Result<Scene, Failure> {
    let state = tools.commands.load::<Model>(&model.stream()).await?.state;
    let version = match number {
        None => None,
        Some(number) => {
            let version = tools.commands.load::<Version>(&model.version(number).stream()).await?.state;
            let view = VersionView::of(Some(number), &state, &version);
            Some(overlaid(store, view).await?)
        }
    };
    Ok(Scene { caller, model: ModelView::of(model, &state), version })
}
