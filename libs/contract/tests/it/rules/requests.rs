use std::collections::BTreeMap;

use cairn_contract::Method;
use prost_reflect::{Kind, MessageDescriptor};

use super::Report;
use super::surface::{HTTP_BODY, Surface, TIMESTAMP, has, has_message};

const EMPTY: &str = "google.protobuf.Empty";
const FIELD_MASK: &str = "google.protobuf.FieldMask";

/// `PromoteModel` takes a `PromoteModelRequest` of its own package.
pub fn requests_are_named_after_their_method(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.native_methods() {
        let expected = format!("{}.{}Request", method.descriptor.parent_file().package_name(), method.name);
        if method.input().full_name() != expected {
            report.add(&method.descriptor, format!("takes {}, not {expected}", method.input().full_name()));
        }
    }
}

/// `GetModel`, `CreateModel` and `UpdateModel` return the `Model`; `DeleteModel` may return nothing; `ListModels` returns a
/// `ListModelsResponse`.
pub fn standard_methods_return_their_resource(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.native_methods() {
        let output = method.output();
        let expected = match standard(&method.name) {
            Some(("Delete", _)) if output.full_name() == EMPTY => continue,
            Some(("List", _)) => format!("{}Response", method.name),
            Some((_, noun)) => noun.to_owned(),
            None => continue,
        };
        if output.name() != expected {
            report.add(&method.descriptor, format!("returns {}, not {expected}", output.name()));
        }
    }
}

/// What can be created or updated has a name, an etag against lost updates, and a time of birth.
pub fn resources_can_be_told_apart(surface: &Surface<'_>, report: &mut Report) {
    let mut resources = BTreeMap::<String, MessageDescriptor>::new();
    for method in surface.native_methods() {
        if let Some(("Create" | "Update", noun)) = standard(&method.name)
            && method.output().name() == noun
        {
            resources.insert(method.output().full_name().to_owned(), method.output());
        }
        if method.name.starts_with("Update") && !has_message(&method.input(), "update_mask", FIELD_MASK) {
            report.add(&method.input(), "must have update_mask, a FieldMask");
        }
    }
    for resource in resources.values() {
        for field in ["name", "etag"] {
            if !has(resource, field, &Kind::String) {
                report.add(resource, format!("is a resource, so it must have string {field}"));
            }
        }
        if !has_message(resource, "create_time", TIMESTAMP) {
            report.add(resource, "is a resource, so it must have create_time, a Timestamp");
        }
    }
}

/// A caller whose connection broke sends the same `request_id` again. Uploads are named by their digest instead.
pub fn changes_can_be_repeated(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.native_methods().filter(|method| !method.is_read && !is_upload(method)) {
        if !has(&method.input(), "request_id", &Kind::String) {
            report.add(&method.input(), "belongs to a change, so it must have string request_id");
        }
    }
}

/// Callers send one message. Only an upload, whose body is an `HttpBody`, comes in parts.
pub fn only_uploads_stream_in(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.contract.methods() {
        if method.descriptor.is_client_streaming() && !is_upload(method) {
            report.add(&method.descriptor, "streams in, but its body is no google.api.HttpBody field");
        }
    }
}

/// Whether the request's body is raw bytes.
fn is_upload(method: &Method) -> bool {
    let is_raw = |body: &str| {
        method.input().full_name() == HTTP_BODY && body == "*" || has_message(&method.input(), body, HTTP_BODY)
    };
    method.bindings.iter().all(|binding| is_raw(&binding.body))
}

/// Splits the name of a standard method into its verb and its noun.
fn standard(name: &str) -> Option<(&'static str, &str)> {
    ["Get", "List", "Create", "Update", "Delete"].into_iter().find_map(|verb| {
        let noun = name.strip_prefix(verb)?;
        noun.starts_with(|first: char| first.is_ascii_uppercase()).then_some((verb, noun))
    })
}
