//! What every contract of ours must be like.
//!
//! A rule is a function over the descriptors that reports each violation with its file and line. There is no list of
//! exceptions: a rule that is wrong is changed for everybody. What a compatibility dialect may do differently follows
//! from one principle: its services and messages are field for field as another product published them, so rules of
//! shape do not apply to them, while everything that our own machinery acts on does (routes, access, audit, resources,
//! comments).

mod bad;
mod comments;
mod events;
mod fields;
mod lists;
mod names;
mod reasons;
mod requests;
mod routes;
mod surface;

use std::fmt::Display;

use cairn_contract::{Contract, Declared};

use surface::Surface;

type Rule = fn(&Surface<'_>, &mut Report);

const RULES: &[Rule] = &[
    comments::everything_is_explained,
    events::events_are_facts_with_a_place,
    fields::enums_start_at_unspecified,
    fields::sensitive_fields_are_marked,
    fields::sixty_four_bits_have_a_reason,
    fields::times_are_timestamps,
    lists::lists_page,
    names::names_follow_their_kind,
    names::packages_are_directories,
    reasons::reasons_have_a_code_and_a_comment,
    requests::changes_can_be_repeated,
    requests::only_uploads_stream_in,
    requests::requests_are_named_after_their_method,
    requests::resources_can_be_told_apart,
    requests::standard_methods_return_their_resource,
    routes::access_is_decided_from_the_path,
    routes::bodies_and_variables_are_fields,
    routes::no_route_shadows_another,
    routes::permissions_are_three_words,
    routes::verbs_tell_reads_from_changes,
];

/// The violations found so far.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn add(&mut self, declared: &impl Declared, violation: impl Display) {
        self.0.push(format!("{}: {}: {violation}", declared.place(), declared.full_name()));
    }
}

/// Everything that is wrong with a contract that loads.
fn violations(contract: &Contract) -> Vec<String> {
    let surface = Surface::of(contract);
    let mut report = Report::default();
    RULES.iter().for_each(|rule| rule(&surface, &mut report));
    report.0.sort();
    report.0
}

#[test]
fn our_contract_keeps_every_rule() {
    let violations = violations(Contract::embedded().unwrap());
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
