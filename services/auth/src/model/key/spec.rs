use std::time::Duration;

use cairn_kernel::{Aggregate, Time};
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, Change, Command, Digest, Event, GRACE_MAX, Grounds, Key, LIFE_DEFAULT, LIFE_MAX, Stage};
use crate::model::{KeyName, PrincipalName, Rejection, Text};

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn name() -> KeyName {
    KeyName::stored("users/u-1/apiKeys/k")
}

fn ask(act: Act) -> Command {
    Command { key: name(), act }
}

fn happened(change: Change) -> Event {
    Event { key: name(), change }
}

fn digest(bytes: &str) -> Digest {
    Digest { is_opaque: false, bytes: bytes.into(), pepper: "p".into() }
}

fn grounds(expire_time: Option<Time>) -> Grounds {
    Grounds {
        owner: PrincipalName::stored("users/u-1"),
        title: Text::default(),
        digest: digest("one"),
        scopes: vec![],
        permissions: vec![],
        expire_time,
        is_bootstrap: false,
    }
}

fn created() -> Event {
    happened(Change::Created(grounds(Some(NOW.after(LIFE_DEFAULT)))))
}

fn create(expire_time: Time) -> Command {
    ask(Act::Create { grounds: grounds(Some(expire_time)), now: NOW })
}

fn rotate(grace: Duration) -> Command {
    ask(Act::Rotate { digest: digest("two"), expire_time: NOW.after(LIFE_DEFAULT), grace, now: NOW })
}

#[test]
fn a_key_expires_within_a_year() {
    given::<Key>([]).when(create(NOW.after(LIFE_DEFAULT))).then([created()]);
    let until = NOW.after(LIFE_MAX);
    given::<Key>([]).when(create(until)).then([happened(Change::Created(grounds(Some(until))))]);
    for given_time in [NOW, NOW.after(LIFE_MAX + Duration::from_secs(1)), Time::from_micros(0)] {
        let refused = Rejection::ExpiryOutOfRange { field: "expire_time", given: given_time, after: NOW, until };
        given::<Key>([]).when(create(given_time)).rejected(refused);
    }
}

#[test]
fn rotating_leaves_the_old_secret_its_grace_and_no_more_than_a_day() {
    let rotated = |previous_secret_expire_time| {
        let expire_time = Some(NOW.after(LIFE_DEFAULT));
        happened(Change::Rotated { digest: digest("two"), expire_time, previous_secret_expire_time })
    };
    given::<Key>([created()]).when(rotate(Duration::ZERO)).then([rotated(None)]);
    given::<Key>([created()]).when(rotate(GRACE_MAX)).then([rotated(Some(NOW.after(GRACE_MAX)))]);
    let long = GRACE_MAX + Duration::from_secs(1);
    given::<Key>([created()]).when(rotate(long)).rejected(Rejection::ExpiryOutOfRange {
        field: "grace",
        given: NOW.after(long),
        after: NOW,
        until: NOW.after(GRACE_MAX),
    });
}

#[test]
fn a_revoked_key_stays_revoked() {
    let revoke = || ask(Act::Revoke { reason: Text::default() });
    given::<Key>([created()])
        .when(revoke())
        .then([happened(Change::Revoked { reason: Text::default() })])
        .when(revoke())
        .nothing()
        .when(rotate(Duration::ZERO))
        .rejected(Rejection::KeyRevoked(name()));
}

#[test]
fn the_first_use_is_noted_once() {
    given::<Key>([created()])
        .when(ask(Act::NoteUse))
        .then([happened(Change::BootstrapUsed)])
        .when(ask(Act::NoteUse))
        .nothing();
}

#[test]
fn a_key_that_was_never_made_is_not_found() {
    for command in [rotate(Duration::ZERO), ask(Act::NoteUse), ask(Act::Revoke { reason: Text::default() })] {
        given::<Key>([]).when(command).rejected(Rejection::KeyNotFound(name()));
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (0_u64..500).prop_map(|days| create(NOW.after(Duration::from_secs(days * 86_400)))),
        (0_u64..48).prop_map(|hours| rotate(Duration::from_secs(hours * 3_600))),
        Just(ask(Act::Revoke { reason: Text::default() })),
        Just(ask(Act::NoteUse)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_of_a_key_no_secret_outlives_its_limits(commands in prop::collection::vec(any_command(), 0..20)) {
        let (mut state, mut history) = (Key::default(), vec![]);
        for command in commands {
            let before = state.stage;
            let events = state.decide(command).unwrap_or_default();
            for event in &events {
                state.evolve(event);
                match &event.change {
                    Change::Created(Grounds { expire_time: Some(end), .. }) => prop_assert!(*end <= NOW.after(LIFE_MAX)),
                    Change::Rotated { previous_secret_expire_time: Some(end), .. } => {
                        prop_assert!(*end <= NOW.after(GRACE_MAX));
                    }
                    _ => {}
                }
            }
            history.extend(events);
            prop_assert!(before != Stage::Revoked || state.stage == Stage::Revoked);
        }
        prop_assert_eq!(Key::replay(&history), state);
    }
}
