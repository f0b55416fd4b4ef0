//! Benchmarks, each beside what one would use instead or beside the physical limit. Ratios, not seconds.

mod mlflow;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "bench", about = "Benchmarks of Cairn, each beside what one would use instead")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// MLflow's REST API: Cairn beside a genuine MLflow server.
    Mlflow(mlflow::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Mlflow(args) => mlflow::run(args),
    }
}
