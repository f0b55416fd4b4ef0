//! Any search finds what reading everything would find, and none reads everything to find little.

use std::sync::Arc;

use cairn_contract::cairn::auth::events::v1::ProjectCreated;
use cairn_contract::cairn::ledger::events::v1::{AccessDenied, Call};
use cairn_contract::cairn::ledger::v1::Outcome;
use cairn_eventstore::Recorded;
use cairn_kernel::{Metadata, Name, Position, Revision, StreamName, Time};
use cairn_projection::Projection;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message;
use rusqlite::Connection;
use uuid::Uuid;

use super::conditions::Conditions;
use super::named::{QueryTooBroad, resolve};
use super::{Wanted, positions};
use crate::journal::Journal;
use crate::names;
use crate::page::Page;
use crate::scope::Scope;
use cairn_service::entry::Entry;

const PRINCIPALS: [&str; 3] = ["users/a", "users/b", ""];
const ACTIONS: [&str; 3] = ["auth.projects.create", "experiments.runs.create", "ledger.audit.read"];
const RESOURCES: [&str; 6] =
    ["projects/a", "projects/a/runs/1", "projects/a/runs/10", "projects/ab", "users/a", "projects/a/runs/1/logs/x"];
const KINDS: [&str; 3] = ["cairn.x.v1.Made", "cairn.x.v1.Moved", "other"];
const REQUESTS: [&str; 3] = ["", "one", "two"];

fn recorded(at: usize, (who, action, resource, kind, request, is_denied): Happening) -> Arc<Recorded> {
    let metadata = Metadata {
        principal: who.into(),
        action: action.into(),
        resource: resource.into(),
        request_id: request.into(),
        ..Metadata::default()
    };
    let call = Call { principal: who.into(), resource: resource.into(), request_id: request.into(), ..Call::default() };
    let denied = AccessDenied { call: Some(call), permission: action.into(), ..AccessDenied::default() };
    let made = ProjectCreated { project: resource.into(), ..ProjectCreated::default() };
    let (stream, kind, payload) = if is_denied {
        ("ledger.access-projects/a/day".to_owned(), "cairn.ledger.events.v1.AccessDenied", denied.encode_to_vec())
    } else {
        (format!("x.thing-{resource}"), kind, made.encode_to_vec())
    };
    Arc::new(Recorded {
        id: Uuid::from_u128(at as u128),
        stream: StreamName::stored(stream),
        kind: kind.into(),
        revision: Revision(0),
        position: Position(at as u64 + 1),
        // Several at one moment, and moments without any.
        time: Time::from_micros(at as i64 / 3 * 10),
        payload: payload.into(),
        metadata: metadata.encode().into(),
    })
}

type Happening = (&'static str, &'static str, &'static str, &'static str, &'static str, bool);

fn happening() -> impl Strategy<Value = Happening> {
    let is_denied = prop::bool::weighted(0.2);
    (select(&PRINCIPALS), select(&ACTIONS), select(&RESOURCES), select(&KINDS), select(&REQUESTS), is_denied)
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let maybe = |texts: &'static [&'static str]| prop::option::weighted(0.25, select(texts).prop_map(str::to_owned));
    let texts = (maybe(&PRINCIPALS), maybe(&ACTIONS), maybe(&["one", "two", "three"]));
    let streams =
        (maybe(&["x.thing-projects/a", "ledger.access-projects/a/day"]), maybe(&["x.thing", "ledger.access"]));
    let kinds = prop::option::weighted(0.25, prop::collection::vec(select(&KINDS).prop_map(str::to_owned), 1..3));
    let outcome = prop::option::weighted(0.25, select(&[Outcome::Committed, Outcome::Denied, Outcome::Read]));
    let time = || prop::option::weighted(0.25, (-10..400i64).prop_map(Time::from_micros));
    let bound = || prop::option::weighted(0.25, (0..120u64).prop_map(Position));
    (texts, streams, kinds, outcome, (time(), time()), (bound(), bound()), any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(
            |(
                (principal, action, request),
                (stream, category),
                kinds,
                outcome,
                times,
                (after, until),
                is_oldest_first,
                is_exact,
            )| {
                Wanted {
                    principal,
                    action,
                    request,
                    stream,
                    category,
                    kinds,
                    outcome,
                    times,
                    after,
                    until,
                    is_exact,
                    is_oldest_first,
                    named: vec![],
                }
            },
        )
}

/// Whether an event fits, said as plainly as can be.
fn fits(event: &Recorded, scope: &Scope, wanted: &Wanted) -> bool {
    let entry = Entry::of(event).unwrap();
    let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
    let lies_in = if wanted.is_exact { scope.0.contains(&entry.resource) } else { scope.covers(&entry.resource) };
    lies_in
        && is(&wanted.principal, &entry.metadata.principal)
        && is(&wanted.action, &entry.action)
        && is(&wanted.request, &entry.metadata.request_id)
        && is(&wanted.stream, event.stream.as_str())
        && is(&wanted.category, event.stream.category())
        && wanted.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| **kind == *event.kind))
        && wanted.outcome.is_none_or(|outcome| outcome == entry.outcome)
        && wanted.times.0.is_none_or(|from| event.time >= from)
        && wanted.times.1.is_none_or(|to| event.time < to)
        && wanted.after.is_none_or(|after| event.position > after)
        && wanted.until.is_none_or(|until| event.position <= until)
}

