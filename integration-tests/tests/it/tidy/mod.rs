//! Holds the code to its shape: which crate may know which, what dependencies may be, how long a file gets.

mod arrows;
mod dependencies;
mod files;
mod secrets;

use std::path::PathBuf;

use cargo_metadata::{Metadata, MetadataCommand};

/// The top of the checkout.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// What cargo knows of the workspace and what it builds on Linux, without asking a registry.
fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(
            ["--offline", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"].map(str::to_owned).to_vec(),
        )
        .exec()
        .unwrap()
}
