use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::MethodDescriptor;

use crate::cairn::options::v1::{Process, Unwritten, Writes};
use crate::options::{Declared, message_option};
use crate::{EventType, Method};

/// What a method writes: the full names of its events, or why there are none. A read has neither.
pub(crate) fn read(
    descriptor: &MethodDescriptor,
    is_read: bool,
    events: &BTreeMap<String, EventType>,
    fault: &mut impl FnMut(&str),
) -> (Vec<String>, Unwritten) {
    let writes = message_option::<Writes>(descriptor.parent_pool(), descriptor, "cairn.options.v1.writes");
    let nothing = (vec![], Unwritten::Unspecified);
    let Some(writes) = writes else {
        if !is_read {
            fault("changes something, and has no (cairn.options.v1.writes) that says what it writes");
        }
        return nothing;
    };
    if is_read {
        fault("changes nothing, and yet has (cairn.options.v1.writes)");
        return nothing;
    }
    let unwritten = writes.unwritten();
    if writes.events.is_empty() == (unwritten == Unwritten::Unspecified) {
        fault("must have either events that it writes or a reason why there are none");
    }
    let mut named = vec![];
    for name in &writes.events {
        match found(events, name).as_slice() {
            [] => fault(&format!("writes {name}, which is no event")),
            [event] if named.contains(*event) => fault(&format!("writes {name}, and says so twice")),
            [event] => named.push((*event).to_owned()),
            several => fault(&format!("writes {name}, which could be any of {several:?}")),
        }
    }
    (named, unwritten)
}

/// The events that a name can mean: the end of their full names, from a dot on.
fn found<'a>(events: &'a BTreeMap<String, EventType>, name: &str) -> Vec<&'a String> {
    let is_meant = |full: &str| full.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    events.keys().filter(|full| is_meant(full)).collect()
}

/// Complains of every event that nothing writes.
pub(crate) fn check_all_are_written(
    methods: &[Method],
    events: &BTreeMap<String, EventType>,
    faults: &mut Vec<String>,
) {
    let written: BTreeSet<&String> = methods.iter().flat_map(|method| &method.events).collect();
    for event in events.values() {
        let place = event.descriptor.place();
        if event.by.contains(&Process::Unspecified) {
            faults.push(format!("{place}: {}: is written by a process that is not named", event.full_name));
        }
        if event.by.is_empty() && !written.contains(&event.full_name) {
            faults.push(format!("{place}: {}: is an event that no operation and no process writes", event.full_name));
        }
    }
}
