//! Decisions that were taken, as the log has them, and taken again.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_access::guardrail::Known;
use cairn_access::{Circumstances, Judgement, Reach, World};
use cairn_contract::cairn::ledger::events::v1::{AccessDenied, Call, CommandRejected, ReadRecorded, RequestRecorded};
use cairn_contract::cairn::options::v1::Dialect;
use cairn_contract::{Contract, Method};
use cairn_eventstore::{Direction, EventStore, Filter, ReadFault, Recorded, moment};
use cairn_kernel::{AsOf, Name, Position, Principal, PrincipalKind, Time};
use cairn_seal::SealFault;
use tracing::warn;
use uuid::Uuid;

use crate::sources::{Source, Sources};

/// An event is recorded so long after its decision at most: an upload takes its time. And so long before it, if clocks
/// were set back.
const RECORDED_WITHIN_MS: i64 = 3_600_000;
const CLOCKS_APART_MS: i64 = 1000;
/// Events looked at for one decision.
const LOOKED_AT_MAX: usize = 200_000;
const PAGE_EVENTS: usize = 2000;

/// Refusals of a closed project: recorded as rejected commands, though access gave them.
const CLOSED: [&str; 2] = ["PROJECT_DELETED", "PROJECT_NOT_FOUND"];

/// Addresses that were opened: whose, and as what they are recorded.
pub type Opened = HashMap<(String, String), Source>;

/// A decision on record.
#[derive(Clone, Debug)]
pub struct Decided {
    pub id: String,
    pub principal: Principal,
    pub permission: String,
    pub resource: Name,
    reach: Reach,
    pub time: Time,
    pub is_allowed: bool,
    /// The last access change that it took into account.
    pub policy: Position,
    pub method: String,
    pub request_id: String,
    /// As it is recorded, until [`Decided::reveal`].
    source_address: Option<String>,
    /// Whoever decided knew an address that nobody knows any more.
    pub is_source_forgotten: bool,
    /// What the service knew when it asked guardrails; absent: it did not ask.
    known: Option<Known>,
    pub recorded: Arc<Recorded>,
}

impl Decided {
    /// The decision that an event was made under, or that it is the record of. `None`: nobody had to decide.
    pub fn of(recorded: &Arc<Recorded>) -> Option<Self> {
        let metadata = recorded.metadata();
        let mut decided = Self {
            time: time_of(&metadata.decision_id.clone().unwrap_or_default()).unwrap_or(recorded.time),
            id: metadata.decision_id.unwrap_or_default(),
            principal: Principal {
                kind: kind_of(&metadata.principal),
                name: metadata.principal,
                credential: metadata.credential,
                scopes: metadata.scopes,
            },
            permission: metadata.action,
            resource: metadata.resource.parse().ok()?,
            reach: Reach::Exact,
            is_allowed: true,
            // Older records do not say: what was decided rests on what was in the log before.
            policy: metadata.policy_position.map_or(Position(recorded.position.0.saturating_sub(1)), Position),
            method: String::new(),
            request_id: metadata.request_id,
            source_address: metadata.source_address,
            is_source_forgotten: false,
            known: metadata.guarded.as_deref().map(Known::decode),
            recorded: Arc::clone(recorded),
        };
        decided.read_record()?;
        (!decided.id.is_empty() && !decided.permission.is_empty()).then_some(decided)
    }

    /// Takes in what a record of a call says. `None`: it is not the one that tells of the decision.
    fn read_record(&mut self) -> Option<()> {
        let recorded = Arc::clone(&self.recorded);
        if let Some(denied) = message::<AccessDenied>(&recorded) {
            let call = denied.call?;
            self.is_allowed = false;
            self.id = call.decision_id.clone();
            self.time = time_of(&self.id).unwrap_or(recorded.time);
            self.resource = call.resource.parse().ok()?;
            if let Some(facts) = denied.facts {
                self.policy = Position(facts.policy_position);
            }
            // A service may have asked for another right than the method's own.
            let is_methods = method(&call).is_some_and(|method| method.permission == denied.permission);
            self.permission = denied.permission;
            self.take(&call, is_methods);
            return Some(());
        }
        let not_let_in = tonic::Code::PermissionDenied as i32;
        let told = message::<RequestRecorded>(&recorded).map(|told| (told.call, told.code == not_let_in));
        let told = told.or_else(|| message::<ReadRecorded>(&recorded).map(|told| (told.call, told.code == not_let_in)));
        let told = told.or_else(|| {
            let is_closed = |told: &CommandRejected| CLOSED.contains(&told.reason.as_str());
            message::<CommandRejected>(&recorded).map(|told| (told.call.clone(), is_closed(&told)))
        });
        match told {
            None => Some(()),
            Some((_, true)) => None,
            Some((call, false)) => {
                self.take(&call?, true);
                Some(())
            }
        }
    }

