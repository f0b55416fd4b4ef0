//! `cairn import`: takes over what was kept elsewhere, with its ids and dates.
//!
//! What has been taken over is read from the target itself, object by object: there is no file of progress that could be
//! lost or lie. The same command again goes on where it was interrupted, and changes nothing that is there.

mod database;
mod experiments;
mod files;
mod models;
mod pairs;
mod report;
mod runs;
mod server;
mod source;
mod target;

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use self::report::Report;
use self::source::Source;
use self::target::Target;
use super::session::Session;

/// Most runs on their way at the same time.
const JOBS_MAX: u16 = 64;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Takes over an MLflow server or its SQLite file: experiments, runs, metrics, artifacts, models and the rest.
    ///
    /// The same command again goes on where it was interrupted, and changes nothing that is there. A server that asks
    /// for a credential gets the one that MLflow's own clients would send: MLFLOW_TRACKING_TOKEN, or
    /// MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. A database file is read as it is at the beginning; with
    /// another engine, or a folder of runs, start an MLflow server over it.
    Mlflow(Options),
}

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The server's address, as in MLFLOW_TRACKING_URI, or MLflow's database file: http://…, sqlite:///mlflow.db, or a
    /// path.
    #[arg(long, value_name = "URI")]
    from: String,

    /// The folder that the server of a database kept artifacts in: its --artifacts-destination, for rows that say
    /// mlflow-artifacts:/….
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,

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
    let source = Source::open(&options.from, options.artifacts.as_deref()).await?;
    source.check(&options.experiments).await?;
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
            for (what, why) in import.source.beyond().await? {
                import.report.leave_out(what, why);
            }
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
