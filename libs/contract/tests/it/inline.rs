//! Contracts written inside tests.

use std::path::Path;

use cairn_contract::{Contract, Violations};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// The file that a contract written inside a test stands in.
pub const FILE: &str = "cairn/zoo/v1/zoo.proto";

/// What stands above its first line.
const HEADER: &str = r#"syntax = "proto3"; package cairn.zoo.v1;
import "cairn/options/v1/options.proto"; import "google/api/annotations.proto"; import "google/api/httpbody.proto";
import "google/protobuf/timestamp.proto"; import "google/protobuf/field_mask.proto"; import "google/protobuf/empty.proto";
"#;

/// How many lines that is.
pub const HEADER_LINES: usize = 3;

/// Compiles one file of package `cairn.zoo.v1`, with every import a contract may need.
pub fn zoo(body: &str) -> Vec<u8> {
    compile(&[(FILE, &format!("{HEADER}{body}"))])
}

/// The same, as a contract.
pub fn load(body: &str) -> Result<Contract, Violations> {
    Contract::decode(&zoo(body))
}

/// Compiles files given as path and source, as the build script compiles `proto/`.
pub fn compile(files: &[(&str, &str)]) -> Vec<u8> {
    let inline = files.iter().map(|(path, source)| ((*path).to_owned(), (*source).to_owned())).collect();
    let mut resolver = ChainFileResolver::new();
    resolver.add(Inline(inline));
    resolver.add(IncludeFileResolver::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files.iter().map(|(path, _)| path)).unwrap_or_else(|fault| panic!("{fault:?}"));
    compiler.encode_file_descriptor_set()
}

struct Inline(Vec<(String, String)>);

impl FileResolver for Inline {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.iter().find(|(path, _)| path == name) {
            Some((_, source)) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