/// Whether each word of a query begins a part of who, what, where, or what lies above that.
fn is_named(event: &Recorded, words: &[String]) -> bool {
    let Entry { metadata, action, resource, .. } = Entry::of(event).unwrap();
    let names = [metadata.principal.as_str(), &action].into_iter().chain(names::line_of(resource.as_str()));
    let parts: Vec<String> = names.flat_map(names::parts).collect();
    words.iter().all(|word| parts.iter().any(|part| part.starts_with(word.as_str())))
}

fn journal(events: &[Arc<Recorded>]) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(Journal::SCHEMA).unwrap();
    let tx = connection.transaction().unwrap();
    Journal.apply(&tx, events).unwrap();
    tx.commit().unwrap();
    connection
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_reading_everything_finds(
        happenings in prop::collection::vec(happening(), 0..120),
        wanted in wanted(),
        scopes in prop::collection::vec(any::<Index>(), 0..3),
        sees_all in any::<bool>(),
        size in 1..20usize,
        words in prop::collection::vec(select(&["a", "ab", "1", "x", "run", "create", "unheard"]), 0..3),
    ) {
        let events: Vec<_> = happenings.into_iter().enumerate().map(|(at, what)| recorded(at, what)).collect();
        let connection = journal(&events);
        let words = names::words(&words.join(" "));
        let wanted = Wanted { named: resolve(&connection, &words).unwrap().unwrap(), ..wanted };
        let mut names: Vec<Name> = scopes.iter().map(|at| at.get(&RESOURCES).parse().unwrap()).collect();
        let all = names.clone();
        names.retain(|name| !all.iter().any(|other| other != name && other.covers(name)));
        names.dedup();
        let scope = Scope(if sees_all && !wanted.is_exact { vec![Name::ROOT] } else { names });

        let mut expected: Vec<_> = events
            .iter()
            .filter(|e| fits(e, &scope, &wanted) && is_named(e, &words))
            .map(|e| e.position)
            .collect();
        if !wanted.is_oldest_first {
            expected.reverse();
        }
        let (mut found, mut page) = (vec![], Page { size, after: None });
        loop {
            let (positions, has_more) = positions(&connection, &scope, &wanted, page).unwrap();
            prop_assert!(positions.len() <= size);
            page.after = positions.last().copied();
            found.extend(positions);
            if !has_more {
                break;
            }
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn every_filter_is_answered_by_an_index_in_the_order_of_the_log() {
    let events: Vec<_> = RESOURCES
        .iter()
        .enumerate()
        .map(|(at, resource)| recorded(at, (PRINCIPALS[0], ACTIONS[0], resource, KINDS[0], REQUESTS[1], at == 0)))
        .collect();
    let connection = journal(&events);
    let text = |text: &str| Some(text.to_owned());
    let any = Wanted::default;
    for (wanted, under, index) in [
        (any(), "*", "SCAN entry"),
        (Wanted { principal: text("users/a"), ..any() }, "*", "entry_by_principal"),
        (Wanted { action: text(ACTIONS[0]), ..any() }, "*", "entry_by_action"),
        (Wanted { request: text("one"), principal: text("users/a"), ..any() }, "projects/a", "entry_by_request"),
        (Wanted { kinds: Some(vec![KINDS[0].to_owned()]), ..any() }, "*", "entry_by_kind"),
        (Wanted { outcome: Some(Outcome::Denied), ..any() }, "*", "entry_by_refusal"),
        (Wanted { kinds: Some(KINDS.map(str::to_owned).to_vec()), ..any() }, "*", "entry_by_kind"),
        (Wanted { stream: text("x.thing-projects/ab"), ..any() }, "*", "entry_by_stream"),
        (any(), "projects/a/runs/1", "entry_by_resource"),
        (any(), "projects/a", "entry_by_project"),
        (any(), "users/a", "entry_by_resource"),
        (Wanted { is_exact: true, ..any() }, "projects/a", "entry_by_resource"),
        (Wanted { after: Some(Position(3)), ..any() }, "*", "INTEGER PRIMARY KEY"),
    ] {
        let page = Page { size: 10, after: None };
        let name = under.parse().unwrap();
        let bases = Conditions::of(&connection, &wanted, page).unwrap();
        let searches = bases.into_iter().flat_map(|base| base.within(&connection, &name, wanted.is_exact).unwrap());
        let plans: Vec<String> = searches.map(|search| plan(&connection, &search.statement(false, 10))).collect();
        assert!(!plans.is_empty(), "its words are known");
        for plan in plans {
            assert!(plan.contains(index), "{wanted:?} under {under}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{wanted:?} under {under} sorts: {plan}");
        }
    }
}

#[test]
fn a_word_that_stands_for_too_much_is_refused_before_anything_is_searched() {
    let many = (0..100).map(|at| recorded(at, ("users/a", "x.y.z", "projects/a", "made", "", false)));
    let events: Vec<_> = many
        .enumerate()
        .map(|(at, event)| {
            let stream = StreamName::stored(format!("x.thing-projects/a/runs/try-{at}"));
            let metadata = Metadata { resource: format!("projects/a/runs/try-{at}"), ..Metadata::default() };
            Arc::new(Recorded { stream, metadata: metadata.encode().into(), ..(*event).clone() })
        })
        .collect();
    let connection = journal(&events);
    let found = |query: &str| resolve(&connection, &names::words(query)).unwrap();
    assert_eq!(found("a try"), Err(QueryTooBroad::Word { word: "try".into() }));
    assert_eq!(found("1 2 3 4 5 6 7 8 9"), Err(QueryTooBroad::Words(9)));
    let names = found("a 99").unwrap();
    assert_eq!(names.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
}

fn plan(connection: &Connection, statement: &str) -> String {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", statement.replace('?', "1"))).unwrap();
    let steps = plan.query_map([], |row| row.get::<_, String>("detail")).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}
