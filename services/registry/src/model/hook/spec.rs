use cairn_testkit::given;

use super::*;

fn name() -> HookName {
    "projects/p/hooks/quality".parse().unwrap()
}

fn definition(expression: &str) -> Arc<Definition> {
    Arc::new(Definition {
        timing: Timing::Before,
        triggers: [Trigger::VersionCreate].into(),
        model: String::new(),
        action: Action::Expression { expression: expression.into(), message: String::new() },
    })
}

fn at(seconds: i64) -> Time {
    Time::from_seconds_and_nanos(seconds, 0)
}

fn command(act: Act) -> Command {
    Command { hook: name(), act, now: at(7) }
}

fn event(change: Change) -> Event {
    let time = if change == Change::Deleted { Time::default() } else { at(7) };
    Event { hook: name(), change, time }
}

fn create() -> Act {
    Act::Create {
        display_name: "Quality".into(),
        description: String::new(),
        definition: definition("true"),
        creator: "users/ada".into(),
    }
}

fn redefine(definition: Arc<Definition>) -> Act {
    Act::Change { display_name: None, description: None, definition: Some(definition) }
}

fn created() -> Event {
    event(Change::Created {
        display_name: "Quality".into(),
        description: String::new(),
        definition: definition("true"),
        creator: "users/ada".into(),
    })
}

#[test]
fn a_hook_is_made_once_under_a_name_and_doing_anything_twice_changes_nothing() {
    given::<Hooks>([])
        .when(command(create()))
        .then([created()])
        .when(command(create()))
        .rejected(Rejection::Exists(name()));
    given::<Hooks>([created()])
        .when(command(Act::Enable))
        .nothing()
        .when(command(Act::Disable))
        .then([event(Change::Disabled)])
        .when(command(Act::Disable))
        .nothing()
        .when(command(redefine(definition("true"))))
        .nothing()
        .when(command(redefine(definition("false"))))
        .then([event(Change::Redefined(definition("false")))])
        .when(command(Act::Change {
            display_name: Some("Better".into()),
            description: None,
            definition: Some(definition("true")),
        }))
        .then([
            event(Change::Described { display_name: "Better".into(), description: String::new() }),
            event(Change::Redefined(definition("true"))),
        ])
        .when(command(Act::Delete))
        .then([event(Change::Deleted)])
        .when(command(Act::Delete))
        .rejected(Rejection::NotFound(name()));
}

#[test]
fn a_project_has_a_hundred_hooks_and_no_more() {
    let many = (0..HOOKS_MAX)
        .map(|number| Event { hook: format!("projects/p/hooks/h{number}").parse().unwrap(), ..created() });
    given::<Hooks>(many.collect::<Vec<_>>()).when(command(create())).rejected(Rejection::Full(HOOKS_MAX));
}

#[test]
fn what_refuses_does_not_become_what_is_told() {
    let after = Definition { timing: Timing::After, ..Definition::clone(&definition("true")) };
    given::<Hooks>([created()]).when(command(redefine(Arc::new(after)))).rejected(Rejection::Timing(name()));
}

#[test]
fn a_hook_has_its_say_on_its_triggers_and_its_model_while_it_is_enabled() {
    let mut hooks = Hooks::default();
    hooks.evolve(&created());
    let count = |hooks: &Hooks, timing, trigger, model| hooks.on(timing, trigger, model).count();
    assert_eq!(count(&hooks, Timing::Before, Trigger::VersionCreate, "m"), 1);
    assert_eq!(count(&hooks, Timing::After, Trigger::VersionCreate, "m"), 0);
    assert_eq!(count(&hooks, Timing::Before, Trigger::StageMove, "m"), 0);
    let of_one = Definition { model: "n".into(), ..Definition::clone(&definition("true")) };
    hooks.evolve(&event(Change::Redefined(Arc::new(of_one))));
    assert_eq!(count(&hooks, Timing::Before, Trigger::VersionCreate, "m"), 0);
    assert_eq!(count(&hooks, Timing::Before, Trigger::VersionCreate, "n"), 1);
    hooks.evolve(&event(Change::Disabled));
    assert_eq!(count(&hooks, Timing::Before, Trigger::VersionCreate, "n"), 0);
}

#[test]
fn two_definitions_have_one_digest_only_if_they_are_the_same() {
    let first = Definition::clone(&definition("a"));
    let moved = Action::Expression { expression: "a ".into(), message: String::new() };
    let split = Action::Expression { expression: String::new(), message: "a".into() };
    let others = [
        Definition { timing: Timing::After, ..first.clone() },
        Definition { triggers: [Trigger::ModelCreate].into(), ..first.clone() },
        Definition { model: "m".into(), ..first.clone() },
        Definition { action: moved, ..first.clone() },
        Definition { action: split, ..first.clone() },
    ];
    assert_eq!(first.digest(), definition("a").digest());
    let digests: std::collections::BTreeSet<String> = others.iter().chain([&first]).map(Definition::digest).collect();
    assert_eq!(digests.len(), others.len() + 1);
}
