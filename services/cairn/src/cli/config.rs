//! `cairn config`: the settings of the program itself, what is in force and where it comes from; and the configuration of
//! projects ([`environments`]).

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::environments;
use super::output::line;
use super::session::Connection;
use crate::suite::config::{Flags, defaults, load, reference, registry};

#[derive(Debug, clap::Args)]
pub struct Command {
    #[command(flatten)]
    flags: Flags,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Prints every setting in force and where it comes from, as a settings file. Secrets are hidden.
    Print,
    /// Says everything that is wrong with the configuration; exit code 1 if anything is.
    Check,
    /// Explains one key: its value, its origin, its default, and how to set it. Without a key, each in one line.
    Explain {
        /// `section.key`, or one of its environment names.
        key: Option<String>,
    },
    /// Prints the reference of all settings.
    Doc,
    #[command(flatten)]
    Of(environments::Verb),
}

pub async fn run(connection: Connection, Command { flags, verb }: Command) -> anyhow::Result<()> {
    let output = connection.output();
    let load = || load(&flags, None);
    match verb {
        Verb::Of(verb) => environments::run(connection.open()?, verb).await,
        Verb::Print if output.is_json => output.json(&json!(registry().settings(&load()?))),
        Verb::Print => line(registry().print(&load()?).trim_end()),
        Verb::Check => {
            load()?;
            output.done("the configuration is right", &json!({"is_right": true}))
        }
        Verb::Explain { key: None } if output.is_json => output.json(&json!(registry().settings(&load()?))),
        Verb::Explain { key: None } => registry().settings(&load()?).iter().try_for_each(|one| line(&one.line())),
        Verb::Explain { key: Some(key) } => {
            let loaded = load()?;
            let unknown = || format!("there is no key {key}; `cairn config doc` lists them all");
            if output.is_json {
                return output.json(&json!(registry().setting(&loaded, &key).with_context(unknown)?));
            }
            line(registry().explain(&loaded, &key).with_context(unknown)?.trim_end())
        }
        Verb::Doc if output.is_json => output.json(&json!(registry().settings(&defaults()?))),
        Verb::Doc => line(reference().trim_end()),
    }
}
