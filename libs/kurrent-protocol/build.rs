//! Compiles the protocol: its descriptors together with what they need of the contract, and Rust types of the protocol alone.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

/// What is compiled. The reasons are there for whoever refuses, and are named nowhere else.
const FILES: [&str; 5] = [
    "cairn/errors/v1/reason.proto",
    "event_store/client/gossip.proto",
    "event_store/client/server_features.proto",
    "event_store/client/shared.proto",
    "event_store/client/streams.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let folders = [root.join("proto"), root.join("../../proto")];
    for folder in &folders {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    let mut compiler = protox::Compiler::new(&folders)?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // INVARIANT: these bytes come from the compiler. Going through typed descriptors would drop every custom option.
    let descriptors = compiler.encode_file_descriptor_set();
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin"), &descriptors)?;

    let mut files = prost_types::FileDescriptorSet::decode(descriptors.as_slice())?;
    // What options refer to is the contract's.
    files.file.retain(|file| !file.name().starts_with("cairn/") && file.name() != "google/rpc/code.proto");
    let mut config = tonic_prost_build::Config::new();
    config
        .bytes(["."])
        .btree_map(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .extern_path(".google.rpc.Status", "::tonic_types::pb::Status");
    tonic_prost_build::configure()
        .include_file("_includes.rs")
        .build_transport(false)
        .compile_fds_with_config(files, config)?;
    Ok(())
}
