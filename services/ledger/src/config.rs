use crate::tree::Witness;

cairn_kernel::settings! {
    /// How the log is proven, and how far its lineage is followed.
    pub struct Config: "ledger" checked by problems {
        /// Who vouches that the log is only ever added to (`cairn witness`, or any C2SP witness): each its address and its
        /// key with a space between, e.g. `https://witness.example w.example+1a2b3c4d+BA…`. Run by somebody else than the
        /// log: they are who finds out when it is rolled back or forked.
        witnesses: Vec<String> = vec![];
        /// How long a witness may take to vouch for a checkpoint, in milliseconds. Checkpoints wait for it.
        witness_timeout_ms: u64 = 1_000;
        /// For how many days the keys that signed the log until now sign on beside a new one, unless who rotates the key
        /// says otherwise. Whoever verifies needs the new one from then on.
        signing_overlap_days: u32 = 90;
        /// Most steps of a walk through the lineage graph.
        lineage_depth_max: usize = 50;
        /// Most nodes of the lineage graph in one answer.
        lineage_nodes_max: usize = 10_000;
        /// Most edges followed from one node of the lineage graph.
        lineage_edges_per_node_max: usize = 1_000;
        /// Most edges of the lineage graph in one answer.
        lineage_edges_max: usize = 100_000;
        /// Largest OpenLineage event taken in, in bytes, decompressed.
        openlineage_bytes_max: usize = 1_048_576;
        /// Most datasets in one OpenLineage event, their other names included.
        openlineage_datasets_max: usize = 1_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let read = config.witnesses.iter().map(|text| text.parse::<Witness>());
    let mut problems: Vec<String> = read.filter_map(Result::err).map(|fault| format!("witnesses: {fault}")).collect();
    if config.witness_timeout_ms == 0 {
        problems.push("witness_timeout_ms must be at least 1".to_owned());
    }
    for (name, value) in [
        ("lineage_depth_max", config.lineage_depth_max),
        ("lineage_nodes_max", config.lineage_nodes_max),
        ("lineage_edges_per_node_max", config.lineage_edges_per_node_max),
        ("lineage_edges_max", config.lineage_edges_max),
        ("openlineage_bytes_max", config.openlineage_bytes_max),
        ("openlineage_datasets_max", config.openlineage_datasets_max),
    ] {
        if value == 0 {
            problems.push(format!("{name} must be at least 1"));
        }
    }
    if config.signing_overlap_days > OVERLAP_DAYS_MAX {
        problems.push(format!("signing_overlap_days must be at most {OVERLAP_DAYS_MAX}"));
    }
    // What is kept becomes one event, which holds 8 MiB with everything in it.
    if config.openlineage_bytes_max > OPENLINEAGE_BYTES {
        problems.push(format!("openlineage_bytes_max must be at most {OPENLINEAGE_BYTES}"));
    }
    problems
}

/// Longest overlap of two keys.
pub const OVERLAP_DAYS_MAX: u32 = 3_650;
/// An event of the log has room for so much beside what is made of it.
const OPENLINEAGE_BYTES: usize = 4 << 20;
