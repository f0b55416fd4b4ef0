use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::markdown::table;
use crate::names;
use crate::repository;

const REQUIREMENTS: &str = "docs/requirements.md";

const HEAD: &str = "# Status

Generated from `docs/requirements.md` and the names of tests by `make docs`; do not edit. A test shows a row when its name
ends with the row's number: `_s1_42` for S1.42.

- **works**: at least one test shows it.
- **stand-in**: shown against a faithful local stand-in, since the real peer cannot run in a test.
- **contract only**: a test shows as much as can be checked here, which is the contract.
- **missing**: nothing shows it yet.
";

/// One row of the requirements.
struct Row {
    section: String,
    id: String,
    title: String,
    tag: String,
}

/// The state of every requirement, with the tests that show it.
pub fn page() -> Result<String, Box<dyn Error>> {
    let rows = rows(&fs::read_to_string(repository().join(REQUIREMENTS))?);
    let mut tests = BTreeMap::<String, Vec<String>>::new();
    for folder in ["libs", "services", "gateway", "integration-tests"] {
        collect(&repository().join(folder), &mut tests)?;
    }
    let unknown: Vec<_> = tests.iter().filter(|(id, _)| !rows.iter().any(|row| row.id == **id)).collect();
    if !unknown.is_empty() {
        return Err(format!("tests show rows that {REQUIREMENTS} does not have: {unknown:?}").into());
    }
    Ok(render(&rows, &tests))
}

fn render(rows: &[Row], tests: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = HEAD.to_owned();
    let mut sections: Vec<&str> = rows.iter().map(|row| row.section.as_str()).collect();
    sections.dedup();
    let shown = |row: &Row| tests.get(&row.id).map_or(&[][..], Vec::as_slice);
    let summary: Vec<Vec<String>> = sections
        .iter()
        .map(|section| {
            let of_section: Vec<&Row> = rows.iter().filter(|row| row.section == *section).collect();
            let count = of_section.iter().filter(|row| !shown(row).is_empty()).count();
            vec![(*section).to_owned(), of_section.len().to_string(), count.to_string()]
        })
        .collect();
    let _ = write!(text, "\n{}", table(&["Section", "Rows", "Shown by a test"], &summary));
    for section in sections {
        let lines: Vec<Vec<String>> = rows
            .iter()
            .filter(|row| row.section == section)
            .map(|row| {
                let names: Vec<String> = shown(row).iter().map(|name| format!("`{name}`")).collect();
                vec![row.id.clone(), row.title.clone(), state(row, !names.is_empty()).to_owned(), names.join(", ")]
            })
            .collect();
        let _ = write!(text, "\n## {section}\n\n{}", table(&["Row", "What", "State", "Shown by"], &lines));
    }
    text
}

fn state(row: &Row, is_shown: bool) -> &'static str {
    match (row.tag.as_str(), is_shown) {
        (_, false) => "missing",
        ("X", true) => "contract only",
        ("S", true) => "stand-in",
        (_, true) => "works",
    }
}

/// The rows of all tables, each under its nearest heading.
fn rows(markdown: &str) -> Vec<Row> {
    let mut rows = vec![];
    let mut section = String::new();
    for line in markdown.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if let [id, title, tag] = cells.as_slice()
            && id.starts_with('S')
        {
            let (id, title, tag) = ((*id).to_owned(), (*title).to_owned(), (*tag).to_owned());
            rows.push(Row { section: section.clone(), id, title, tag });
        }
    }
    rows
}

/// Finds the tests below a folder, by the rows that their names show.
fn collect(folder: &Path, tests: &mut BTreeMap<String, Vec<String>>) -> Result<(), Box<dyn Error>> {
    let mut entries =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, tests)?;
            continue;
        }
        let found = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => names::in_rust,
            Some("py") => names::in_python,
            _ => continue,
        };
        for name in found(&fs::read_to_string(&path)?) {
            for id in shown_rows(&name) {
                tests.entry(id).or_default().push(name.clone());
            }
        }
    }
    Ok(())
}

/// The rows that end a test's name: `…_s1_42_s3_10` shows S1.42 and S3.10.
fn shown_rows(name: &str) -> Vec<String> {
    let mut rows = vec![];
    let mut words: Vec<&str> = name.split('_').collect();
    while let [.., section, number] = words.as_slice() {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !section.strip_prefix('s').is_some_and(is_number) || !is_number(number) {
            break;
        }
        rows.push(format!("{}.{number}", section.to_uppercase()));
        words.truncate(words.len() - 2);
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_the_end_of_a_name() {
        for (name, expected) in [
            ("a_batch_is_stored_once_s1_42", vec!["S1.42"]),
            ("both_hold_s1_42_s3_10", vec!["S1.42", "S3.10"]),
            ("sha_256_is_kept", vec![]),
            ("s3_10_in_front", vec![]),
        ] {
            assert_eq!(shown_rows(name), expected, "{name}");
        }
    }

    #[test]
    fn the_state_follows_the_tag_and_the_tests() {
        let rows = rows(
            "## One\n| # | What | Tag |\n|---|---|---|\n| S1.1 | a | N |\n| S1.2 | b | S |\n| S1.3 | c | X |\n| S1.4 | d | N |\n| S1.5 | e | X |",
        );
        let tests = [("S1.1", "a_s1_1"), ("S1.2", "b_s1_2"), ("S1.3", "c_s1_3")]
            .map(|(id, name)| (id.to_owned(), vec![name.to_owned()]));
        let text = render(&rows, &BTreeMap::from(tests));
        for line in [
            "| One | 5 | 3 |",
            "| S1.1 | a | works | `a_s1_1` |",
            "| S1.2 | b | stand-in | `b_s1_2` |",
            "| S1.3 | c | contract only | `c_s1_3` |",
            "| S1.4 | d | missing |  |",
            "| S1.5 | e | missing |  |",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
