//! A log of runs that each read models of earlier runs and make one.

use cairn_contract::cairn::experiments::events::v1::{InputsLogged, OutputsLogged};
use cairn_contract::cairn::experiments::v1::ModelOutput;
use cairn_eventstore::{EventStore, NewEvent, Write};
use cairn_kernel::{Expected, Metadata, Position, StreamName};
use uuid::Uuid;

/// Models that a run reads.
const INPUTS: usize = 4;
/// With the one that it makes.
pub const EDGES_PER_RUN: usize = INPUTS + 1;
/// How far back the models come from: the graph is long rather than all at once.
const BACK: usize = 20_000;
/// Runs appended at once.
const RUNS_AT_ONCE: usize = 512;

/// Writes the runs.
pub async fn fill(store: &dyn EventStore, runs: usize) -> anyhow::Result<Position> {
    let (mut position, mut dice) = (Position::START, Dice(7));
    for first in (0..runs).step_by(RUNS_AT_ONCE) {
        let writes = (first..runs.min(first + RUNS_AT_ONCE)).map(|number| write(number, &mut dice)).collect();
        position = store.append(writes).await?.position;
    }
    Ok(position)
}

/// Runs in the middle of the log.
pub fn starts(runs: usize, count: usize) -> impl Iterator<Item = String> {
    let mut dice = Dice(11);
    (0..count).map(move |_| name(runs / 4 + dice.below(runs / 2)))
}

fn name(number: usize) -> String {
    format!("projects/fraud/experiments/{}/runs/{number}", number % 20)
}

fn write(number: usize, dice: &mut Dice) -> Write {
    let run = name(number);
    let from = number.saturating_sub(BACK);
    let models = (0..INPUTS).filter(|_| number > 0).map(|_| (from + dice.below(number - from)).to_string());
    let inputs = InputsLogged { run: run.clone(), models: models.collect(), datasets: vec![] };
    let made = ModelOutput { model: number.to_string(), step: 0 };
    let outputs = OutputsLogged { run: run.clone(), models: vec![made] };
    let events = vec![event(&run, &inputs), event(&run, &outputs)];
    Write::new(StreamName::of("experiments.run", format_args!("projects/fraud/runs/{number}")), Expected::Any, events)
}

fn event<M: prost::Name>(resource: &str, event: &M) -> NewEvent {
    let metadata = Metadata {
        principal: "users/maria".into(),
        action: "experiments.runs.log".into(),
        resource: resource.to_owned(),
        request_id: Uuid::new_v4().to_string(),
        ..Metadata::default()
    };
    NewEvent {
        id: Uuid::now_v7(),
        kind: M::full_name().into(),
        payload: event.encode_to_vec().into(),
        metadata: metadata.encode().into(),
    }
}

/// The same numbers each time (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
