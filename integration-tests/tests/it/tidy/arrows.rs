//! Arrows go one way: the program → gateway and services → libraries → kernel.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Package};

use super::metadata;

/// What each library may know of ours. A library that is not listed may know none.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("cairn-kernel", &[]),
    ("cairn-contract", &["cairn-kernel"]),
    ("cairn-eventstore", &["cairn-kernel"]),
    ("cairn-eventstore-jsonl", &["cairn-eventstore", "cairn-kernel"]),
    ("cairn-eventstore-kurrentdb", &["cairn-eventstore", "cairn-eventstore-sqlite", "cairn-kernel"]),
    ("cairn-eventstore-postgres", &["cairn-eventstore", "cairn-kernel", "cairn-postgres"]),
    ("cairn-eventstore-sqlite", &["cairn-eventstore", "cairn-kernel"]),
    ("cairn-projection", &["cairn-eventstore", "cairn-kernel"]),
    ("cairn-mirror", &["cairn-kernel", "cairn-postgres", "cairn-projection"]),
    ("cairn-objects", &["cairn-kernel"]),
    ("cairn-ingest-queue", &["cairn-kernel"]),
    ("cairn-ingest-nats", &["cairn-ingest-queue", "cairn-kernel"]),
    ("cairn-ingest-redis", &["cairn-ingest-queue", "cairn-kernel"]),
    ("cairn-points", &["cairn-kernel"]),
    ("cairn-points-clickhouse", &["cairn-kernel", "cairn-points"]),
    ("cairn-points-postgres", &["cairn-kernel", "cairn-points", "cairn-postgres"]),
    ("cairn-seal", &["cairn-kernel", "cairn-outbound"]),
    ("cairn-search", &["cairn-kernel"]),
    ("cairn-access", &["cairn-contract", "cairn-eventstore", "cairn-kernel"]),
    ("cairn-service", &["cairn-access", "cairn-contract", "cairn-eventstore", "cairn-kernel", "cairn-projection"]),
    ("cairn-client", &["cairn-contract", "cairn-kernel"]),
    ("cairn-kurrent-protocol", &["cairn-contract"]),
    ("cairn-tlog", &[]),
    ("cairn-carry", &["cairn-eventstore", "cairn-kernel", "cairn-tlog"]),
    ("cairn-evidence", &["cairn-contract", "cairn-kernel", "cairn-tlog"]),
    (
        "cairn-testkit",
        &["cairn-access", "cairn-contract", "cairn-eventstore", "cairn-kernel", "cairn-projection", "cairn-service"],
    ),
];

/// Crates that are a concrete engine: only the program names them.
const ENGINES: &[&str] = &[
    "cairn-eventstore-jsonl",
    "cairn-eventstore-kurrentdb",
    "cairn-eventstore-postgres",
    "cairn-eventstore-sqlite",
    "cairn-ingest-nats",
    "cairn-ingest-redis",
    "cairn-mirror",
    "cairn-points-clickhouse",
    "cairn-points-postgres",
];

/// Why a crate at `folder` may not depend on `other`, which lives at `other_folder`.
fn objection(name: &str, folder: &str, other: &str, other_folder: &str) -> Option<String> {
    let is_program = name == "cairn";
    if is_program || folder.starts_with("integration-tests") {
        return None;
    }
    // One engine may stand on another, where it is listed above.
    if ENGINES.contains(&other) && !ENGINES.contains(&name) {
        return Some("only services/cairn names an engine".to_owned());
    }
    if other == "cairn-testkit" {
        return Some("testkit is for tests".to_owned());
    }
    match folder.split('/').next() {
        Some("libs") => {
            let allowed =
                LIBRARIES.iter().find(|(library, _)| *library == name).map_or(&[][..], |(_, allowed)| allowed);
            (!allowed.contains(&other)).then(|| format!("a library may know only {allowed:?}"))
        }
        Some("services" | "gateway") => {
            (!other_folder.starts_with("libs")).then(|| "services know libraries, never each other".to_owned())
        }
        _ => None,
    }
}

fn folder(package: &Package, root: &str) -> String {
    let manifest = package.manifest_path.as_str().strip_prefix(root).unwrap_or_default();
    manifest.trim_start_matches('/').trim_end_matches("/Cargo.toml").to_owned()
}

#[test]
fn crates_depend_only_along_the_allowed_arrows_s0_71() {
    let metadata = metadata();
    let root = metadata.workspace_root.as_str();
    let ours = metadata.workspace_packages();
    let names: BTreeSet<&str> = ours.iter().map(|package| package.name.as_str()).collect();
    let mut objections = vec![];
    for package in &ours {
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            if !names.contains(dependency.name.as_str()) {
                continue;
            }
            let other = ours.iter().find(|other| other.name.as_str() == dependency.name).unwrap();
            let why = objection(&package.name, &folder(package, root), &other.name, &folder(other, root));
            objections.extend(why.map(|why| format!("{} -> {}: {why}", package.name, other.name)));
        }
    }
    assert!(objections.is_empty(), "arrows that are not allowed:\n{}", objections.join("\n"));
}

#[test]
fn planted_wrong_arrows_are_refused_s0_71() {
    let refused = |name, folder, other, other_folder| objection(name, folder, other, other_folder).is_some();
    assert!(refused("cairn-auth", "services/auth", "cairn-ledger", "services/ledger"));
    assert!(refused("cairn-auth", "services/auth", "cairn-eventstore-sqlite", "libs/eventstore-sqlite"));
    assert!(refused("cairn-kernel", "libs/kernel", "cairn-eventstore", "libs/eventstore"));
    assert!(refused("cairn-projection", "libs/projection", "cairn-service", "libs/service"));
    assert!(refused("cairn-gateway", "gateway", "cairn-auth", "services/auth"));
    assert!(!refused("cairn", "services/cairn", "cairn-eventstore-sqlite", "libs/eventstore-sqlite"));
    assert!(!refused("cairn-auth", "services/auth", "cairn-access", "libs/access"));
}