    fn take(&mut self, call: &Call, is_methods: bool) {
        self.method = call.method.clone();
        let is_somewhere = |method: &Method| method.is_filtered || method.dialect == Dialect::Mlflow;
        if is_methods && method(call).is_some_and(is_somewhere) {
            self.reach = Reach::Somewhere;
        }
    }

    /// Opens the address that the request came from, unless it was opened before: few addresses stand in many events.
    pub async fn reveal(&mut self, sources: &Sources, opened: &mut Opened) -> Result<(), SealFault> {
        let Some((recorded, principal)) = self.source_address.take().zip(self.principal.name.parse().ok()) else {
            return Ok(());
        };
        let key = (self.principal.name.clone(), recorded);
        let source = match opened.get(&key) {
            Some(known) => known.clone(),
            None => {
                let source = match sources.open(&principal, &key.1).await {
                    // Nobody can say where it came from; a single such event must not keep others from being decided again.
                    Err(fault @ (SealFault::Foreign | SealFault::Malformed)) => {
                        warn!(position = %self.recorded.position, %fault, "the address of an event does not open");
                        Source::Forgotten
                    }
                    source => source?,
                };
                opened.insert(key, source.clone());
                source
            }
        };
        match source {
            Source::Known(address) => self.source_address = Some(address),
            Source::Forgotten => self.is_source_forgotten = true,
        }
        Ok(())
    }

    /// Decides again, by the rules of a world, as if at `now`.
    pub fn again(&self, world: &World, now: Time) -> Judgement {
        let judge = |reach| {
            let from = Circumstances::from_source(self.source_address.as_deref());
            world.judge(&self.principal, (&self.permission, &self.resource), reach, now, (from, self.known.as_ref()))
        };
        let exact = judge(self.reach);
        match (exact.denial, self.is_allowed) {
            // A compatibility dialect is let in on the project, and its events name what was changed.
            (Some(_), true) if self.reach == Reach::Exact => {
                Some(judge(Reach::Somewhere)).filter(|wide| wide.denial.is_none()).unwrap_or(exact)
            }
            _ => exact,
        }
    }
}

/// Finds a decision by its id, which says when it was taken: its record stands not far behind that.
pub async fn find(store: &dyn EventStore, id: &str) -> Result<Option<Decided>, ReadFault> {
    let Some(time) = time_of(id) else { return Ok(None) };
    let millis = time.micros() / 1000;
    let from = moment(store, AsOf::Time(Time::from_millis(millis - CLOCKS_APART_MS))).await?;
    let mut from = from.map_or(Position::START, |moment| moment.position);
    let last = Time::from_millis(millis + RECORDED_WITHIN_MS);
    for _ in 0..LOOKED_AT_MAX / PAGE_EVENTS {
        let page = store.read_all(from, Direction::Forwards, &Filter::all(), PAGE_EVENTS).await?;
        let found = page.events.iter().filter_map(Decided::of).find(|decided| decided.id == id);
        if found.is_some() || page.is_end || page.events.last().is_none_or(|event| event.time > last) {
            return Ok(found);
        }
        from = page.considered;
    }
    Ok(None)
}

fn method(call: &Call) -> Option<&'static Method> {
    Contract::embedded().ok()?.method(&call.method)
}

fn message<M: prost::Name + Default>(recorded: &Recorded) -> Option<M> {
    if *recorded.kind != *M::full_name() {
        return None;
    }
    M::decode(recorded.payload.clone()).ok()
}

/// When an id was made (RFC 9562, section 5.7).
fn time_of(id: &str) -> Option<Time> {
    let (seconds, nanos) = id.parse::<Uuid>().ok()?.get_timestamp()?.to_unix();
    Some(Time::from_micros(i64::try_from(seconds).ok()? * 1_000_000 + i64::from(nanos / 1000)))
}

fn kind_of(principal: &str) -> PrincipalKind {
    match principal.split('/').next() {
        Some("users") => PrincipalKind::User,
        Some("serviceAccounts") => PrincipalKind::ServiceAccount,
        Some("services") => PrincipalKind::Service,
        _ => PrincipalKind::Anonymous,
    }
}
