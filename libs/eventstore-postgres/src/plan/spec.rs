use std::borrow::Cow;

use bytes::Bytes;
use cairn_kernel::Expected;

use super::*;

const END: End = End { position: 10, time: Time::from_micros(500), streams: 1, kinds: 1, retentions: 0 };

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn event(n: u128) -> NewEvent {
    NewEvent { id: id(n), kind: Cow::Borrowed("t.Known"), payload: Bytes::new(), metadata: Bytes::new() }
}

fn name(text: &str) -> StreamName {
    StreamName::of("t", text)
}

fn write<const N: usize>(stream: &str, expected: Expected, events: [u128; N]) -> Write {
    Write::new(name(stream), expected, events.map(event).into())
}

fn at(revision: u64) -> Expected {
    Expected::Exactly(Revision(revision))
}

/// Stream `old` has three events, the last of them 3 at position 10; `new` has none.
fn facts() -> Facts {
    let old = Head { stream: Some(1), last: Some((2, id(3))), is_retained: false };
    Facts {
        heads: HashMap::from([(name("old"), old), (name("new"), Head::default())]),
        kinds: HashMap::from([("t.Known".into(), 1)]),
        ..Facts::default()
    }
}

fn planned(facts: &Facts, appends: &[Vec<Write>]) -> Result<Plan, Lack> {
    let wishes: Vec<_> = appends.iter().map(|writes| Wish::Append(writes)).collect();
    plan(&wishes, facts, END, Time::from_micros(700), false)
}

fn outcomes(facts: &Facts, appends: &[Vec<Write>]) -> Vec<Result<Appended, AppendFault>> {
    let plan = planned(facts, appends).unwrap_or_else(|lack| panic!("it asks for {lack:?}"));
    let appended = |outcome| match outcome {
        Outcome::Appended(outcome) => outcome,
        Outcome::Retained => panic!("nothing was to be retained"),
    };
    plan.outcomes.into_iter().map(appended).collect()
}

fn done(position: u64, revisions: &[Option<u64>], is_repeat: bool) -> Result<Appended, AppendFault> {
    let revisions = revisions.iter().map(|revision| revision.map(Revision)).collect();
    Ok(Appended { position: Position(position), revisions, is_repeat })
}

#[test]
fn appends_go_on_from_the_end_and_from_each_other() {
    let appends = [
        vec![write("old", at(2), [4, 5]), write("new", Expected::NoStream, [6])],
        vec![write("new", at(0), [7])],
        vec![write("old", at(4), [])],
    ];
    let plan = planned(&facts(), &appends).expect("all is known");
    assert_eq!(plan.end, End { position: 14, time: Time::from_micros(700), streams: 2, ..END });
    assert_eq!(plan.streams, [(2, name("new"))]);
    assert!(plan.kinds.is_empty());
    let rows: Vec<_> = plan.events.iter().map(|row| (row.stream, row.fresh.event.revision.0)).collect();
    assert_eq!(rows, [(1, 3), (1, 4), (2, 0), (2, 1)]);
    let appended: Vec<_> = plan.outcomes.into_iter().collect();
    let expected = [done(13, &[Some(4), Some(0)], false), done(14, &[Some(1)], false), done(14, &[Some(4)], false)];
    assert_eq!(appended, expected.map(Outcome::Appended));
}

#[test]
fn a_clock_that_went_back_does_not_take_the_log_with_it() {
    let writes = vec![write("old", Expected::Any, [4])];
    let plan = plan(&[Wish::Append(&writes)], &facts(), END, Time::from_micros(3), false).expect("all is known");
    assert_eq!((plan.end.time, plan.events[0].fresh.event.time), (END.time, END.time));
}

#[test]
fn heads_that_are_not_known_are_asked_for_all_at_once() {
    let appends = [vec![write("a", Expected::Any, [4])], vec![write("b", at(9), [5]), write("old", at(2), [])]];
    let lack = planned(&facts(), &appends).err().expect("two are not known");
    assert_eq!(lack.heads, HashSet::from([name("a"), name("b")]));
}

