use std::collections::HashSet;

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use cairn_contract::{Contract, docs};
use serde_json::Value;

fn api() -> Value {
    serde_json::from_str(docs::OPENAPI).unwrap()
}

/// Every value in a document, from the outside in.
fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&'a Value)) {
    see(value);
    match value {
        Value::Array(values) => values.iter().for_each(|value| walk(value, see)),
        Value::Object(entries) => entries.values().for_each(|value| walk(value, see)),
        _ => {}
    }
}

#[test]
fn the_description_has_one_operation_for_each_way_to_reach_each_method() {
    let api = api();
    let mut described = vec![];
    let mut ids = HashSet::new();
    for (_, operations) in api["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            described.push((verb.to_uppercase(), operation["x-cairn"]["method"].as_str().unwrap().to_owned()));
            assert!(
                ids.insert(operation["operationId"].as_str().unwrap()),
                "{} is not unique",
                operation["operationId"]
            );
        }
    }
    let mut declared = vec![];
    for method in Contract::embedded().unwrap().methods() {
        let path = method.path.trim_start_matches('/');
        // OpenAPI knows the verbs of HTTP alone. Vault's `LIST` has a `GET` beside it.
        let bindings = method.bindings.iter().filter(|binding| binding.verb != "LIST");
        declared.extend(bindings.map(|binding| (binding.verb.clone(), path.to_owned())));
    }
    described.sort();
    declared.sort();
    assert_eq!(described, declared);
}

#[test]
fn every_path_parameter_is_described_and_every_reference_leads_somewhere() {
    let api = api();
    for (path, operations) in api["paths"].as_object().unwrap() {
        let named: HashSet<&str> = path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
        for operation in operations.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let described: HashSet<&str> =
                parameters.filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
            assert_eq!(described, named, "{path}");
        }
    }
    walk(&api, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(api.pointer(pointer).is_some_and(|found| found.is_object()), "{reference} leads nowhere");
        }
    });
}

#[test]
fn the_page_needs_no_outside_network() {
    for outside in ["http:", "https:", "src=", "@import", "url(", "//cdn"] {
        assert!(!docs::PAGE.contains(outside), "the page mentions {outside}");
    }
    assert!(docs::PAGE.contains("fetch(\"openapi.json\")"));
}

#[test]
fn the_page_is_served_with_a_policy_that_allows_exactly_its_own_script_and_style() {
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let (_, rest) = docs::PAGE.split_once(&format!("<{tag}>")).unwrap();
        let (text, _) = rest.split_once(&format!("</{tag}>")).unwrap();
        let allowed = format!("{directive} 'sha256-{}';", BASE64_STANDARD.encode(digest(&SHA256, text.as_bytes())));
        assert!(docs::PAGE_POLICY.contains(&allowed), "docs::PAGE_POLICY must say {allowed}");
    }
    assert!(!docs::PAGE.contains("style=\""), "the policy allows no style on an element");
}
