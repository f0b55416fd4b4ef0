use cairn_kernel::Aggregate;
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Definition, Event, Guardrail, Source};
use crate::model::{GuardrailName, Rejection};

fn name() -> GuardrailName {
    GuardrailName::stored("organizations/acme/guardrails/freeze")
}

fn ask(act: Act) -> Command {
    Command { guardrail: name(), act }
}

fn happened(change: Change) -> Event {
    Event { guardrail: name(), change }
}

fn source(policy: &str) -> Source {
    Source { policy: policy.into(), ..Source::default() }
}

fn definition(policy: &str) -> Definition {
    Definition { source: source(policy), ..Definition::default() }
}

fn redefine(policy: &str) -> Command {
    ask(Act::Redefine { description: None, source: Some(source(policy)) })
}

#[test]
fn a_guardrail_is_made_once_forbids_something_else_later_and_is_gone_for_ever() {
    let created = happened(Change::Created(definition("a")));
    let deleted = happened(Change::Deleted);
    given::<Guardrail>([]).when(ask(Act::Create(definition("a")))).then([created.clone()]);
    given::<Guardrail>([]).when(redefine("b")).rejected(Rejection::GuardrailNotFound(name()));
    given::<Guardrail>([created.clone()])
        .when(ask(Act::Create(definition("b"))))
        .rejected(Rejection::GuardrailExists(name()));
    given::<Guardrail>([created.clone()]).when(redefine("b")).then([happened(Change::Redefined(definition("b")))]);
    given::<Guardrail>([created.clone()]).when(redefine("a")).then([]);
    given::<Guardrail>([created.clone()]).when(ask(Act::Delete)).then([deleted.clone()]);
    given::<Guardrail>([created.clone(), deleted.clone()]).when(ask(Act::Delete)).then([]);
    given::<Guardrail>([created.clone(), deleted.clone()])
        .when(redefine("b"))
        .rejected(Rejection::GuardrailDeleted(name()));
    given::<Guardrail>([created, deleted])
        .when(ask(Act::Create(definition("a"))))
        .rejected(Rejection::GuardrailExists(name()));
}

proptest! {
    #[test]
    fn whatever_is_asked_doing_it_twice_changes_nothing(steps in prop::collection::vec((0..3u8, 0..3u8), 0..20)) {
        let mut state = Guardrail::default();
        for (act, policy) in steps {
            let command = match act {
                0 => ask(Act::Create(definition(&policy.to_string()))),
                1 => redefine(&policy.to_string()),
                _ => ask(Act::Delete),
            };
            let is_creation = matches!(command.act, Act::Create(_));
            let Ok(events) = state.decide(command.clone()) else { continue };
            events.iter().for_each(|event| state.evolve(event));
            if !is_creation {
                prop_assert_eq!(state.decide(command), Ok(vec![]));
            }
        }
    }
}
