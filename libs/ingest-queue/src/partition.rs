use uuid::Uuid;

/// Namespace of what partitions are found by.
const PARTITIONS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7061_7274_6974);

/// The partition that everything of one key goes through, so that it stays in order. The same in every process and release.
pub fn partition_of(key: &str, partitions: u16) -> u16 {
    let (hash, _) = Uuid::new_v5(&PARTITIONS, key.as_bytes()).as_u64_pair();
    (hash % u64::from(partitions.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_over_all_partitions_and_stay_where_they_are() {
        let mut counts = [0; 16];
        for n in 0..1600 {
            counts[usize::from(partition_of(&format!("projects/p/runs/{n}"), 16))] += 1;
        }
        assert!(counts.iter().all(|count| (60..150).contains(count)), "{counts:?}");
        // What is queued under one release is read under the next.
        let known = ["a", "b", "projects/default/runs/1"].map(|key| partition_of(key, 16));
        assert_eq!(known, KNOWN);
    }

    const KNOWN: [u16; 3] = [2, 3, 2];
}
