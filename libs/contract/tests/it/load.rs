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
        [
            "has no (cairn.options.v1.access)",
            "changes something, and has no (cairn.options.v1.writes) that says what it writes",
            "has no (google.api.http)",
            "has no comment"
        ]
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
               option idempotency_level = NO_SIDE_EFFECTS;
               option (google.api.http) = {{ get: '/api/v1/{{name=lions/*}}' }};
               option (cairn.options.v1.access) = {{ {access} }}; }}"
        );
        assert_eq!(faults(&method), [expected], "{access}");
    }
}

#[test]
fn methods_that_share_a_right_are_guarded_alike() {
    let method = |name: &str, guarded: &str| {
        format!(
            "// Does it.\nrpc {name}(Lion) returns (Lion) {{
               option idempotency_level = NO_SIDE_EFFECTS;
               option (google.api.http) = {{ post: '/api/v1/{{name=lions/*}}:{name}' body: '*' }};
               option (cairn.options.v1.access) = {{
                 permission: 'zoo.lions.free' resource: '{{name}}' audit: AUDIT_NONE {guarded} }}; }}\n"
        )
    };
    let (door, service) = ("guarded: GUARDED_AT_DOOR", "guarded: GUARDED_BY_SERVICE");
    let both = |one: &str, other: &str| load(&with_method(&(method("Free", one) + &method("Release", other))));
    for (one, other, expected) in [
        (door, service, "/cairn.zoo.v1.ZooService/Release: is guarded otherwise than others that take zoo.lions.free"),
        (door, "", "/cairn.zoo.v1.ZooService/Release: is not guarded, but others that take zoo.lions.free are"),
    ] {
        assert_eq!(both(one, other).expect_err("it loaded").0, [expected]);
    }
    for (one, other) in [(door, door), (service, service), (service, "")] {
        assert_eq!(both(one, other).unwrap().guarded_permissions().len(), 1);
    }
}

#[test]
fn a_stream_is_taken_up_again_only_where_its_fields_can_hold_a_place() {
    let method = |answer: &str, cursor: &str| {
        format!(
            "// Gets it.\nrpc GetLion(Lion) returns ({answer}) {{
               option idempotency_level = NO_SIDE_EFFECTS;
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
        option idempotency_level = NO_SIDE_EFFECTS;
        option (google.api.http) = { get: '/api/v1/{name' additional_bindings { body: '*' } };
        option (cairn.options.v1.access) = { public: true audit: AUDIT_NONE }; }";
    assert_eq!(faults(method), ["has the path \"/api/v1/{name\": a '{' has no '}'", "has an HTTP rule without a path"]);
}

#[test]
fn descriptors_that_lost_their_options_do_not_load() {
    // Typed descriptors drop custom options without a word. A build that went through them must not start.
    let whole = zoo(&with_method(
        "// Gets it.
        rpc GetLion(Lion) returns (Lion) { option idempotency_level = NO_SIDE_EFFECTS; option (google.api.http) = { get: '/api/v1/lions' };
        option (cairn.options.v1.access) = { public: true audit: AUDIT_NONE }; }",
    ));
    assert!(Contract::decode(&whole).is_ok());
    let typed = prost_types::FileDescriptorSet::decode(whole.as_slice()).unwrap();
    let lost = Contract::decode(&typed.encode_to_vec()).expect_err("it loaded");
    assert_eq!(lost.0.len(), 2, "{lost}");
}

/// A contract with two events and one change, which writes something.
fn change(writes: &str) -> String {
    format!(
        "// It ate.\nmessage LionFed {{ option (cairn.options.v1.stream) = {{ category: 'zoo.lion' }}; }}
         // It slept.\nmessage LionSlept {{ option (cairn.options.v1.stream) = {{ category: 'zoo.lion' by: PROCESS_START }}; }}
         {}",
        with_method(&format!(
            "// Feeds it.\nrpc GetLion(Lion) returns (Lion) {{
               option (google.api.http) = {{ post: '/api/v1/{{name=lions/*}}:feed' body: '*' }};
               option (cairn.options.v1.access) = {{ public: true audit: AUDIT_NONE }};
               {writes} }}"
        ))
    )
}

