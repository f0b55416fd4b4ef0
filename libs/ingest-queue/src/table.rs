//! Who holds which partitions: one table that all members write in turn, and what each of them does in its turn.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Queue, QueueFault};

/// What the members of a queue know of each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// How many partitions there are. Never changes: a run would go through another one, and overtake itself.
    pub partitions: u16,
    /// Members and how often each has written. Who does not write any more is dead.
    pub members: BTreeMap<String, u64>,
    /// Who holds a partition.
    pub holders: BTreeMap<u16, String>,
}

/// What a member does in its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What it writes.
    pub table: Table,
    /// Partitions it has too many of and still works on. Once that has ended, its next turn gives them up.
    pub ending: BTreeSet<u16>,
}

/// The table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    #[error("the queue was made with {made} partitions, and the setting ingest.partitions says {wanted}")]
    Partitions { made: u16, wanted: u16 },
    #[error("the table of members does not read as one: {0}")]
    Malformed(String),
}

impl Table {
    /// One for so many partitions, of which nobody holds any.
    pub fn new(partitions: u16) -> Self {
        Self { partitions, ..Self::default() }
    }

    /// Reads what [`Table::encode`] has written for so many partitions.
    pub fn decode(bytes: &[u8], wanted: u16) -> Result<Self, TableFault> {
        let table: Self = serde_json::from_slice(bytes).map_err(|fault| TableFault::Malformed(fault.to_string()))?;
        if table.partitions != wanted {
            return Err(TableFault::Partitions { made: table.partitions, wanted });
        }
        Ok(table)
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always encode")
    }

    /// The partitions that a member holds.
    pub fn held_by(&self, member: &str) -> BTreeSet<u16> {
        self.holders.iter().filter(|(_, holder)| *holder == member).map(|(partition, _)| *partition).collect()
    }

    /// The turn of member `me`, who works on the partitions `busy`. `dead` are members who have not written for too long.
    ///
    /// Everybody has the same share, but for one partition. Who has too many gives up those with the highest numbers; who has
    /// too few takes those that nobody holds. Nothing else moves.
    pub fn turn(&self, me: &str, dead: &BTreeSet<String>, busy: &BTreeSet<u16>) -> Turn {
        let mut table = self.clone();
        table.members.retain(|member, _| member == me || !dead.contains(member));
        *table.members.entry(me.to_owned()).or_default() += 1;
        let members = table.members.clone();
        table.holders.retain(|partition, holder| *partition < table.partitions && members.contains_key(holder));
        let share = share(table.partitions, &members, me);
        let mut mine = table.held_by(me);
        let mut ending = BTreeSet::new();
        while mine.len() > share
            && let Some(partition) = mine.pop_last()
        {
            if busy.contains(&partition) {
                ending.insert(partition);
            } else {
                table.holders.remove(&partition);
            }
        }
        let free: Vec<u16> = (0..table.partitions).filter(|at| !table.holders.contains_key(at)).collect();
        let missing = share.saturating_sub(mine.len() + ending.len());
        for partition in free.into_iter().take(missing) {
            table.holders.insert(partition, me.to_owned());
        }
        Turn { table, ending }
    }

    /// Without a member that ends.
    pub fn without(&self, me: &str) -> Self {
        let mut table = self.clone();
        table.members.remove(me);
        table.holders.retain(|_, holder| holder != me);
        table
    }
}

/// Makes the table of a queue of so many partitions, unless it is there: then it must be of as many.
pub async fn agree(queue: &dyn Queue, partitions: u16) -> Result<(), QueueFault> {
    let unsuitable = |fault: TableFault| QueueFault::Unsuitable(fault.to_string());
    loop {
        let (bytes, version) = queue.table().await?;
        if let Some(bytes) = bytes {
            return Table::decode(&bytes, partitions).map(drop).map_err(unsuitable);
        }
        if queue.swap(version, Table::new(partitions).encode().into()).await? {
            return Ok(());
        }
    }
}

/// How many partitions a member should hold: as many as any other, and the first ones take what is left over.
fn share(partitions: u16, members: &BTreeMap<String, u64>, me: &str) -> usize {
    let (partitions, count) = (usize::from(partitions), members.len().max(1));
    let place = members.keys().position(|member| member == me).unwrap_or_default();
    partitions / count + usize::from(place < partitions % count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nobody() -> BTreeSet<String> {
        BTreeSet::new()
    }

    /// Everybody's turn, one after the other, with nothing that takes long to end.
    fn rounds(mut table: Table, members: &[&str], dead: &BTreeSet<String>, count: usize) -> Table {
        for _ in 0..count {
            for member in members {
                table = table.turn(member, dead, &BTreeSet::new()).table;
            }
        }
        table
    }

    fn counts(table: &Table) -> Vec<usize> {
        table.members.keys().map(|member| table.held_by(member).len()).collect()
    }

    #[test]
    fn a_second_member_takes_half_and_no_more_moves_than_that_s1_22() {
        let alone = rounds(Table::new(16), &["a"], &nobody(), 1);
        assert_eq!(counts(&alone), [16]);
        let both = rounds(alone.clone(), &["a", "b"], &nobody(), 2);
        assert_eq!(counts(&both), [8, 8]);
        let moved = alone.holders.iter().filter(|(at, holder)| both.holders.get(at) != Some(holder)).count();
        assert_eq!(moved, 8);
    }

    #[test]
    fn what_a_dead_member_held_is_taken_over() {
        let both = rounds(Table::new(16), &["a", "b"], &nobody(), 2);
        let left = rounds(both, &["b"], &["a".to_owned()].into(), 1);
        assert_eq!((counts(&left), left.held_by("a").len()), (vec![16], 0));
    }

    #[test]
    fn a_partition_that_is_worked_on_is_given_up_when_that_has_ended() {
        let alone = rounds(Table::new(4), &["a"], &nobody(), 1);
        let joined = alone.turn("b", &nobody(), &BTreeSet::new()).table;
        let turn = joined.turn("a", &nobody(), &[0, 1, 2, 3].into());
        assert_eq!(turn.ending, [2, 3].into());
        assert_eq!(turn.table.held_by("a").len(), 4);
        let turn = turn.table.turn("a", &nobody(), &[0, 1, 3].into());
        assert_eq!((turn.ending, turn.table.held_by("a")), ([3].into(), [0, 1, 3].into()));
    }

    #[test]
    fn another_number_of_partitions_is_refused() {
        let bytes = Table::new(16).encode();
        let fault = Table::decode(&bytes, 8).unwrap_err();
        assert_eq!(fault, TableFault::Partitions { made: 16, wanted: 8 });
        assert!(Table::decode(b"{}}", 8).is_err());
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_every_partition_is_held_once_and_by_the_living(
            steps in proptest::collection::vec((0..6_usize, any::<bool>()), 1..40),
            partitions in 1..40_u16,
        ) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut table = Table::new(partitions);
            let mut living: BTreeSet<&str> = ["a"].into();
            for (who, comes) in steps {
                if comes { living.insert(names[who]); } else if living.len() > 1 { living.remove(names[who]); }
                let dead: BTreeSet<String> =
                    names.iter().filter(|name| !living.contains(*name)).map(|name| (*name).to_owned()).collect();
                let members: Vec<&str> = living.iter().copied().collect();
                table = rounds(table, &members, &dead, 3);
                prop_assert_eq!(table.holders.len(), usize::from(partitions));
                prop_assert!(table.holders.values().all(|holder| living.contains(holder.as_str())));
                let counts = counts(&table);
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
        }
    }
}
