use std::time::Duration;

use cairn_kernel::{Aggregate, Time};
use cairn_testkit::given;
use proptest::prelude::*;

use super::{Act, BreakGlass, Change, Command, Event, LIFE_MAX, Request, State};
use crate::model::{ActivationName, Rejection, Text, UserName};

const NOW: Time = Time::from_millis(1_800_000_000_000);
const DELAY: Duration = Duration::from_mins(10);
const ASKED: Duration = Duration::from_mins(30);

fn name() -> ActivationName {
    ActivationName::stored("organizations/acme/breakGlassActivations/a")
}

fn by(user: &str, act: Act) -> Command {
    Command { activation: name(), by: UserName::stored(format!("users/{user}")), act }
}

fn happened(change: Change) -> Event {
    Event { activation: name(), change }
}

fn ask(now: Time) -> Command {
    let resource = "organizations/acme".parse().unwrap();
    let (reason, ticket) = (Text::stored("down"), Text::stored("T-1"));
    by("ada", Act::Request { resource, reason, ticket, life: ASKED, delay: DELAY, now })
}

fn requested() -> Event {
    happened(Change::Requested(Request {
        principal: UserName::stored("users/ada"),
        resource: "organizations/acme".parse().unwrap(),
        reason: Text::stored("down"),
        ticket: Text::stored("T-1"),
        life: ASKED,
        activate_time: NOW.after(DELAY),
    }))
}

fn activated(approver: Option<&str>, at: Time) -> Event {
    let expire_time = at.after(ASKED);
    happened(Change::Activated {
        approver: approver.map(|id| UserName::stored(format!("users/{id}"))),
        expire_time,
        review_due_time: expire_time.after(Duration::from_hours(5 * 24)),
    })
}

fn end(now: Time) -> Command {
    by("ada", Act::End { reason: Text::default(), now })
}

fn review(who: &str, now: Time) -> Command {
    by(who, Act::Review { review: Text::stored("fine"), now })
}

fn person(what: &'static str) -> Rejection {
    Rejection::BreakGlassPerson { activation: name(), what }
}

fn wrong(state: State) -> Rejection {
    Rejection::BreakGlassState { activation: name().to_string(), state }
}

#[test]
fn a_second_person_gives_the_role_at_once_and_never_to_themselves() {
    given::<BreakGlass>([]).when(ask(NOW)).then([requested()]);
    let own = person("agreed to by somebody else than who asked");
    given::<BreakGlass>([requested()]).when(by("ada", Act::Approve { now: NOW })).rejected(own);
    given::<BreakGlass>([requested()])
        .when(by("bob", Act::Approve { now: NOW }))
        .then([activated(Some("bob"), NOW)])
        .when(by("eve", Act::Approve { now: NOW }))
        .nothing();
}

#[test]
fn alone_it_takes_ten_minutes() {
    let activate_time = NOW.after(DELAY);
    let early = by("ada", Act::Activate { now: Time::from_micros(activate_time.micros() - 1) });
    let refused = Rejection::BreakGlassTooEarly { activation: name(), activate_time };
    given::<BreakGlass>([requested()]).when(early).rejected(refused);
    let late = by("ada", Act::Activate { now: activate_time });
    given::<BreakGlass>([requested()]).when(late).then([activated(None, activate_time)]);
    let other = by("bob", Act::Activate { now: activate_time });
    given::<BreakGlass>([requested()]).when(other).rejected(person("taken by who asked for it"));
}

#[test]
fn what_nobody_agreed_to_within_a_day_has_lapsed_and_what_is_over_stays_over() {
    let tomorrow = NOW.after(DELAY).after(Duration::from_hours(24));
    given::<BreakGlass>([requested()]).when(by("bob", Act::Approve { now: tomorrow })).rejected(wrong(State::Lapsed));
    let over = NOW.after(ASKED);
    let used = || [requested(), activated(Some("bob"), NOW)];
    given::<BreakGlass>(used()).when(by("bob", Act::Approve { now: over })).rejected(wrong(State::Ended));
    given::<BreakGlass>(used()).when(end(over)).nothing();
    given::<BreakGlass>(used()).when(end(NOW)).then([happened(Change::Ended { reason: Text::default() })]);
}

#[test]
fn somebody_else_looks_at_what_was_done_once_it_is_over() {
    let used = || [requested(), activated(Some("bob"), NOW)];
    let over = NOW.after(ASKED);
    given::<BreakGlass>(used()).when(review("bob", NOW)).rejected(wrong(State::Active));
    let own = person("reviewed by somebody else than who asked");
    given::<BreakGlass>(used()).when(review("ada", over)).rejected(own);
    given::<BreakGlass>(used())
        .when(review("bob", over))
        .then([happened(Change::Reviewed { review: Text::stored("fine") })])
        .when(review("eve", over))
        .nothing();
    let taken_back = [requested(), happened(Change::Ended { reason: Text::default() })];
    given::<BreakGlass>(taken_back).when(review("bob", over)).rejected(wrong(State::Ended));
    given::<BreakGlass>([]).when(review("bob", NOW)).rejected(Rejection::BreakGlassNotFound(name()));
}

proptest! {
    #[test]
    fn nobody_holds_the_role_for_longer_than_an_hour_nor_twice(
        acts in prop::collection::vec((0..5u8, prop::sample::select(vec!["ada", "bob"]), 0..90u64), 0..30)
    ) {
        let (mut state, mut history, mut now) = (BreakGlass::default(), vec![], NOW);
        for (act, who, minutes) in acts {
            now = now.after(Duration::from_mins(minutes));
            let command = match act {
                0 => ask(now),
                1 => by(who, Act::Approve { now }),
                2 => by(who, Act::Activate { now }),
                3 => end(now),
                _ => review(who, now),
            };
            for event in state.decide(command).unwrap_or_default() {
                if let Change::Activated { expire_time, .. } = &event.change {
                    prop_assert!(state.expire_time().is_none(), "given twice");
                    prop_assert!(expire_time.since(now) <= LIFE_MAX);
                }
                state.evolve(&event);
                history.push(event);
            }
        }
        prop_assert_eq!(BreakGlass::replay(&history), state);
    }
}