#[test]
fn a_refusal_is_certain_only_when_the_events_are_not_there() {
    let mut facts = facts();
    let appends = [vec![write("old", at(1), [3])], vec![write("new", at(5), [8])], vec![write("old", at(2), [4])]];
    let lack = planned(&facts, &appends).err().expect("they may be there");
    assert_eq!(lack.known, HashSet::from([(name("old"), id(3)), (name("new"), id(8))]));
    facts.known = HashMap::from([((name("old"), id(3)), Some(10)), ((name("new"), id(8)), None)]);
    let lack = planned(&facts, &appends).err().expect("where the stream was then is not known");
    assert_eq!(lack.pasts, HashSet::from([(name("old"), 10)]));
    facts.pasts = HashMap::from([((name("old"), 10), Some(2))]);
    let refused = AppendFault::WrongRevision { stream: name("new"), expected: at(5), actual: None };
    assert_eq!(outcomes(&facts, &appends), [done(10, &[Some(2)], true), Err(refused), done(11, &[Some(3)], false)]);
}

#[test]
fn a_repeat_of_one_in_the_same_batch_is_answered_as_that_one() {
    let first = vec![write("new", Expected::NoStream, [4, 5]), write("old", at(2), [])];
    let other = vec![write("new", at(1), [6])];
    let again = vec![write("new", Expected::Any, [4, 5]), write("old", Expected::Any, [])];
    let partly = vec![write("new", Expected::Any, [5, 9])];
    let mut facts = facts();
    let appends = [first, other, again, partly];
    let lack = planned(&facts, &appends).err().expect("9 may be there");
    assert_eq!(lack.known, HashSet::from([(name("new"), id(9))]));
    facts.known = HashMap::from([((name("new"), id(9)), None)]);
    let answers = outcomes(&facts, &appends);
    assert_eq!(answers[0], done(12, &[Some(1), Some(2)], false));
    assert_eq!(answers[2], done(12, &[Some(1), Some(2)], true));
    assert_eq!(answers[3], Err(AppendFault::PartlyAppended { stream: name("new") }));
}

#[test]
fn whoever_is_careful_looks_for_every_event() {
    let writes = vec![write("old", Expected::Any, [3])];
    let careful = |facts: &Facts| plan(&[Wish::Append(&writes)], facts, END, END.time, true);
    let mut facts = facts();
    assert_eq!(careful(&facts).err().expect("3 may be there").known, HashSet::from([(name("old"), id(3))]));
    facts.known = HashMap::from([((name("old"), id(3)), None)]);
    assert_eq!(careful(&facts).expect("all is known").end.position, 11);
}

#[test]
fn a_refused_append_leaves_no_name_and_no_number() {
    let new_kind = NewEvent { kind: Cow::Borrowed("t.New"), ..event(4) };
    let refused = vec![Write::new(name("new"), Expected::Exists, vec![new_kind.clone()])];
    let mut facts = facts();
    facts.known = HashMap::from([((name("new"), id(4)), None)]);
    let plan = planned(&facts, &[refused]).expect("all is known");
    assert!(plan.is_idle() && plan.streams.is_empty() && plan.kinds.is_empty());
    assert_eq!(plan.end.streams, END.streams);
    let accepted = vec![Write::new(name("new"), Expected::NoStream, vec![new_kind])];
    let plan = planned(&facts, &[accepted]).expect("all is known");
    assert_eq!((plan.kinds, plan.end.kinds), (vec![(2, "t.New".into())], 2));
}

#[test]
fn what_is_kept_of_a_stream_counts_for_what_follows() {
    let writes = vec![write("new", Expected::Any, [4])];
    let one = Retention { max_count: Some(1), ..Retention::default() };
    let stream = name("new");
    let wishes = [Wish::Retain(&stream, one), Wish::Append(&writes), Wish::Retain(&stream, Retention::default())];
    let plan = plan(&wishes, &facts(), END, END.time, false).expect("all is known");
    assert!(plan.events[0].fresh.is_retained);
    assert_eq!((plan.retentions, plan.end.retentions), (vec![(2, Retention::default())], 2));
}
