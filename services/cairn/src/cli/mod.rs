//! The command line for people. Every command but `up`, `config` and `rebuild` goes through the gateway.

mod accounts;
mod artifact_parts;
mod artifacts;
mod audit;
mod bindings;
mod comparison;
mod config;
mod events;
mod exit;
mod experiments;
mod keys;
mod nested;
mod output;
mod projects;
mod rebuild;
mod runs;
mod session;
mod up;

use std::path::PathBuf;
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

    /// Settings file for `up` and `config`; otherwise `cairn.toml` here, if there is one.
    #[arg(long, global = true, env = "CAIRN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole suite in one process.
    Up(up::Command),
    /// Settings: what is in force, and what there is.
    #[command(subcommand)]
    Config(config::Command),
    /// Builds read models again from the log, to compare or to replace.
    Rebuild(rebuild::Command),
    /// Experiments of the project.
    #[command(subcommand)]
    Experiments(experiments::Command),
    /// Runs of the project.
    #[command(subcommand)]
    Runs(runs::Command),
    /// Files of runs.
    #[command(subcommand)]
    Artifacts(artifacts::Command),
    /// Projects: where a team's work lives.
    #[command(subcommand)]
    Projects(projects::Command),
    /// People.
    #[command(subcommand)]
    Users(accounts::Command),
    /// Programs with an identity of their own.
    #[command(subcommand)]
    ServiceAccounts(accounts::Command),
    /// API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Who may do what, where.
    #[command(subcommand)]
    Bindings(bindings::Command),
    /// What roles there are.
    #[command(subcommand)]
    Roles(bindings::Roles),
    /// Who you are, and what you may do.
    Whoami,
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
        Command::Up(command) => up::run(cli.connection.output(), cli.config, command).await,
        Command::Config(command) => config::run(cli.config, command),
        Command::Rebuild(command) => rebuild::run(cli.connection.output(), command).await,
        Command::Experiments(command) => experiments::run(cli.connection.open()?, command).await,
        Command::Runs(command) => runs::run(cli.connection.open()?, command).await,
        Command::Artifacts(command) => artifacts::run(cli.connection.open()?, command).await,
        Command::Projects(command) => projects::run(cli.connection.open()?, command).await,
        Command::Users(command) => accounts::run(cli.connection.open()?, accounts::USERS, command).await,
        Command::ServiceAccounts(command) => {
            accounts::run(cli.connection.open()?, accounts::SERVICE_ACCOUNTS, command).await
        }
        Command::Keys(command) => keys::run(cli.connection.open()?, command).await,
        Command::Bindings(command) => bindings::run(cli.connection.open()?, command).await,
        Command::Roles(command) => bindings::roles(cli.connection.open()?, command).await,
        Command::Whoami => bindings::whoami(cli.connection.open()?).await,
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
