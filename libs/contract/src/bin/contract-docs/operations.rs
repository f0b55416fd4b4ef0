use std::collections::BTreeMap;
use std::fmt::Write;

use cairn_contract::cairn::options::v1::{Process, Unwritten};
use cairn_contract::{Contract, Declared, EventType, Method};
use prost_reflect::EnumDescriptor;

use crate::markdown::{prose, table};

const HEAD: &str = "# What writes which events

Generated from the options `writes` and `stream` in `proto/` by `make docs`; do not edit.

Every operation that changes something, with every type of event that it can write into the log: one call writes some of
them, none if it changes nothing, and never another one. The guard's records of a call come besides (see [the end of
this page](#by-itself)). Operations that are not listed only read. A build that is tested holds each append against this
table. What each event says is in [events.md](events.md); the full name of `RunCreated` is
`cairn.experiments.events.v1.RunCreated` if `experiments` stands before it.
";

/// Every change with its events, by service, and then what Cairn writes by itself.
pub fn page(contract: &Contract) -> String {
    let mut text = HEAD.to_owned();
    let mut services = BTreeMap::<&str, Vec<&Method>>::new();
    for method in contract.methods().iter().filter(|method| !method.is_read) {
        services.entry(&method.service).or_default().push(method);
    }
    for (service, methods) in services {
        let rows: Vec<Vec<String>> = methods.iter().map(|method| row(contract, method)).collect();
        let _ = write!(text, "\n## `{service}`\n\n{}", table(&["Operation", "Permission", "Events"], &rows));
    }
    let _ = write!(text, "\n## By itself\n\nWhat Cairn writes without having been asked to by an operation.\n\n");
    let rows: Vec<Vec<String>> = processes(contract).iter().map(|process| process.row()).collect();
    text.push_str(&table(&["Name", "When", "Events"], &rows));
    text
}

/// Who writes an event, in words: operations and processes.
pub fn writers(contract: &Contract, event: &EventType) -> String {
    let operations = contract.methods().iter().filter(|method| method.events.contains(&event.full_name));
    let operations = operations.map(|method| format!("`{}`", short(method)));
    let processes = event.by.iter().map(|process| format!("[{}](operations.md#by-itself)", word(*process)));
    operations.chain(processes).collect::<Vec<_>>().join(", ")
}

fn row(contract: &Contract, method: &Method) -> Vec<String> {
    let permission = match method.is_public {
        true => "public".to_owned(),
        false => format!("`{}`", method.permission),
    };
    let events = match method.unwritten {
        Unwritten::Unspecified => events(method.events.iter()),
        why => format!("none: {}", lower(&comment(contract, "cairn.options.v1.Unwritten", why.as_str_name()))),
    };
    vec![format!("`{}`", method.name), permission, events]
}

/// Something that Cairn does by itself.
struct Listed {
    process: Process,
    when: String,
    events: Vec<String>,
}

impl Listed {
    fn row(&self) -> Vec<String> {
        vec![word(self.process), self.when.clone(), events(self.events.iter())]
    }
}

/// All there are, in the order of the contract.
fn processes(contract: &Contract) -> Vec<Listed> {
    let declared = enumeration(contract, "cairn.options.v1.Process");
    let numbers = declared.values().map(|value| value.number()).filter(|number| *number != 0).collect::<Vec<_>>();
    let processes = numbers.into_iter().filter_map(|number| Process::try_from(number).ok());
    let listed = processes.map(|process| {
        let events = contract.events().filter(|event| event.by.contains(&process));
        Listed {
            process,
            when: comment(contract, "cairn.options.v1.Process", process.as_str_name()),
            events: events.map(|event| event.full_name.clone()).collect(),
        }
    });
    listed.collect()
}

fn enumeration(contract: &Contract, name: &str) -> EnumDescriptor {
    contract.pool().get_enum_by_name(name).expect("the contract declares its own options")
}

fn comment(contract: &Contract, name: &str, value: &str) -> String {
    let value = enumeration(contract, name).values().find(|declared| declared.name() == value);
    value.map(|value| prose(&value.comment())).unwrap_or_default()
}

/// `PROCESS_RUN_LOG_END` as people say it: `run log end`.
fn word(process: Process) -> String {
    process.as_str_name().trim_start_matches("PROCESS_").to_lowercase().replace('_', " ")
}

/// `experiments.RunService.CreateRun`.
fn short(method: &Method) -> String {
    let parts: Vec<&str> = method.service.split('.').collect();
    format!("{}.{}.{}", parts.get(1).unwrap_or(&""), parts.last().unwrap_or(&""), method.name)
}

/// `experiments.RunCreated`, and so on.
fn events<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let short = names.map(|name| {
        let parts: Vec<&str> = name.split('.').collect();
        format!("`{}.{}`", parts.get(1).unwrap_or(&""), parts.last().unwrap_or(&""))
    });
    short.collect::<Vec<_>>().join(", ")
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_change_has_a_line_and_every_event_a_writer_s3_57() {
        let contract = Contract::embedded().unwrap();
        let page = page(contract);
        let sections: Vec<&str> = page.split("\n## ").collect();
        for method in contract.methods() {
            let section = sections.iter().find(|section| section.starts_with(&format!("`{}`", method.service)));
            let line = section
                .and_then(|section| section.lines().find(|line| line.starts_with(&format!("| `{}` |", method.name))));
            assert_eq!(line.is_some(), !method.is_read, "{}", method.path);
            let Some(line) = line else { continue };
            let cell = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            assert_eq!(cell.starts_with("none: "), method.events.is_empty(), "{line}");
            let named: Vec<&str> = cell.split(", ").filter(|_| !method.events.is_empty()).collect();
            assert_eq!(named.len(), method.events.len(), "{line}");
        }
        let (mut seen, mut unwritten) = (BTreeSet::new(), vec![]);
        for event in contract.events() {
            let name = events(std::iter::once(&event.full_name));
            assert!(seen.insert(name.clone()), "two events are called {name}");
            if !page.contains(&name) || writers(contract, event).is_empty() {
                unwritten.push(name);
            }
        }
        assert_eq!(unwritten, [""; 0]);
        assert!(processes(contract).iter().all(|process| !process.events.is_empty() && !process.when.is_empty()));
    }

    #[test]
    fn words_are_those_of_the_contract() {
        assert_eq!(word(Process::RunLogEnd), "run log end");
        assert_eq!(lower("It is sent. Once."), "it is sent. Once");
        assert_eq!(events(["cairn.a.events.v1.BornHere".to_owned()].iter()), "`a.BornHere`");
    }
}
