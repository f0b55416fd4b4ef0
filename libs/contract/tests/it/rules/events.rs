use std::collections::HashSet;

use prost_reflect::{Kind, MessageDescriptor};

use super::Report;
use super::surface::{Surface, is_events, service_of};

/// Past participles that do not end in "ed".
const IRREGULAR: &[&str] = &[
    "Begun",
    "Bound",
    "Broken",
    "Built",
    "Chosen",
    "Cut",
    "Found",
    "Frozen",
    "Given",
    "Gone",
    "Grown",
    "Held",
    "Hidden",
    "Kept",
    "Known",
    "Left",
    "Lost",
    "Made",
    "Met",
    "Paid",
    "Put",
    "Read",
    "Reset",
    "Run",
    "Seen",
    "Sent",
    "Set",
    "Shown",
    "Spent",
    "Split",
    "Sunk",
    "Taken",
    "Thrown",
    "Torn",
    "Understood",
    "Unset",
    "Withdrawn",
    "Won",
    "Written",
];

/// Words that say that something happened without saying what.
const VAGUE: &[&str] = &["Changed", "Edited", "Event", "Modified", "Updated"];

/// An event says in the past tense what happened, and in which streams it lives.
pub fn events_are_facts_with_a_place(surface: &Surface<'_>, report: &mut Report) {
    let mut carried = HashSet::new();
    for event in surface.contract.events() {
        let package = event.descriptor.package_name();
        if !is_events(package) {
            report.add(&event.descriptor, "has a stream, so it must stand in cairn.<service>.events.v<N>");
        }
        let is_ours = event.category.strip_prefix(service_of(package)).is_some_and(|rest| rest.starts_with('.'));
        if !is_ours || event.category.contains('-') {
            report.add(
                &event.descriptor,
                format!("its category {:?} must be {}.<noun> without '-'", event.category, service_of(package)),
            );
        }
        let last = last_word(event.descriptor.name());
        if VAGUE.contains(&last) {
            report.add(&event.descriptor, format!("{last} does not say what happened"));
        } else if !last.ends_with("ed") && !IRREGULAR.contains(&last) {
            report.add(&event.descriptor, format!("must be in the past tense, and {last} is not"));
        }
        carry(&event.descriptor, &mut carried);
    }
    for message in surface.messages().filter(|message| is_events(message.package_name())) {
        if !carried.contains(message.full_name()) {
            report.add(&message, "is neither an event (no stream) nor part of one");
        }
    }
}

/// Collects a message and everything in it.
fn carry(message: &MessageDescriptor, carried: &mut HashSet<String>) {
    if !carried.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            carry(&inner, carried);
        }
    }
}

fn last_word(name: &str) -> &str {
    name.rfind(|letter: char| letter.is_ascii_uppercase()).map_or(name, |at| &name[at..])
}
