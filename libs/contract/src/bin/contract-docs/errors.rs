use cairn_contract::Contract;

use crate::markdown::{prose, table};

const HEAD: &str = "# Errors

Generated from `proto/cairn/errors/v1/reason.proto` by `make docs`; do not edit.

Every error carries one of these reasons, over gRPC in `google.rpc.ErrorInfo`, over HTTP as `error.reason`. Reasons keep
their names; programs may depend on them. Messages are for people and change.

";

/// The catalogue of reasons, in alphabetical order.
pub fn page(contract: &Contract) -> String {
    let mut reasons: Vec<_> = contract.reasons().iter().collect();
    reasons.sort_by(|one, other| one.name.cmp(&other.name));
    let rows: Vec<Vec<String>> = reasons
        .into_iter()
        .map(|reason| {
            vec![format!("`{}`", reason.name), format!("`{}`", reason.code.as_str_name()), prose(&reason.comment)]
        })
        .collect();
    format!("{HEAD}{}", table(&["Reason", "Code", "What happened, and what to do"], &rows))
}
