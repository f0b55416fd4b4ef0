//! Writes what is generated from the contract: the references under `docs/`, fixtures of events, and the baseline of a
//! release.
//!
//! `contract-docs` writes the references, `contract-docs fixtures` the fixtures that are missing (it never overwrites
//! one), and `contract-docs baseline <version>` the descriptors of a release. Tests compare all of it.

mod baseline;
mod errors;
mod events;
mod fixtures;
mod markdown;
mod names;
mod openapi;
mod operations;
mod pages;
mod status;
mod table;

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use cairn_contract::Contract;

fn main() -> Result<(), Box<dyn Error>> {
    let contract = Contract::embedded().map_err(ToString::to_string)?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let written = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => pages::all(contract)?,
        ["fixtures"] => fixtures::missing(contract)?,
        ["baseline", version] => vec![baseline::of(contract, version)?],
        _ => return Err("usage: contract-docs [fixtures | baseline <version>]".into()),
    };
    for (name, bytes) in written {
        let path = repository().join(&name);
        if fs::read(&path).is_ok_and(|before| before == bytes) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes)?;
        println!("wrote {name}");
    }
    Ok(())
}

/// A file to be: its path in the repository, and its bytes.
type File = (String, Vec<u8>);

/// The folder that holds everything.
fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
