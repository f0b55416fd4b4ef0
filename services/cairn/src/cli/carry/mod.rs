//! `cairn events migrate|import|digest` and `export --to`: the log, carried to another engine as it is.

mod log;

use std::path::PathBuf;

use anyhow::Context;
use cairn_carry::{CarryFault, Digest, Progress, carry, compare, digest};
use cairn_service::config::Loaded;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use uuid::Uuid;

use self::log::Place;
use super::exit::Unusable;
use super::output::Output;
use crate::suite::{Config, Folder, Trace, config, switch};

#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// The log that is carried: sqlite:PATH, jsonl:PATH, postgres://…, kurrentdb://…, or @FILE with one of them in it.
    /// Without: the one that settings name. If it is embedded, no other process may be using it.
    #[arg(long, value_name = "LOG")]
    from: Option<Place>,

    /// Where it is carried to. What is there already must be the beginning of it.
    #[arg(long, value_name = "LOG")]
    to: Place,

    /// Then has the data folder go on with the log that it was carried to. The old one is set aside, beside it.
    #[arg(long)]
    switch: bool,

    #[command(flatten)]
    here: Here,
}

#[derive(Debug, clap::Args)]
pub struct Copy {
    /// Write the log itself, to this file. One that is there must be an earlier copy of the same log, and is added to.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "after", "kind", "resource", "stream"])]
    to: Option<PathBuf>,

    /// The log that is written: sqlite:PATH, jsonl:PATH, postgres://…, kurrentdb://…, or @FILE. Without: the one that
    /// settings name. If it is embedded, no other process may be using it.
    #[arg(long, value_name = "LOG", requires = "to")]
    from: Option<Place>,

    #[command(flatten)]
    here: Here,
}

impl Copy {
    /// Whether it is the log itself that is to be written.
    pub fn is_wanted(&self) -> bool {
        self.to.is_some()
    }
}

#[derive(Debug, clap::Args)]
pub struct Import {
    /// A file that `cairn events export --to` has written.
    file: PathBuf,

    /// Where it is carried to: sqlite:PATH, jsonl:PATH, postgres://…, kurrentdb://…, or @FILE. Without: the log that
    /// settings name. What is there already must be the beginning of it.
    #[arg(long, value_name = "LOG")]
    to: Option<Place>,

    #[command(flatten)]
    here: Here,
}

#[derive(Debug, clap::Args)]
pub struct DigestOf {
    /// sqlite:PATH, jsonl:PATH, postgres://…, kurrentdb://…, or @FILE. Without: the log that settings name.
    log: Option<Place>,

    #[command(flatten)]
    here: Here,
}

/// Where the suite's own log is.
#[derive(Debug, clap::Args)]
pub struct Here {
    /// The data folder, whose settings and log are meant where none is named.
    #[arg(long)]
    data: Option<PathBuf>,

    #[command(flatten)]
    settings: config::Flags,
}

impl Here {
    fn load(&self) -> anyhow::Result<Loaded> {
        Ok(config::load(&self.settings, self.data.as_ref())?)
    }
}

/// The place that is named, or that of the suite's own log.
fn place(named: Option<Place>, settings: &Loaded) -> anyhow::Result<Place> {
    named.map_or_else(|| Place::configured(settings, &folder(settings)?), Place::resolved)
}

fn folder(settings: &Loaded) -> anyhow::Result<Folder> {
    let path = settings.get::<Config>().data;
    Folder::open(&path).with_context(|| format!("{}", path.display()))
}

pub async fn migrate(output: Output, command: Migrate) -> anyhow::Result<()> {
    let settings = command.here.load()?;
    let (from, to) = (place(command.from, &settings)?, command.to.resolved()?);
    let folder = command.switch.then(|| folder(&settings)).transpose()?;
    if let Some(folder) = &folder {
        to.check_switch(folder)?;
    }
    let to = folder.iter().fold(to, |to, folder| to.kept_in(folder));
    let (digest, id) = carried(output, &settings, &from, &to).await?;
    let mut said = format!("carried and compared: {}", told(&digest));
    let mut answer = answer(&digest);
    if let Some(folder) = folder {
        let aside = switch(&folder, &id.map_or_else(|| to.trace(), |id| Ok(Trace::Postgres(id)))?)?;
        said.push_str(&format!("; this data folder goes on with it, the old log is in {}", aside.display()));
        answer["set_aside"] = json!(aside);
    }
    output.done(&said, &answer)
}

pub async fn import(output: Output, command: Import) -> anyhow::Result<()> {
    let settings = command.here.load()?;
    let (from, to) = (Place::Jsonl(command.file), place(command.to, &settings)?);
    done(output, &carried(output, &settings, &from, &to).await?.0)
}

pub async fn copy(output: Output, command: Copy) -> anyhow::Result<()> {
    let settings = command.here.load()?;
    let to = Place::Jsonl(command.to.context("--to is missing")?);
    let from = place(command.from, &settings)?;
    done(output, &carried(output, &settings, &from, &to).await?.0)
}

fn done(output: Output, digest: &Digest) -> anyhow::Result<()> {
    output.done(&format!("carried and compared: {}", told(digest)), &answer(digest))
}

pub async fn digest_of(output: Output, command: DigestOf) -> anyhow::Result<()> {
    let settings = command.here.load()?;
    let log = place(command.log, &settings)?.open(&settings).await?;
    let bar = bar("reading");
    let digest = digest(&*log.carried, |progress| show(&bar, progress)).await?;
    bar.finish_and_clear();
    output.done(&told(&digest), &answer(&digest))
}

/// Carries a log and compares what has arrived. Gives what both hold, and the name of the other log if it has one. Both are
/// closed again.
async fn carried(
    output: Output,
    settings: &Loaded,
    from: &Place,
    to: &Place,
) -> anyhow::Result<(Digest, Option<Uuid>)> {
    let (from, to) = (from.open(settings).await?, to.begin(settings).await?);
    if from.id.is_some() && from.id == to.id {
        return Err(Unusable("both are the same log".to_owned()).into());
    }
    loop {
        let bar_of_carrying = bar("carrying");
        let reached = carry(&*from.carried, &*to.carried, |progress| show(&bar_of_carrying, progress))
            .await
            .context("the same command again goes on from here")?;
        bar_of_carrying.finish_and_clear();
        let bar_of_comparing = bar("comparing");
        let digest = compare(&*from.carried, &*to.carried, |progress| show(&bar_of_comparing, progress)).await;
        bar_of_comparing.finish_and_clear();
        if from.carried.end().await? == reached {
            return Ok((digest?, to.id));
        }
        // Somebody goes on writing: what came meanwhile is missing there, and is carried too.
        if let Err(fault) = digest
            && !matches!(fault, CarryFault::Missing(_))
        {
            return Err(fault.into());
        }
        output.warn("the log has grown meanwhile: carrying on");
    }
}

fn told(digest: &Digest) -> String {
    let Digest { events, end, root } = digest;
    format!("{events} events up to position {end}, root {root}")
}

fn answer(digest: &Digest) -> Value {
    let Digest { events, end, root } = digest;
    json!({"events": events.to_string(), "end_position": end.to_string(), "root": root.to_string()})
}

/// On standard error and only on a terminal; indicatif sees to both.
fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::no_length().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.end.0);
    bar.set_position(progress.reached.0);
}
