use cairn_contract::EventFault;
use prost_reflect::DynamicMessage;
use serde_json::json;

use crate::inline::load;

const EVENTS: &str = "
    // A lion moved into the zoo.
    message LionArrived {
      option (cairn.options.v1.stream) = { category: 'zoo.lion' by: PROCESS_START };
      string name = 1; int64 age = 2; string chip = 3 [debug_redact = true]; Vet vet = 4; repeated Vet vets = 5;
      map<string, Vet> by_name = 6; bytes dna = 7 [debug_redact = true];
    }
    message Vet { string name = 1; string phone = 2 [debug_redact = true]; }";

#[test]
fn events_say_where_they_live_and_what_they_mean() {
    let contract = load(EVENTS).unwrap();
    let events: Vec<_> =
        contract.events().map(|event| (&*event.full_name, &*event.category, &*event.comment)).collect();
    assert_eq!(events, [("cairn.zoo.v1.LionArrived", "zoo.lion", "A lion moved into the zoo.")]);
}

#[test]
fn a_stored_event_is_shown_without_what_is_sensitive() {
    let contract = load(EVENTS).unwrap();
    let vet = json!({"name": "v", "phone": "123"});
    let event = json!({"name": "leo", "age": "7", "chip": "secret", "vet": vet, "vets": [vet], "by_name": {"v": vet}, "dna": "AAAA"});
    let message =
        DynamicMessage::deserialize(contract.event("cairn.zoo.v1.LionArrived").unwrap().descriptor.clone(), event)
            .unwrap();
    let payload = prost::Message::encode_to_vec(&message);

    let shown = contract.event_json("cairn.zoo.v1.LionArrived", &payload).unwrap();
    let vet = json!({"name": "v", "phone": "[hidden]"});
    assert_eq!(
        shown,
        json!({"name": "leo", "age": "7", "chip": "[hidden]", "vet": vet, "vets": [vet], "by_name": {"v": vet}})
    );
}

#[test]
fn what_is_no_event_is_not_shown_as_one() {
    let contract = load(EVENTS).unwrap();
    assert_eq!(contract.event_json("cairn.zoo.v1.Vet", &[]), Err(EventFault::UnknownKind("cairn.zoo.v1.Vet".into())));
    let cut_short = contract.event_json("cairn.zoo.v1.LionArrived", &[0x0a, 5]);
    assert!(matches!(cut_short, Err(EventFault::Malformed { .. })), "{cut_short:?}");
}
