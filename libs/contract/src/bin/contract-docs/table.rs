use std::fmt::Write;

use cairn_contract::cairn::options::v1::{Audit, Guarded};
use cairn_contract::{Binding, Contract, Method};

/// One line for each way to reach each method: the route table that nobody writes and everybody reviews.
pub fn page(contract: &Contract) -> String {
    let mut rows = vec![["VERB", "PATH", "METHOD", "PERMISSION", "RESOURCE", "AUDIT", "NOTES"].map(str::to_owned)];
    let mut routes: Vec<[String; 7]> = contract
        .methods()
        .iter()
        .flat_map(|method| method.bindings.iter().map(move |binding| row(method, binding)))
        .collect();
    routes.sort_by(|one, other| (&one[1], &one[0]).cmp(&(&other[1], &other[0])));
    rows.append(&mut routes);

    let widths: Vec<usize> = (0..7).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(method: &Method, binding: &Binding) -> [String; 7] {
    let audit = match method.audit {
        Audit::None | Audit::Unspecified => "none",
        Audit::Metadata => "metadata",
        Audit::Request => "request",
    };
    let notes = [
        (method.is_read, "read"),
        (method.is_filtered, "filtered"),
        (method.guarded != Guarded::Unspecified, "guarded"),
        (method.descriptor.is_client_streaming(), "upload"),
        (method.descriptor.is_server_streaming(), "stream"),
        (method.deprecation.is_some(), "deprecated"),
    ];
    let or = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    [
        binding.verb.clone(),
        binding.template.to_string(),
        method.path.trim_start_matches('/').to_owned(),
        or(&method.permission, "public"),
        or(&method.resource, "-"),
        audit.to_owned(),
        notes.iter().filter(|(is_set, _)| *is_set).map(|(_, note)| *note).collect::<Vec<_>>().join(" "),
    ]
}
