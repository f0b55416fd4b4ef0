//! `cairn keyring`: the file of keys that all processes of a deployment share.

use std::path::PathBuf;

use anyhow::bail;
use cairn_access::Keyring;
use clap::Subcommand;
use serde_json::json;

use super::output::Output;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a keyring, for a deployment that is given one from outside: `server.keyring_file`.
    New {
        /// The file. There must be none yet: whoever replaces a keyring ends every session and every key.
        file: PathBuf,
    },
}

pub fn run(output: Output, command: &Command) -> anyhow::Result<()> {
    let Command::New { file } = command;
    if file.exists() {
        bail!("{} is there already", file.display());
    }
    Keyring::open(file)?;
    let sentence =
        format!("made {}: whoever has it can pose as anybody, and without it no key or session counts", file.display());
    output.done(&sentence, &json!({"file": file}))
}
