//! What dependencies may be. `deny.toml` is the one list; cargo-deny reads it too, where it is installed.

use std::collections::BTreeSet;
use std::fs;

use super::{metadata, root};

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let deny: toml::Table = text.parse().unwrap();
    deny["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met with the allowed licences. `OR` binds weaker than `AND`; older crates write
/// `/` for `OR`.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&tokens, &mut at, allowed) && at == tokens.len()
}

fn any(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(tokens, at, allowed);
    }
    met
}

fn all(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(tokens, at, allowed);
    }
    met
}

fn one(tokens: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut license = tokens.get(*at).copied().unwrap_or_default().to_owned();
    *at += 1;
    if license == "(" {
        let met = any(tokens, at, allowed);
        *at += 1; // The closing one.
        return met;
    }
    if tokens.get(*at) == Some(&"WITH") {
        license = format!("{license} WITH {}", tokens.get(*at + 1).copied().unwrap_or_default());
        *at += 2;
    }
    allowed.contains(&license)
}

#[test]
fn every_dependency_is_permissively_licensed_and_from_the_public_registry() {
    let allowed = allowed();
    let mut objections = vec![];
    for package in metadata().packages {
        let Some(source) = &package.source else { continue };
        if !source.is_crates_io() {
            objections.push(format!("{} {} comes from {source}", package.name, package.version));
        }
        let license = package.license.as_deref().unwrap_or("none stated");
        if !is_met(license, &allowed) {
            objections.push(format!("{} {} is under {license}", package.name, package.version));
        }
    }
    assert!(objections.is_empty(), "dependencies that deny.toml does not allow:\n{}", objections.join("\n"));
}

#[test]
fn a_licence_expression_is_read_as_spdx_means_it() {
    let allowed: BTreeSet<String> = ["MIT", "Apache-2.0", "ISC"].map(str::to_owned).into();
    for met in ["MIT", "MIT OR GPL-3.0", "MIT/GPL-3.0", "(MIT OR GPL-3.0) AND ISC", "MIT AND ISC OR GPL-3.0"] {
        assert!(is_met(met, &allowed), "{met} should be met");
    }
    for unmet in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "none stated", ""] {
        assert!(!is_met(unmet, &allowed), "{unmet} should not be met");
    }
}
