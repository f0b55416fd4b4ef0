use cairn_contract::Contract;
use prost::Message;

use crate::inline::{FILE, HEADER_LINES, load, zoo};

fn with_method(method: &str) -> String {
    format!("message Lion {{ string name = 1; }}\nservice ZooService {{\n{method}\n}}")
}

/// What is said about a method standing on the given lines of a service.
fn faults(method: &str) -> Vec<String> {
    let faults = load(&with_method(method)).expect_err("it loaded").0;
    let prefix = "cairn.zoo.v1.ZooService.GetLion: ";
    faults.iter().map(|fault| fault.split_once(prefix).unwrap_or_else(|| panic!("{fault}")).1.to_owned()).collect()
}

#[test]
fn our_own_contract_loads_with_every_option() {
    let contract = Contract::embedded().unwrap();
    let declared: usize = contract.pool().services().map(|service| service.methods().len()).sum();
    assert_eq!(contract.methods().len(), declared);
    for method in contract.methods() {
        assert_eq!(contract.method(&method.path).map(|found| &found.name), Some(&method.name));
    }
}

#[test]
fn a_method_that_states_nothing_does_not_load_and_all_that_is_wrong_is_listed() {
    assert_eq!(
        faults("rpc GetLion(Lion) returns (Lion);"),
        ["has no (cairn.options.v1.access)", "has no (google.api.http)", "has no comment"]
    );
}

#[test]
fn a_fault_names_the_file_and_the_line() {
    let violations = load(&with_method("rpc GetLion(Lion) returns (Lion);")).expect_err("it loaded");
    let line = HEADER_LINES + 3;
    assert!(
        violations.to_string().contains(&format!("\n  {FILE}:{line}: cairn.zoo.v1.ZooService.GetLion: has no comment"))
    );
}

#[test]
fn access_must_be_complete_and_of_one_mind() {
    for (access, expected) in [
        ("permission: 'zoo.lions.get' resource: '{name}'", "does not state its audit level"),
        ("resource: '{name}' audit: AUDIT_NONE", "must have either a permission or public: true"),
        (
            "permission: 'zoo.lions.get' public: true resource: '{name}' audit: AUDIT_NONE",
            "must have either a permission or public: true",
        ),
        ("permission: 'zoo.lions.get' audit: AUDIT_NONE", "has a permission but no resource"),
        (
            "permission: 'zoo.lions.get' resource: '{tail}' audit: AUDIT_NONE",
            "its resource \"{tail}\" names the field \"tail\", which cairn.zoo.v1.Lion does not have",
        ),
        (
            "permission: 'zoo.lions.get' resource: '{name' audit: AUDIT_NONE",
            "its resource \"{name\" has a '{' without '}'",
        ),
    ] {
        let method = format!(
            "// Gets it.\nrpc GetLion(Lion) returns (Lion) {{
               option (google.api.http) = {{ get: '/api/v1/{{name=lions/*}}' }};
               option (cairn.options.v1.access) = {{ {access} }}; }}"
        );
        assert_eq!(faults(&method), [expected], "{access}");
    }
}

#[test]
fn a_stream_is_taken_up_again_only_where_its_fields_can_hold_a_place() {
    let method = |answer: &str, cursor: &str| {
        format!(
            "// Gets it.\nrpc GetLion(Lion) returns ({answer}) {{
               option (google.api.http) = {{ get: '/api/v1/{{name=lions/*}}' }};
               option (cairn.options.v1.access) = {{ public: true audit: AUDIT_NONE }};
               option (cairn.options.v1.cursor) = {{ {cursor} }}; }}"
        )
    };
    let expected = "has a cursor, but is no stream, or names a field that is neither text nor an unsigned number";
    assert_eq!(faults(&method("Lion", "message: 'name' request: 'name'")), [expected]);
    assert_eq!(faults(&method("stream Lion", "message: 'name' request: 'tail'")), [expected]);
    let contract = load(&with_method(&method("stream Lion", "message: 'name' request: 'name'"))).unwrap();
    assert_eq!(contract.methods()[0].cursor.as_ref().unwrap().request, "name");
}

#[test]
fn a_path_must_be_a_template() {
    let method = "// Gets it.\nrpc GetLion(Lion) returns (Lion) {
        option (google.api.http) = { get: '/api/v1/{name' additional_bindings { body: '*' } };
        option (cairn.options.v1.access) = { public: true audit: AUDIT_NONE }; }";
    assert_eq!(faults(method), ["has the path \"/api/v1/{name\": a '{' has no '}'", "has an HTTP rule without a path"]);
}

#[test]
fn descriptors_that_lost_their_options_do_not_load() {
    // Typed descriptors drop custom options without a word. A build that went through them must not start.
    let whole = zoo(&with_method(
        "// Gets it.
        rpc GetLion(Lion) returns (Lion) { option (google.api.http) = { get: '/api/v1/lions' };
        option (cairn.options.v1.access) = { public: true audit: AUDIT_NONE }; }",
    ));
    assert!(Contract::decode(&whole).is_ok());
    let typed = prost_types::FileDescriptorSet::decode(whole.as_slice()).unwrap();
    let lost = Contract::decode(&typed.encode_to_vec()).expect_err("it loaded");
    assert_eq!(lost.0.len(), 2, "{lost}");
}
