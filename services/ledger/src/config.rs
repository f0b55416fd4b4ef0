use crate::tree::Witness;

cairn_kernel::settings! {
    /// How the log is proven.
    pub struct Config: "ledger" checked by problems {
        /// Who vouches that the log is only ever added to (`cairn witness`, or any C2SP witness): each its address and its
        /// key with a space between, e.g. `https://witness.example w.example+1a2b3c4d+BA…`. Run by somebody else than the
        /// log: they are who finds out when it is rolled back or forked.
        witnesses: Vec<String> = vec![];
        /// How long a witness may take to vouch for a checkpoint, in milliseconds. Checkpoints wait for it.
        witness_timeout_ms: u64 = 1_000;
    }
}

fn problems(config: &Config) -> Vec<String> {
    let read = config.witnesses.iter().map(|text| text.parse::<Witness>());
    let mut problems: Vec<String> = read.filter_map(Result::err).map(|fault| format!("witnesses: {fault}")).collect();
    if config.witness_timeout_ms == 0 {
        problems.push("witness_timeout_ms must be at least 1".to_owned());
    }
    problems
}
