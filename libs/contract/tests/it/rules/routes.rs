use cairn_contract::cairn::options::v1::Dialect;
use cairn_contract::{Binding, Method};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::Report;
use super::surface::{Surface, service_of};

/// One path leads to one method: a literal beside a variable would make the order of routes matter.
pub fn no_route_shadows_another(surface: &Surface<'_>, report: &mut Report) {
    let routes: Vec<(&Method, &Binding)> =
        surface.contract.methods().iter().flat_map(|method| method.bindings.iter().map(move |b| (method, b))).collect();
    for (at, (method, binding)) in routes.iter().enumerate() {
        for (other, earlier) in &routes[..at] {
            if binding.verb == earlier.verb && binding.template.overlaps(&earlier.template) {
                report.add(
                    &method.descriptor,
                    format!("{} {} overlaps {} of {}", binding.verb, binding.template, earlier.template, other.name),
                );
            }
        }
    }
}

/// The edge decides before it reads a body, so the resource may use only fields that every path of the method binds.
pub fn access_is_decided_from_the_path(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.contract.methods() {
        for field in method.resource_fields() {
            let is_bound = |binding: &Binding| binding.template.variables().iter().any(|v| v.field_path == field);
            for binding in method.bindings.iter().filter(|binding| !is_bound(binding)) {
                report.add(
                    &method.descriptor,
                    format!(
                        "its resource {:?} uses {field:?}, which {} does not bind",
                        method.resource, binding.template
                    ),
                );
            }
        }
    }
}

/// Variables, `body` and `response_body` name fields that can hold what they are given.
pub fn bodies_and_variables_are_fields(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.contract.methods() {
        let (input, output) = (method.input(), method.output());
        for binding in &method.bindings {
            for variable in binding.template.variables() {
                let field = field(&input, &variable.field_path);
                if !field.is_some_and(|field| !field.is_list() && !matches!(field.kind(), Kind::Message(_))) {
                    let path = &variable.field_path;
                    report.add(&method.descriptor, format!("binds {path:?}, which is no single value of its request"));
                }
            }
            if !matches!(binding.body.as_str(), "" | "*") && input.get_field_by_name(&binding.body).is_none() {
                report.add(&method.descriptor, format!("its body {:?} is no field of its request", binding.body));
            }
            if !binding.response_body.is_empty() && output.get_field_by_name(&binding.response_body).is_none() {
                let body = &binding.response_body;
                report.add(&method.descriptor, format!("its response_body {body:?} is no field of its answer"));
            }
        }
    }
}

/// `GET` changes nothing, `PUT`, `PATCH` and `DELETE` do, standard methods use their own verbs, and paths begin where
/// callers look for them.
pub fn verbs_tell_reads_from_changes(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.contract.methods() {
        for binding in &method.bindings {
            let verb = binding.verb.as_str();
            match (verb, method.is_read) {
                // A browser that a provider sends back comes with a GET, whatever that sets off.
                ("GET", false) if method.dialect == Dialect::Oauth => {}
                ("GET", false) => report.add(&method.descriptor, "is a GET, so it must say NO_SIDE_EFFECTS"),
                ("PUT" | "PATCH" | "DELETE", true) => {
                    report.add(&method.descriptor, format!("says NO_SIDE_EFFECTS, but is a {verb}"));
                }
                _ => {}
            }
            if verb == "GET" && !binding.body.is_empty() {
                report.add(&method.descriptor, "is a GET, so it has no body");
            }
            if method.dialect == Dialect::Cairn {
                native(method, binding, report);
            }
        }
    }
}

/// What only our own services promise about their routes.
fn native(method: &Method, binding: &Binding, report: &mut Report) {
    let path = binding.template.as_str();
    if !path.starts_with("/api/v1/") && !path.starts_with("/.well-known/") {
        report.add(&method.descriptor, format!("{path} must begin with /api/v1/"));
    }
    let expected = [("Get", "GET"), ("List", "GET"), ("Create", "POST"), ("Update", "PATCH"), ("Delete", "DELETE")];
    let expected = expected.into_iter().find(|(word, _)| method.name.starts_with(word));
    if let Some((word, verb)) = expected
        && (binding.verb != verb || binding.template.verb().is_some())
    {
        report.add(&method.descriptor, format!("is named {word}…, so it must be a {verb} without a custom verb"));
    }
}

/// `service.collection.verb`, the collection as it stands in resource names, in the words of the service that stands
/// behind it. A dialect borrows the words of the service whose commands it speaks.
pub fn permissions_are_three_words(surface: &Surface<'_>, report: &mut Report) {
    for method in surface.contract.methods().iter().filter(|method| !method.is_public) {
        let words: Vec<&str> = method.permission.split('.').collect();
        let is_word = |word: &&str| {
            word.starts_with(|first: char| first.is_ascii_lowercase())
                && word.bytes().all(|b| b.is_ascii_alphanumeric())
        };
        if words.len() != 3 || !words.iter().all(is_word) {
            report.add(&method.descriptor, format!("{:?} must be service.collection.verb", method.permission));
        } else if method.dialect == Dialect::Cairn {
            let service = service_of(method.descriptor.parent_file().package_name()).to_owned();
            if words[0] != service {
                report.add(&method.descriptor, format!("{:?} must begin with {service}.", method.permission));
            }
        }
    }
}

/// The field that a dotted path leads to.
fn field(message: &MessageDescriptor, path: &str) -> Option<FieldDescriptor> {
    match path.split_once('.') {
        None => message.get_field_by_name(path),
        Some((first, rest)) => match message.get_field_by_name(first)?.kind() {
            Kind::Message(inner) => field(&inner, rest),
            _ => None,
        },
    }
}
