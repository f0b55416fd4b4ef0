//! `cairn models`: what a team keeps, and how it comes into use.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::output::Column;
use super::session::{Items, Session, given, pairs, query};
use super::signing;
use super::{model_cards, register};

const MODELS: &str = "registry.v1.RegisteredModelService";
const VERSIONS: &str = "registry.v1.ModelVersionService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("TITLE", "display_name"),
    ("LATEST", "latest_version"),
    ("ALIASES", "aliases"),
    ("UPDATED", "update_time"),
    ("BY", "creator"),
];

const VERSION_COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("STAGE", "stage"),
    ("ALIASES", "aliases"),
    ("FRAMEWORK", "framework"),
    ("RUN", "source_run"),
    ("CREATED", "create_time"),
    ("BY", "creator"),
];

/// How far a version has come.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

impl Stage {
    fn word(self) -> &'static str {
        match self {
            Self::None => "STAGE_NONE",
            Self::Staging => "STAGE_STAGING",
            Self::Production => "STAGE_PRODUCTION",
            Self::Archived => "STAGE_ARCHIVED",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists models.
    List {
        /// In MLflow's language, with OR, NOT and parentheses as well, e.g. `name LIKE 'fraud%' AND NOT tags.team = 'risk'`.
        #[arg(long)]
        filter: Option<String>,
        /// E.g. `last_updated_timestamp DESC`.
        #[arg(long)]
        order_by: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Makes a model that has no version yet.
    Create {
        /// What people call it; unique in its project.
        title: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// `KEY=VALUE`, any number of times.
        #[arg(long = "tag", value_name = "KEY=VALUE")]
        tags: Vec<String>,
    },
    /// Registers the next version of a model: files that are here, or what a run made, or what lies elsewhere.
    Register(register::Command),
    /// Shows a model, or the version that an alias or stage stands for.
    Show {
        /// Its id, or full name.
        model: String,
        /// The version that this alias points at; `latest` is the newest.
        #[arg(long, conflicts_with = "stage")]
        alias: Option<String>,
        /// The newest version in this stage.
        #[arg(long)]
        stage: Option<Stage>,
    },
    /// Lists versions, of one model or of all.
    Versions {
        /// Its id, or full name. All models, if not given.
        model: Option<String>,
        /// In MLflow's language, with OR, NOT and parentheses as well, e.g. `stage = 'Production' AND NOT tags.team = 'risk'`.
        #[arg(long)]
        filter: Option<String>,
        /// E.g. `version_number DESC`.
        #[arg(long)]
        order_by: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Gives it another title. Its resource name stays.
    Rename {
        /// Its id, or full name.
        model: String,
        /// What people are to call it.
        title: String,
    },
    /// Sets tags.
    Tag {
        /// Its id, or full name.
        model: String,
        /// One or more.
        #[arg(value_name = "KEY=VALUE", required = true)]
        tags: Vec<String>,
    },
    /// Points an alias at a version, or takes it away.
    Alias {
        /// Its id, or full name.
        model: String,
        /// The alias.
        alias: String,
        /// The version's number.
        #[arg(required_unless_present = "remove")]
        number: Option<u32>,
        /// Takes the alias away.
        #[arg(long, conflicts_with = "number")]
        remove: bool,
    },
    /// Moves a version to another stage.
    Stage {
        /// Its id, or full name.
        model: String,
        /// The version's number.
        number: u32,
        /// Where it shall be.
        stage: Stage,
        /// Archives the versions that are there, for staging and production.
        #[arg(long)]
        archive_existing: bool,
    },
    /// Deletes a model with all its versions, or one version.
    Delete {
        /// Its id, or full name.
        model: String,
        /// Only this version, by its number.
        number: Option<u32>,
    },
    /// Counts what the project has registered.
    Summary,
    #[command(flatten)]
    Cards(model_cards::Command),
    #[command(flatten)]
    Signing(signing::Command),
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |rpc: String, request: Value| session.call(&rpc, request).await;
    let name = |id: &str| full_name(&session, id);
    match command {
        Command::List { filter, order_by, limit } => {
            let items = Items::new(COLUMNS).with(say_aliases);
            let request = json!({"parent": session.project()});
            let query = query(filter, order_by, limit);
            session.show_selected(&format!("{MODELS}/ListRegisteredModels"), request, items, query).await
        }
        Command::Create { title, description, tags } => {
            let request = given(json!({
                "parent": session.project(), "display_name": title, "description": description, "tags": pairs(&tags)?,
            }));
            let made = call(format!("{MODELS}/CreateRegisteredModel"), request).await?;
            session.output.done(&format!("registered {}", made["name"].as_str().unwrap_or_default()), &made)
        }
        Command::Register(command) => register::run(&session, command).await,
        Command::Show { model, alias: None, stage: None } => {
            session.output.one(&call(format!("{MODELS}/GetRegisteredModel"), json!({"name": name(&model)})).await?)
        }
        Command::Show { model, alias, stage } => {
            let request = given(json!({"name": name(&model), "alias": alias, "stage": stage.map(Stage::word)}));
            session.output.one(&call(format!("{MODELS}/ResolveModelVersion"), request).await?)
        }
        Command::Versions { model, filter, order_by, limit } => {
            let parent = model.map_or_else(|| session.project(), |model| name(&model));
            let items = Items::new(VERSION_COLUMNS).with(say_stage);
            let query = query(filter, order_by, limit);
            let rpc = format!("{VERSIONS}/ListModelVersions");
            session.show_selected(&rpc, json!({"parent": parent}), items, query).await
        }
        Command::Rename { model, title } => {
            let request = json!({
                "registered_model": {"name": name(&model), "display_name": title}, "update_mask": "display_name",
            });
            let answer = call(format!("{MODELS}/UpdateRegisteredModel"), request).await?;
            session.output.done(&format!("{} is now called {title}", name(&model)), &answer)
        }
        Command::Tag { model, tags } => {
            let request = json!({"name": name(&model), "tags": pairs(&tags)?});
            let answer = call(format!("{MODELS}/SetRegisteredModelTags"), request).await?;
            session.output.done(&format!("tagged {}", name(&model)), &answer)
        }
        Command::Alias { model, alias, number: Some(version), .. } => {
            let request = json!({"name": name(&model), "alias": alias, "version": version});
            let answer = call(format!("{MODELS}/SetModelAlias"), request).await?;
            session.output.done(&format!("{alias} of {} is now version {version}", name(&model)), &answer)
        }
        Command::Alias { model, alias, number: None, .. } => {
            let request = json!({"name": name(&model), "alias": alias});
            let answer = call(format!("{MODELS}/RemoveModelAlias"), request).await?;
            session.output.done(&format!("{} has no alias {alias} any more", name(&model)), &answer)
        }
        Command::Stage { model, number, stage, archive_existing } => {
            let version = format!("{}/versions/{number}", name(&model));
            let request =
                json!({"name": version, "stage": stage.word(), "archive_existing_versions": archive_existing});
            let answer = call(format!("{VERSIONS}/TransitionModelVersion"), request).await?;
            let stage = answer["stage"].as_str().map(short).unwrap_or_default();
            session.output.done(&format!("{version} is now in {stage}"), &answer)
        }
        Command::Delete { model, number: None } => {
            let gone = call(format!("{MODELS}/DeleteRegisteredModel"), json!({"name": name(&model)})).await?;
            session.output.done(&format!("deleted {}", name(&model)), &gone)
        }
        Command::Delete { model, number: Some(number) } => {
            let version = format!("{}/versions/{number}", name(&model));
            let gone = call(format!("{VERSIONS}/DeleteModelVersion"), json!({"name": version})).await?;
            session.output.done(&format!("deleted {version}"), &gone)
        }
        Command::Summary => {
            let request = json!({"name": session.project()});
            session.output.one(&call(format!("{MODELS}/SummarizeRegistry"), request).await?)
        }
        Command::Cards(command) => model_cards::run(&session, command).await,
        Command::Signing(command) => signing::run(&session, command).await,
    }
}

/// A model's full name; an id is one of the project.
pub fn full_name(session: &Session, model: &str) -> String {
    if model.contains('/') { model.to_owned() } else { format!("{}/models/{model}", session.project()) }
}

/// `champion=3, shadow=4` for a row of a table.
fn say_aliases(model: &mut Value) {
    let aliases = model["aliases"].as_object().into_iter().flatten();
    model["aliases"] =
        json!(aliases.map(|(alias, version)| format!("{alias}={version}")).collect::<Vec<_>>().join(", "));
}

fn say_stage(version: &mut Value) {
    version["stage"] = json!(version["stage"].as_str().map(short).unwrap_or_default());
    let aliases = version["aliases"].as_array().into_iter().flatten();
    version["aliases"] = json!(aliases.filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
}

/// `STAGE_PRODUCTION` as people say it.
fn short(stage: &str) -> String {
    stage.trim_start_matches("STAGE_").to_lowercase()
}