#[test]
fn a_change_names_its_events_or_says_why_it_has_none_and_every_event_has_a_writer_s3_57() {
    let writes = |what: &str| format!("option (cairn.options.v1.writes) = {{ {what} }};");
    let contract = load(&change(&writes("events: ['LionFed', 'zoo.v1.LionSlept']"))).unwrap();
    assert_eq!(contract.methods()[0].events, ["cairn.zoo.v1.LionFed", "cairn.zoo.v1.LionSlept"]);

    let method = "cairn.zoo.v1.ZooService.GetLion: ";
    let either = "must have either events that it writes or a reason why there are none";
    let read = "option idempotency_level = NO_SIDE_EFFECTS; ";
    for (writes, expected) in [
        (
            String::new(),
            vec![format!("{method}changes something, and has no (cairn.options.v1.writes) that says what it writes")],
        ),
        (writes(""), vec![format!("{method}{either}")]),
        (writes("events: 'LionFed' unwritten: UNWRITTEN_BESIDE"), vec![format!("{method}{either}")]),
        (writes("events: ['LionFed', 'LionFed']"), vec![format!("{method}writes LionFed, and says so twice")]),
        (
            writes("events: ['LionFed', 'Fed', 'Lion']"),
            vec![format!("{method}writes Fed, which is no event"), format!("{method}writes Lion, which is no event")],
        ),
        (
            format!("{read}{}", writes("events: 'LionFed'")),
            vec![format!("{method}changes nothing, and yet has (cairn.options.v1.writes)")],
        ),
        (
            writes("unwritten: UNWRITTEN_BESIDE"),
            vec!["cairn.zoo.v1.LionFed: is an event that no operation and no process writes".into()],
        ),
        (read.into(), vec!["cairn.zoo.v1.LionFed: is an event that no operation and no process writes".into()]),
    ] {
        let faults = load(&change(&writes)).expect_err("it loaded").0;
        let faults: Vec<&str> = faults.iter().filter_map(|fault| Some(fault.splitn(3, ':').nth(2)?.trim())).collect();
        assert_eq!(faults, expected, "{writes}");
    }
}

#[test]
fn an_event_that_could_be_several_is_not_guessed_s3_57() {
    let twice = change("option (cairn.options.v1.writes) = { events: ['Fed', 'LionFed', 'Cub.Fed'] };")
        + "
        // A cub.\nmessage Cub {
          // It ate.\nmessage Fed { option (cairn.options.v1.stream) = { category: 'zoo.cub' }; } }
        // Another.\nmessage Bear {
          // It ate.\nmessage Fed { option (cairn.options.v1.stream) = { category: 'zoo.bear' by: PROCESS_START }; } }";
    let faults = load(&twice).expect_err("it loaded").0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("writes Fed, which could be any of"), "{faults:?}");
    let named = twice.replace("'Fed', ", "");
    assert_eq!(load(&named).unwrap().methods()[0].events, ["cairn.zoo.v1.LionFed", "cairn.zoo.v1.Cub.Fed"]);
}

#[test]
fn the_end_of_a_method_is_a_day_and_its_successor_a_method() {
    let method = |deprecation: &str| {
        format!(
            r#"// Gets.
rpc GetLion(Lion) returns (Lion) {{
option idempotency_level = NO_SIDE_EFFECTS;
option (google.api.http) = {{ get: "/api/v1/lions" }};
option (cairn.options.v1.access) = {{ public: true audit: AUDIT_NONE }};
option (cairn.options.v1.deprecation) = {{ {deprecation} }};
}}"#
        )
    };
    let whole = r#"since: "2026-01-31" sunset: "2027-01-31" successor: "cairn.zoo.v1.ZooService/GetLion""#;
    let contract = load(&with_method(&method(whole))).unwrap();
    let end = contract.methods()[0].deprecation.clone().unwrap();
    assert_eq!((end.since, end.sunset), (1_769_817_600, Some(1_801_353_600)));
    for (wrong, says) in [
        (r#"since: "soon""#, "not since a day"),
        (r#"since: "2026-01-31" sunset: "2026-01-31""#, "no day after"),
        (r#"since: "2026-01-31" sunset: "never""#, "no day after"),
        (r#"since: "2026-01-31" successor: "cairn.zoo.v2.ZooService/GetLion""#, "no method of the contract"),
    ] {
        let faults = faults(&method(wrong));
        assert!(faults.len() == 1 && faults[0].contains(says), "{wrong}: {faults:?}");
    }
}
