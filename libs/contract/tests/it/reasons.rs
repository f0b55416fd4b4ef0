use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cairn_contract::{Contract, Declared};

/// `NotFound` as `NOT_FOUND`, for each code that a fault may carry.
fn codes() -> Vec<(String, String)> {
    let declared = Contract::embedded().unwrap().pool().get_enum_by_name("google.rpc.Code").unwrap();
    let pascal = |name: &str| -> String {
        let word = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
        name.split('_').map(word).collect()
    };
    declared.values().map(|value| (pascal(value.name()), value.name().to_owned())).collect()
}

/// Every `.rs` file of the program itself: tests may make reasons up.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "tests" | "testkit" | "python") {
            sources(&path, found);
        } else if name.ends_with(".rs") && !matches!(name, "spec.rs" | "tests.rs") {
            found.push(path);
        }
    }
}

/// Every source of the program: its path in the repository, and its text.
fn program() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![];
    ["libs", "services", "gateway"].into_iter().for_each(|folder| sources(&root.join(folder), &mut files));
    let name = |file: &Path| file.strip_prefix(&root).unwrap().display().to_string();
    files.iter().map(|file| (name(file), fs::read_to_string(file).unwrap())).collect()
}

/// Code and reason wherever a source spells them side by side: `(NotFound, "RUN_NOT_FOUND", …)`.
fn spelled<'a>(source: &'a str, codes: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
    let mut found = vec![];
    for (pascal, canonical) in codes {
        for (at, _) in source.match_indices(pascal.as_str()) {
            let is_whole = !source[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
            let rest = source[at + pascal.len()..].trim_start().strip_prefix(',').map(str::trim_start);
            let Some(text) = rest.and_then(|rest| rest.strip_prefix('"')) else { continue };
            let reason = text.split('"').next().unwrap();
            let is_reason =
                reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            if is_whole && is_reason && !reason.is_empty() {
                found.push((canonical.as_str(), reason));
            }
        }
    }
    found
}

#[test]
fn reasons_are_found_however_they_are_laid_out() {
    let source = "(Code::NotFound,\n  \"A_1\", vec![]) => Refusal::new(Aborted, \"B\") NotNotFound, \"C\" NotFound, \"d\" Aborted";
    let codes = codes();
    let mut found = spelled(source, &codes);
    found.sort_unstable();
    assert_eq!(found, [("ABORTED", "B"), ("NOT_FOUND", "A_1")]);
}

#[test]
fn every_reason_in_the_code_is_in_the_contract_with_the_same_code() {
    let contract = Contract::embedded().unwrap();
    let files = program();
    let codes = codes();
    let mut wrong = BTreeSet::new();
    let mut count = 0;
    for (file, source) in &files {
        for (code, name) in spelled(source, &codes) {
            count += 1;
            match contract.reason(name) {
                None => drop(wrong.insert(format!("{file}: {name} is not in reason.proto"))),
                Some(reason) if reason.code.as_str_name() != code => {
                    let (place, declared) = (reason.descriptor.place(), reason.code.as_str_name());
                    wrong.insert(format!("{file}: {name} comes with {code}, and with {declared} in {place}"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 30, "only {count} reasons were found: the search is broken");
}

#[test]
fn every_reason_in_the_contract_is_one_that_the_code_gives() {
    let files = program();
    let reasons = Contract::embedded().unwrap().reasons().iter();
    let is_given = |name: &str| files.iter().any(|(_, source)| source.contains(&format!("\"{name}\"")));
    let idle: Vec<_> = reasons.map(|reason| reason.name.as_str()).filter(|name| !is_given(name)).collect();
    assert!(idle.is_empty(), "nothing gives {idle:?}: callers would prepare for what cannot happen");
}
