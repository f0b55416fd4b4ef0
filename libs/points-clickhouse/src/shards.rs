use std::ops::RangeInclusive;

use async_trait::async_trait;
use cairn_points::{Batch, Checkpoint, Engine, EngineFault, Entry, Row, Series, Tenure};
use tokio::sync::Mutex;

use crate::ClickHousePoints;

/// Points divided among several ClickHouses by their run. Each is fed, fenced and looked back at by itself; how far all of them
/// reach is how far the one reaches that is furthest behind.
pub struct Shards {
    shards: Vec<ClickHousePoints>,
    turn: Mutex<Turn>,
}

/// The turn of this process at each of them.
#[derive(Default)]
struct Turn {
    number: u64,
    at: Vec<(Tenure, Checkpoint)>,
}

impl Shards {
    /// At least one, in an order that never changes: it decides what is where.
    pub fn new(shards: Vec<ClickHousePoints>) -> Self {
        Self { shards, turn: Mutex::default() }
    }

    /// The one that a run's points are in.
    fn of(&self, run: &str) -> usize {
        index(run, self.shards.len())
    }
}

/// Where a run belongs among so many: FNV-1a of its id, which is the same in every build.
fn index(run: &str, count: usize) -> usize {
    let hash = run
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // Its low bits alone are poor for ids that differ in few letters.
    ((hash ^ (hash >> 32)) % count as u64) as usize
}

fn furthest_behind(checkpoints: impl Iterator<Item = Checkpoint>) -> Checkpoint {
    checkpoints.min_by_key(|known| known.position).unwrap_or_default()
}

#[async_trait]
impl Engine for Shards {
    fn kind(&self) -> &'static str {
        "ClickHouse"
    }

    fn place(&self) -> String {
        self.shards.iter().map(Engine::place).collect::<Vec<_>>().join(", ")
    }

    async fn prepare(&self) -> Result<(), EngineFault> {
        for shard in &self.shards {
            shard.prepare().await?;
        }
        Ok(())
    }

    async fn checkpoint(&self) -> Result<Checkpoint, EngineFault> {
        let mut known = vec![];
        for shard in &self.shards {
            known.push(shard.checkpoint().await?);
        }
        Ok(furthest_behind(known.into_iter()))
    }

    async fn take_over(&self) -> Result<(Tenure, Checkpoint), EngineFault> {
        let mut turn = self.turn.lock().await;
        let mut at = vec![];
        // One after the other, so that of two that do this at once, one mostly wins everywhere.
        for shard in &self.shards {
            at.push(shard.take_over().await?);
        }
        *turn = Turn { number: turn.number + 1, at };
        Ok((Tenure(turn.number), furthest_behind(turn.at.iter().map(|(_, known)| *known))))
    }

    async fn write(&self, tenure: Tenure, batch: &Batch) -> Result<(), EngineFault> {
        let mut turn = self.turn.lock().await;
        if turn.number != tenure.0 {
            return Err(EngineFault::Fenced);
        }
        for (index, (tenure, known)) in turn.at.iter_mut().enumerate() {
            // It was further than the others when this turn began.
            if known.position >= batch.to.position {
                continue;
            }
            let is_due = |entry: &&Entry| entry.position > known.position && self.of(&entry.run) == index;
            let entries = batch.entries.iter().filter(is_due).cloned().collect();
            self.shards[index].write(*tenure, &Batch { from: *known, entries, to: batch.to }).await?;
            *known = batch.to;
        }
        Ok(())
    }

    async fn history(&self, series: Series<'_>, after: Option<Row>, limit: usize) -> Result<Vec<Row>, EngineFault> {
        self.shards[self.of(series.run)].history(series, after, limit).await
    }

    async fn by_step(&self, series: Series<'_>, steps: RangeInclusive<i64>) -> Result<Vec<Row>, EngineFault> {
        self.shards[self.of(series.run)].by_step(series, steps).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_spread_evenly_and_always_alike() {
        let mut counts = [0; 3];
        (0..3000).for_each(|n| counts[index(&format!("{n:032x}"), 3)] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(index("41c315dd058e437b9c6bf75d000060ce", 2), index("41c315dd058e437b9c6bf75d000060ce", 2));
        assert_eq!(index("anything", 1), 0);
    }
}
