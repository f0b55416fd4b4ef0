use std::collections::BTreeMap;
use std::fmt::Write;

use cairn_contract::{Contract, Declared, is_sensitive};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::markdown::{prose, table};
use crate::operations;

const HEAD: &str = "# Events

Generated from `proto/cairn/*/events/` by `make docs`; do not edit.

Everything that ever happened, by the streams it is kept in. A stream is named `<category>-<resource>`; an event's stored
type is its full name. Fields are only ever added. [operations.md](operations.md) has the same by operation.
";

/// Every event with its fields, grouped by category.
pub fn page(contract: &Contract) -> String {
    let mut categories = BTreeMap::<&str, Vec<_>>::new();
    for event in contract.events() {
        categories.entry(&event.category).or_default().push(event);
    }
    let mut text = HEAD.to_owned();
    for (category, events) in categories {
        let _ = write!(text, "\n## `{category}`\n");
        let mut parts = BTreeMap::new();
        for event in events {
            let _ = write!(text, "\n### `{}`\n\n{}\n\n", event.full_name, prose(&event.comment));
            let _ = write!(text, "Written by {}.\n\n", operations::writers(contract, event));
            text.push_str(&fields(&event.descriptor));
            collect_parts(&event.descriptor, &mut parts);
        }
        for part in parts.values() {
            let _ = write!(text, "\n### Part: `{}`\n\n{}\n\n", part.full_name(), prose(&part.comment()));
            text.push_str(&fields(part));
        }
    }
    text
}

fn fields(message: &MessageDescriptor) -> String {
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    let rows: Vec<Vec<String>> = fields
        .iter()
        .map(|field| {
            let hidden = if is_sensitive(field) { " Hidden when shown." } else { "" };
            let meaning = format!("{}{hidden}", prose(&field.comment()));
            vec![field.number().to_string(), format!("`{}`", field.name()), format!("`{}`", type_name(field)), meaning]
        })
        .collect();
    if rows.is_empty() { "No fields.\n".into() } else { table(&["#", "Field", "Type", "Meaning"], &rows) }
}

/// Messages of ours that events of a category carry.
fn collect_parts(message: &MessageDescriptor, parts: &mut BTreeMap<String, MessageDescriptor>) {
    for field in message.fields() {
        let Kind::Message(part) = field.kind() else { continue };
        // JSON as protobuf has it contains itself, and nothing of ours.
        if part.package_name() == "google.protobuf" {
            continue;
        }
        let is_ours = part.package_name().starts_with("cairn.") && !part.is_map_entry();
        let is_known = is_ours && parts.insert(part.full_name().to_owned(), part.clone()).is_some();
        if !is_known {
            collect_parts(&part, parts);
        }
    }
}

/// A field's type as the contract writes it, names of ours without their package.
fn type_name(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            return format!("map<{}, {}>", type_name(&key), type_name(&value));
        }
        Kind::Message(message) => short(message.full_name(), message.package_name()),
        Kind::Enum(declared) => short(declared.full_name(), declared.package_name()),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    match (field.is_list(), field.supports_presence() && !matches!(field.kind(), Kind::Message(_))) {
        (true, _) => format!("repeated {kind}"),
        (false, true) => format!("optional {kind}"),
        (false, false) => kind,
    }
}

fn short(full_name: &str, package: &str) -> String {
    full_name.strip_prefix(package).map_or(full_name, |name| name.trim_start_matches('.')).to_owned()
}
