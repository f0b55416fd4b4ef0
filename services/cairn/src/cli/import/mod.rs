//! `cairn import`: takes over what was kept elsewhere, with its ids and dates.
//!
//! What has been taken over is read from the target itself, object by object: there is no file of progress that could be
//! lost or lie. The same command again goes on where it was interrupted, and changes nothing that is there.

mod experiments;
mod files;
mod models;
mod pairs;
mod report;
mod runs;
mod source;
mod target;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use self::report::Report;
use self::source::Source;
use self::target::Target;
use super::exit::Unusable;
use super::session::Session;

/// Most runs on their way at the same time.
const JOBS_MAX: u16 = 64;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Takes over an MLflow server: experiments, runs, metrics, params, tags, artifacts, models, versions and aliases.
    ///
    /// The same command again goes on where it was interrupted, and changes nothing that is there. A server that asks
    /// for a credential gets the one that MLflow's own clients would send: MLFLOW_TRACKING_TOKEN, or
    /// MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    Mlflow(Options),
}

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The server's address, as in MLFLOW_TRACKING_URI: http:// or https://. For a database, start a server on it.
    #[arg(long, value_name = "URI")]
    from: String,

    /// Only the experiment of this name; may be repeated. Registered models come only when this is not given.
    #[arg(long = "experiment", value_name = "NAME")]
    experiments: Vec<String>,

    /// How many runs are taken over at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=i64::from(JOBS_MAX)))]
    jobs: u16,

    /// Only counts what there is. Nothing is written.
    #[arg(long)]
    dry_run: bool,
}

/// One import under way.
struct Import {
    source: Source,
    target: Target,
    report: Report,
    bar: ProgressBar,
    options: Options,
}

pub async fn run(session: Session, Command::Mlflow(options): Command) -> anyhow::Result<()> {
    let source = Source::open(&options.from)?;
    let output = session.output;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    let import = Import { source, target: Target::new(session), report: Report::default(), bar, options };
    let done = async {
        import.experiments().await?;
        // Versions are made from runs and logged models: without those of all experiments, half of them would be missing.
        if import.options.experiments.is_empty() {
            import.models().await?;
        }
        anyhow::Ok(())
    };
    let done = done.await;
    import.bar.finish_and_clear();
    done?;
    import.report.close(output, import.source.name(), &import.target.project(), import.options.dry_run)
}

impl Import {
    fn is_dry(&self) -> bool {
        self.options.dry_run
    }
}

/// What cannot be imported from, and what to do instead.
fn unusable(from: &str) -> anyhow::Error {
    let database = ["sqlite:", "postgresql", "postgres:", "mysql", "mssql"].iter().any(|kind| from.starts_with(kind));
    let problem = if database || !from.contains("://") {
        "is a database or folder: start a server on it with `mlflow server --backend-store-uri … --artifacts-destination \
         …`, and import from that server's address"
    } else {
        "is no address of an MLflow server: it is like http://127.0.0.1:5000"
    };
    // A database's address often holds its password.
    let shown = from.split_once("://").map_or(from, |(scheme, _)| scheme);
    Unusable(format!("--from {shown}… {problem}")).into()
}
