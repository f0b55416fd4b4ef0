use cairn_eventstore::{DecodeFault, Direction, EventStore, Filter, ReadFault};
use cairn_kernel::{Name, Position, Principal, Time};

use crate::access::starting_world;
use crate::decision::Considered;
use crate::guardrail::{self, Forbidden, Known};
use crate::table::{self, Question};
use crate::{Access, CATEGORIES, Change, Circumstances, Denial, Reach, World};

/// Access changes read at once.
const PAGE_EVENTS: usize = 1000;

/// What a world answers to a question, and what the answer rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// `None`: allowed.
    pub denial: Option<Denial>,
    /// The binding that allows it. `None` when it is refused, or allowed by what everybody holds on themselves.
    pub binding: Option<String>,
    /// What the principal was given: first what has to do with the resource. No more than [`crate::Facts::GRANTS_MAX`].
    pub grants: Vec<Considered>,
    /// How many grants there were in all.
    pub grant_count: usize,
    /// Position of the last access change that was taken into account.
    pub policy: u64,
    /// The guardrail that forbids it.
    pub forbidden: Option<Forbidden>,
}

/// Why a world of the past could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WorldFault {
    #[error(transparent)]
    Read(#[from] ReadFault),
    #[error(transparent)]
    Decode(#[from] DecodeFault),
}

impl World {
    /// Decides as it is done for a call, at any time. `known` is what a service knew that asked guardrails. Pure and total.
    pub fn judge(
        &self,
        principal: &Principal,
        (permission, resource): (&str, &Name),
        reach: Reach,
        now: Time,
        (circumstances, known): (Circumstances, Option<&Known>),
    ) -> Judgement {
        let question = Question { principal, permission, resource, reach, now, circumstances };
        let verdict = table::decide(self, &question);
        let forbidden = if verdict.is_ok() { guardrail::ask(self, &question, known) } else { None };
        let verdict = if forbidden.is_some() { Err(Denial::Guardrail) } else { verdict };
        let denial = verdict.as_ref().err().copied();
        let facts = table::facts(self, &question, denial.unwrap_or(Denial::NotGranted));
        Judgement {
            denial,
            binding: verdict.ok().flatten(),
            grants: facts.grants,
            grant_count: facts.grant_count,
            policy: facts.policy,
            forbidden,
        }
    }
}

impl World {
    /// What a principal holds or is denied, and what each says to a question: at most so much.
    pub fn consider(
        &self,
        principal: &Principal,
        (permission, resource): (&str, &Name),
        now: Time,
        circumstances: Circumstances,
        count_max: usize,
    ) -> Vec<Considered> {
        let reach = Reach::Exact;
        let question = Question { principal, permission, resource, reach, now, circumstances };
        table::considered(self, &question, count_max).0
    }
}

impl Access {
    /// What access rested on at a position of the log. Folds every access change up to it: there are few of them, beside
    /// everything else that happens.
    pub async fn world_at(&self, store: &dyn EventStore, position: Position) -> Result<World, WorldFault> {
        let mut world = starting_world(self.is_open());
        let (filter, mut from) = (Filter::categories(CATEGORIES), Position::START);
        loop {
            let page = store.read_all(from, Direction::Forwards, &filter, PAGE_EVENTS).await?;
            for recorded in &page.events {
                if recorded.position > position {
                    return Ok(world);
                }
                world.apply(Change::read(recorded)?, recorded.position);
            }
            if page.is_end || page.considered >= position {
                return Ok(world);
            }
            from = page.considered;
        }
    }
}
