//! `cairn secrets`: what programs need and nobody should see. Values come from standard input or a file, never from
//! arguments: other users of the machine can read those.

use std::fs;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{ArgAction, Subcommand};
use serde_json::{Value, json};

use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "config.v1.SecretService";
const KEEPER: &str = "config.v1.KeeperService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("LATEST", "latest_version"), ("VERSIONS", "last_version"), ("DESCRIPTION", "description")];
const VERSION_COLUMNS: &[Column] =
    &[("NAME", "name"), ("STATE", "state"), ("CREATOR", "creator"), ("CREATED", "create_time")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the secrets of the project, without any value.
    List {
        /// Those of all projects that you may see.
        #[arg(long)]
        all_projects: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes a secret. Its first value is read from standard input, if that is no terminal, or from a file.
    Create {
        /// Letters, digits, dashes, dots, underscores and tildes.
        id: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        value: Source,
        /// Without a first value.
        #[arg(long, conflicts_with = "value_file")]
        empty: bool,
    },
    /// Adds a value: the one that counts from now on. It is read from standard input or a file.
    Add {
        /// Its id, or full name.
        id: String,
        #[command(flatten)]
        value: Source,
    },
    /// Shows a secret, without its value.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Lists the versions of a secret, without their values.
    Versions {
        /// Its id, or full name.
        id: String,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Prints a value, and nothing else. That it was read is on record.
    Access {
        /// The secret's id, or full name.
        id: String,
        /// The number of the version; otherwise the newest that is enabled.
        number: Option<u32>,
        /// What it is needed for.
        #[arg(long)]
        reason: Option<String>,
        /// Writes it to a file that its owner alone can read.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Gives the value of a version to nobody until it is enabled again.
    Disable {
        /// The secret's id, or full name.
        id: String,
        /// The number of the version.
        number: u32,
    },
    /// Gives the value of a disabled version again.
    Enable {
        /// The secret's id, or full name.
        id: String,
        /// The number of the version.
        number: u32,
    },
    /// Destroys the value of a version, wherever the log was copied to. There is no way back.
    Destroy {
        /// The secret's id, or full name.
        id: String,
        /// The number of the version.
        number: u32,
        /// Why. On record for ever.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Destroys every value of a secret, and removes it. There is no way back.
    Delete {
        /// Its id, or full name.
        id: String,
    },
    /// Shows who keeps the key of keys, and what is wrapped with which.
    Keeper,
    /// Makes a new key of keys and wraps every key anew, while values are read as ever.
    RotateKey {
        /// No new key: wrap anew what is left with an older one.
        #[arg(long, action = ArgAction::SetTrue)]
        rewrap_only: bool,
    },
}

/// Where a value comes from.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// Reads the value from a file instead of standard input. Line ends at its end are left out.
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
}

impl Source {
    /// The value; `None`: standard input is a terminal, and nothing can be typed there unseen.
    fn read(&self) -> anyhow::Result<Option<String>> {
        let mut text = String::new();
        match &self.value_file {
            Some(file) => {
                text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            }
            None if stdin().is_terminal() => return Ok(None),
            None => drop(stdin().lock().read_to_string(&mut text).context("standard input is no text")?),
        }
        let value = text.trim_end_matches(['\r', '\n']);
        Ok(Some(value.to_owned()))
    }
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), given(request)).await;
    let name = |id: &str| name(&session, id);
    match command {
        Command::List { all_projects: true, limit } => {
            session.show(&format!("{SERVICE}/SearchSecrets"), json!({}), Items::new(COLUMNS), limit).await
        }
        Command::List { all_projects: false, limit } => {
            let request = json!({"parent": session.project()});
            session.show(&format!("{SERVICE}/ListSecrets"), request, Items::new(COLUMNS), limit).await
        }
        Command::Create { id, description, value, empty } => {
            let value = if empty { None } else { value.read()?.filter(|value| !value.is_empty()) };
            let secret = given(json!({"description": description}));
            let request = json!({"parent": session.project(), "secret_id": id, "secret": secret, "value": value});
            let made = call("CreateSecret", request).await?;
            session.output.done(&format!("created {}", name(&id)), &made)
        }
        Command::Add { id, value } => {
            let Some(value) = value.read()? else {
                bail!("pipe the value in, or name a file with --value-file: what is typed here would be seen");
            };
            let made = call("CreateSecretVersion", json!({"parent": name(&id), "value": value})).await?;
            session.output.done(&format!("added {}", text(&made, "name")), &made)
        }
        Command::Get { id } => session.output.one(&call("GetSecret", json!({"name": name(&id)})).await?),
        Command::Versions { id, limit } => {
            let request = json!({"parent": name(&id)});
            session.show(&format!("{SERVICE}/ListSecretVersions"), request, Items::new(VERSION_COLUMNS), limit).await
        }
        Command::Access { id, number, reason, to } => {
            let version = number.map_or("latest".to_owned(), |version| version.to_string());
            let request = json!({"name": format!("{}/versions/{version}", name(&id)), "reason": reason});
            let answer = call("AccessSecretVersion", request).await?;
            match to {
                Some(file) => {
                    keep(&file, text(&answer, "value"))?;
                    let told = json!({"name": answer["name"], "file": file});
                    session.output.done(&format!("wrote {} to {}", text(&answer, "name"), file.display()), &told)
                }
                None if session.output.is_json => session.output.json(&answer),
                // To the byte: a line end would be part of what a program reads.
                None => print(text(&answer, "value")),
            }
        }
        Command::Disable { id, number } => {
            let done = call("DisableSecretVersion", json!({"name": numbered(&name(&id), number)})).await?;
            session.output.done(&format!("disabled version {number} of {}", name(&id)), &done)
        }
        Command::Enable { id, number } => {
            let done = call("EnableSecretVersion", json!({"name": numbered(&name(&id), number)})).await?;
            session.output.done(&format!("enabled version {number} of {}", name(&id)), &done)
        }
        Command::Destroy { id, number, reason } => {
            let request = json!({"name": numbered(&name(&id), number), "reason": reason});
            let done = call("DestroySecretVersion", request).await?;
            session.output.done(&format!("destroyed version {number} of {}", name(&id)), &done)
        }
        Command::Delete { id } => {
            let gone = call("DeleteSecret", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}, and destroyed its values", name(&id)), &gone)
        }
        Command::Keeper => session.output.one(&session.call(&format!("{KEEPER}/GetKeeper"), json!({})).await?),
        Command::RotateKey { rewrap_only } => {
            let request = json!({"rewrap_only": rewrap_only});
            let keeper = session.call(&format!("{KEEPER}/RotateKeeper"), request).await?;
            let sentence = format!("every key is wrapped with {}", text(&keeper, "newest_key"));
            session.output.done(&sentence, &keeper)
        }
    }
}

fn name(session: &Session, id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("{}/secrets/{id}", session.project()) }
}

fn numbered(secret: &str, version: u32) -> String {
    format!("{secret}/versions/{version}")
}

fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer[field].as_str().unwrap_or_default()
}

fn print(value: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    out.write_all(value.as_bytes())?;
    if out.is_terminal() {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Writes a file that its owner alone can read, whatever was there before.
fn keep(file: &Path, value: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let cannot = || format!("cannot write {}", file.display());
    let mut options = fs::OpenOptions::new();
    let mut open = options.write(true).create(true).truncate(true).mode(0o600).open(file).with_context(cannot)?;
    open.set_permissions(fs::Permissions::from_mode(0o600)).with_context(cannot)?;
    open.write_all(value.as_bytes()).with_context(cannot)
}
