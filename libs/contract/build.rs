//! Compiles `proto/` without protoc: descriptors with all custom options, and Rust types, clients and servers.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    // As cargo says now: the path compiled in would be that of the checkout the script was built in.
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = vec![];
    collect(&root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // INVARIANT: these bytes come from the compiler. Going through typed descriptors would drop every custom option.
    let descriptors = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), &descriptors)?;

    let mut config = tonic_prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]).enable_type_names();
    tonic_prost_build::configure()
        .include_file("_includes.rs")
        .build_transport(true)
        .compile_fds_with_config(prost_types::FileDescriptorSet::decode(descriptors.as_slice())?, config)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "baseline") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
