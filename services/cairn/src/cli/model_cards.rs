//! `cairn models card|compare|note|notes`: models for people.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::comparison;
use super::models::full_name;
use super::output::{Column, line};
use super::session::{Items, Session};

const CARDS: &str = "registry.v1.ModelCardService";

const NOTE_COLUMNS: &[Column] =
    &[("REVISION", "revision"), ("WRITTEN", "create_time"), ("BY", "author"), ("NOTE", "text")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints all that is known of a version on one page, in Markdown.
    Card {
        /// Its id, or full name.
        model: String,
        /// The version's number.
        number: u32,
        /// In HTML instead.
        #[arg(long)]
        html: bool,
        /// Writes the page to a file.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Puts versions side by side: what they were trained with, how good they are, what they take and give.
    Compare {
        /// Its id, or full name.
        model: String,
        /// The versions' numbers.
        #[arg(required = true)]
        numbers: Vec<u32>,
        /// Leaves out what is the same in all of them.
        #[arg(long)]
        differing: bool,
    },
    /// Notes something of a model or a version, in Markdown, in place of what was noted before.
    Note {
        /// Its id, or full name.
        model: String,
        /// Only of this version, by its number.
        number: Option<u32>,
        /// The note. Empty: it is taken away.
        #[arg(long, conflicts_with = "file", required_unless_present = "file")]
        text: Option<String>,
        /// A file that holds it.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Shows what was noted of a model or a version, newest first, by whom and when.
    Notes {
        /// Its id, or full name.
        model: String,
        /// Only of this version, by its number.
        number: Option<u32>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
}

pub async fn run(session: &Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Card { model, number, html, to } => {
            let name = format!("{}/versions/{number}", full_name(session, &model));
            let card = session.call(&format!("{CARDS}/GenerateModelCard"), json!({"name": name})).await?;
            let page = card[if html { "html" } else { "markdown" }].as_str().unwrap_or_default();
            match to {
                Some(file) => {
                    std::fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
                    session.output.done(&format!("wrote {}", file.display()), &json!({"name": name, "file": file}))
                }
                None if session.output.is_json => session.output.json(&card),
                None => line(&super::output::printable(page.trim_end())),
            }
        }
        Command::Compare { model, numbers, differing } => {
            let request =
                json!({"parent": full_name(session, &model), "versions": numbers, "differing_only": differing});
            let compared = session.call(&format!("{CARDS}/CompareModelVersions"), request).await?;
            let sections = ["attributes", "hyperparameters", "metrics", "tags", "signature"];
            comparison::print(session.output, &compared, "versions", &sections)
        }
        Command::Note { model, number, text, file } => {
            let text = match (text, file) {
                (Some(text), _) => text,
                (None, Some(file)) => {
                    std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?
                }
                (None, None) => String::new(),
            };
            let model = full_name(session, &model);
            let (rpc, resource, name) = match number {
                Some(number) => {
                    ("ModelVersionService/UpdateModelVersion", "model_version", format!("{model}/versions/{number}"))
                }
                None => ("RegisteredModelService/UpdateRegisteredModel", "registered_model", model),
            };
            let mut request = json!({"update_mask": "description"});
            request[resource] = json!({"name": name, "description": text});
            let answer: Value = session.call(&format!("registry.v1.{rpc}"), request).await?;
            session.output.done(&format!("noted of {name}"), &answer)
        }
        Command::Notes { model, number, limit } => {
            let model = full_name(session, &model);
            let parent = number.map_or(model.clone(), |number| format!("{model}/versions/{number}"));
            let items = Items::new(NOTE_COLUMNS);
            session.show(&format!("{CARDS}/ListModelNotes"), json!({"parent": parent}), items, limit).await
        }
    }
}
