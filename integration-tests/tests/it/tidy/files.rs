//! What a source file may look like.

use std::fs;
use std::path::{Path, PathBuf};

use super::root;

/// Longest source file, in lines, before one looks for the second idea in it.
const LINES_MAX: usize = 500;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules", "data"].contains(&name.as_str()) {
            sources(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rs" || extension == "py" || extension == "proto")
        {
            found.push(path);
        }
    }
}

/// One enum: a list of reasons is one idea, however many there are.
const LIST: &str = "errors/v1/reason.proto";

#[test]
fn no_source_file_holds_more_than_one_idea() {
    let mut found = vec![];
    sources(&root(), &mut found);
    let long: Vec<String> = found
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(path, lines)| *lines > LINES_MAX && !path.ends_with(LIST))
        .map(|(path, lines)| format!("{} has {lines} lines", path.strip_prefix(root()).unwrap().display()))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn top_level_folders_are_those_of_the_design() {
    let known =
        ["docker", "docs", "fuzz", "gateway", "infra", "integration-tests", "libs", "proto", "services", "terraform"];
    let ignored = ["target", "data"];
    let unknown: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !known.contains(&name.as_str()) && !ignored.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "folders that the design does not have: {unknown:?}");
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let mut found = vec![];
    sources(&root(), &mut found);
    let vague: Vec<_> = found
        .iter()
        .filter(|path| {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            ["utils", "util", "common", "helpers", "helper", "misc", "manager"].contains(&stem.as_str())
        })
        .collect();
    assert!(vague.is_empty(), "names that say nothing: {vague:?}");
}
