//! What was released once keeps its meaning: today's descriptors against those of the last release.
//!
//! `proto/baseline/<version>.binpb` holds the descriptors of each release; making one is a step of releasing (see
//! `proto/baseline/README.md`).

mod bad;
mod message;
mod service;

use std::fs;
use std::path::Path;

use cairn_contract::{Contract, Declared};
use prost_reflect::DescriptorPool;

/// Everything in `new` that a client, a stored event or a script of yesterday would stumble over.
fn incompatibilities(old: &DescriptorPool, new: &DescriptorPool) -> Vec<String> {
    let mut found = Found::default();
    for message in old.all_messages().filter(|message| is_ours(message.package_name())) {
        message::compare_message(&message, new, &mut found);
    }
    for declared in old.all_enums().filter(|declared| is_ours(declared.package_name())) {
        message::compare_enum(&declared, new, &mut found);
    }
    for service in old.services().filter(|service| is_ours(service.package_name())) {
        service::compare_service(&service, new, &mut found);
    }
    found.0
}

/// The incompatibilities found so far.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    /// About something that is still there; says where.
    fn changed(&mut self, declared: &impl Declared, what: impl std::fmt::Display) {
        self.0.push(format!("{}: {}: {what}", declared.place(), declared.full_name()));
    }

    /// About something that is gone.
    fn removed(&mut self, old: &impl Declared, what: &str) {
        self.0.push(format!("{}: {}: {what}", old.file().name(), old.full_name()));
    }
}

fn is_ours(package: &str) -> bool {
    package.starts_with("cairn.")
}

/// The descriptors of the last release.
fn last_release() -> Option<(String, DescriptorPool)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/baseline");
    let versions = fs::read_dir(folder).unwrap().filter_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let numbers: Option<Vec<u32>> = name.strip_suffix(".binpb")?.split('.').map(|part| part.parse().ok()).collect();
        Some((numbers.unwrap_or_else(|| panic!("{name} is not <version>.binpb")), name))
    });
    let (_, name) = versions.max()?;
    let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/baseline").join(&name)).unwrap();
    Some((name, DescriptorPool::decode(bytes.as_slice()).unwrap()))
}

#[test]
fn nothing_released_changed_its_meaning() {
    let (name, old) = last_release().expect("proto/baseline holds a release");
    let found = incompatibilities(&old, Contract::embedded().unwrap().pool());
    assert!(found.is_empty(), "{} incompatibilities with {name}:\n{}", found.len(), found.join("\n"));
}
