//! The command line for people. Every command but `up`, `config` and `rebuild` goes through the gateway.

mod audit;
mod events;
mod exit;
mod output;
mod session;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use session::Connection;

/// Cairn: track experiments, keep models, and prove who did what.
#[derive(Debug, Parser)]
#[command(name = "cairn", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    connection: Connection,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What happened: the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// The log itself, event by event.
    #[command(subcommand)]
    Events(events::Command),
    /// Prints a completion script for a shell: `source <(cairn completions bash)`.
    Completions { shell: Shell },
}

/// Runs the command line and says how it went.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cairn: cannot start: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) if is_closed_pipe(&error) => ExitCode::from(exit::DONE),
        Err(error) => {
            eprintln!("cairn: {error:#}");
            ExitCode::from(exit::code(&error))
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Audit(command) => audit::run(cli.connection.open()?, command).await,
        Command::Events(command) => events::run(cli.connection.open()?, command).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Whether the reader of our output went away, as `| head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
