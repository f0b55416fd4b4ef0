//! The command line for people. Every command but `up`, `serve`, parts of `config`, `rebuild`, `witness`, `audit verify` and
//! `evidence verify` goes through the gateway.

mod accounts;
mod addresses;
mod artifact_parts;
mod artifacts;
mod audit;
mod authz;
mod bindings;
mod break_glass;
mod carry;
mod cloud_events;
mod comparison;
mod config;
mod credentials;
mod doctor;
mod emit;
mod environments;
mod events;
mod evidence;
mod exit;
mod experiments;
mod export;
mod groups;
mod guardrails;
mod health;
mod hooks;
mod hub;
mod identity_providers;
mod import;
mod keyring;
mod keys;
mod lineage;
mod log_keys;
mod login;
mod model_cards;
mod models;
mod nested;
mod oauth_clients;
mod organizations;
mod output;
mod points;
mod policies;
mod privacy;
mod projects;
mod promotions;
mod quotas;
mod rebuild;
mod register;
mod roles;
mod run_logs;
mod run_source;
mod runs;
mod secrets;
mod serve;
mod session;
mod sessions;
mod signing;
mod signing_keys;
mod transparency;
mod trust_rules;
mod up;
mod verify;
mod version_files;
mod witness;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::suite::Engines;
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
    /// Runs the whole suite in one process.
    Up(up::Command),
    /// Runs some roles of the suite as one process among others.
    Serve(serve::Command),
    /// Settings of the program, and configuration of projects by environment.
    Config(config::Command),
    /// Says whether a process is well: exit code 0 if it is ready. Needs no credential.
    Health(health::Command),
    /// Looks at a running deployment, and says what its operator might change. Needs no credential.
    #[command(subcommand)]
    Doctor(doctor::Command),
    /// The keys that all processes of a deployment share.
    #[command(subcommand)]
    Keyring(keyring::Command),
    /// Builds read models again from the log, to compare or to replace.
    Rebuild(rebuild::Command),
    /// Experiments of the project.
    #[command(subcommand)]
    Experiments(experiments::Command),
    /// Runs of the project.
    #[command(subcommand, alias = "run")]
    Runs(runs::Command),
    /// Files of runs.
    #[command(subcommand)]
    Artifacts(artifacts::Command),
    /// Registered models of the project, and their versions.
    #[command(subcommand)]
    Models(models::Command),
    /// Promotions: versions that come into use by more than one person's word.
    #[command(subcommand)]
    Promotions(promotions::Command),
    /// Functions: packages that are published once, and pulled with their digest and signature checked.
    #[command(subcommand)]
    Hub(hub::Command),
    /// Hooks: who must agree before something happens to a model, and who is told after it has.
    #[command(subcommand)]
    Hooks(hooks::Command),
    /// Import: what was kept elsewhere, with its ids and dates.
    #[command(subcommand)]
    Import(import::Command),
    /// Organizations: who projects, groups and roles belong to.
    #[command(subcommand, alias = "organizations")]
    Orgs(organizations::Command),
    /// Secrets of the project: values that are sealed, and shown to whoever may, on record.
    #[command(subcommand)]
    Secrets(secrets::Command),
    /// Projects: where a team's work lives.
    #[command(subcommand)]
    Projects(projects::Command),
    /// People.
    #[command(subcommand)]
    Users(accounts::Command),
    /// Groups of people and programs, who are given roles together.
    Groups(groups::Command),
    /// What an organization forbids, whatever roles give.
    Guardrails(guardrails::Command),
    /// Programs with an identity of their own.
    #[command(subcommand, visible_alias = "sa")]
    ServiceAccounts(accounts::Command),
    /// API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Who may do what, where.
    #[command(subcommand)]
    Bindings(bindings::Command),
    /// Emergencies: more rights than one has, for an hour at most.
    #[command(subcommand)]
    BreakGlass(break_glass::Command),
    /// What roles there are.
    #[command(subcommand)]
    Roles(roles::Command),
    /// Logs in by your identity provider, in your browser. What comes of it is kept for this command line alone.
    Login(login::Command),
    /// Ends the session that `login` began, and forgets it here.
    Logout,
    /// Who you are, and what you may do.
    Whoami,
    /// Identity providers: who says who people are.
    #[command(subcommand)]
    Idp(identity_providers::Command),
    /// Applications that people log in to by Cairn.
    #[command(subcommand)]
    OauthClients(oauth_clients::Command),
    /// Who is logged in.
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Workloads that act as a service account without a key of it.
    #[command(subcommand)]
    TrustRules(trust_rules::Command),
    /// The keys that tokens are signed with.
    #[command(subcommand)]
    SigningKeys(signing_keys::Command),
    /// Why something was refused.
    #[command(subcommand)]
    Authz(authz::Command),
    /// What happened: the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// The log itself, event by event.
    #[command(subcommand)]
    Events(events::Command),
    /// Evidence: what a promotion rests on, in one file that anybody can verify.
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Forgetting people, and showing that it was done.
    #[command(subcommand)]
    Privacy(privacy::Command),
    /// What was made from what.
    #[command(subcommand)]
    Lineage(lineage::Command),
    /// Runs a witness: it vouches that logs of others are only ever added to.
    Witness(witness::Command),
    /// Prints a completion script for a shell: `source <(cairn completions bash)`.
    Completions {
        /// For which.
        shell: Shell,
    },
}

/// Runs the command line and says how it went. `engines` are those that a suite it starts can keep its log in.
pub fn main(engines: Engines) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") => {
            return tell(&exit::Told::usage(error.render().to_string().trim_end().to_owned()), true);
        }
        Err(error) => error.exit(),
    };
    let is_json = cli.connection.output().is_json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cairn: cannot start: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    match runtime.block_on(run(&engines, cli)) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) if is_closed_pipe(&error) => ExitCode::from(exit::DONE),
        Err(error) => tell(&exit::Told::of(&error), is_json),
    }
}

/// Says on standard error what went wrong. Nobody hears of it if that is closed, but for the exit code.
fn tell(told: &exit::Told, is_json: bool) -> ExitCode {
    let text = if is_json { told.json().to_string() } else { told.text() };
    let _ = writeln!(stderr().lock(), "{text}");
    ExitCode::from(told.code)
}

async fn run(engines: &Engines, cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Up(command) => up::run(cli.connection.output(), engines, command).await,
        Command::Serve(command) => serve::run(cli.connection.output(), engines, command).await,
        Command::Config(command) => config::run(cli.connection, command).await,
        Command::Keyring(command) => keyring::run(cli.connection.output(), &command),
        Command::Health(command) => health::run(&cli.connection, command).await,
        Command::Doctor(command) => doctor::run(&cli.connection, command).await,
        Command::Rebuild(command) => rebuild::run(cli.connection.output(), engines, command).await,
        Command::Experiments(command) => experiments::run(cli.connection.open()?, command).await,
        Command::Runs(command) => runs::run(cli.connection.open()?, command).await,
        Command::Artifacts(command) => artifacts::run(cli.connection.open()?, command).await,
        Command::Models(command) => models::run(cli.connection.open()?, command).await,
        Command::Promotions(command) => promotions::run(cli.connection.open()?, command).await,
        Command::Hub(command) => hub::run(cli.connection, command).await,
        Command::Hooks(command) => hooks::run(cli.connection.open()?, command).await,
        Command::Import(command) => import::run(cli.connection.open()?, command).await,
        Command::Orgs(command) => organizations::run(cli.connection.open()?, command).await,
        Command::Groups(command) => groups::run(cli.connection.open()?, command).await,
        Command::Guardrails(command) => guardrails::run(cli.connection.open()?, command).await,
        Command::Secrets(command) => secrets::run(cli.connection.open()?, command).await,
        Command::Projects(command) => projects::run(cli.connection.open()?, command).await,
        Command::Users(command) => accounts::run(cli.connection.open()?, accounts::USERS, command).await,
        Command::ServiceAccounts(command) => {
            accounts::run(cli.connection.open()?, accounts::SERVICE_ACCOUNTS, command).await
        }
        Command::Keys(command) => keys::run(cli.connection.open()?, command).await,
        Command::Bindings(command) => bindings::run(cli.connection.open()?, command).await,
        Command::BreakGlass(command) => break_glass::run(cli.connection.open()?, command).await,
        Command::Roles(command) => roles::run(cli.connection.open()?, command).await,
        Command::Login(command) => login::login(&cli.connection, command).await,
        Command::Logout => login::logout(&cli.connection).await,
        Command::Whoami => bindings::whoami(cli.connection.open()?).await,
        Command::Idp(command) => identity_providers::run(cli.connection.open()?, command).await,
        Command::OauthClients(command) => oauth_clients::run(cli.connection.open()?, command).await,
        Command::Sessions(command) => sessions::run(cli.connection.open()?, command).await,
        Command::TrustRules(command) => trust_rules::run(cli.connection.open()?, command).await,
        Command::SigningKeys(command) => signing_keys::run(cli.connection.open()?, command).await,
        Command::Authz(command) => authz::run(cli.connection.open()?, command).await,
        Command::Audit(audit::Command::Verify(command)) => verify::run(cli.connection.output(), &command),
        Command::Audit(command) => audit::run(cli.connection.open()?, command).await,
        Command::Events(command) => events::run(cli.connection, command).await,
        Command::Evidence(evidence::Command::Verify(command)) => evidence::verify(cli.connection.output(), &command),
        Command::Evidence(evidence::Command::Pack { promotion, output, events_max }) => {
            evidence::pack(cli.connection.open()?, &promotion, output, events_max).await
        }
        Command::Privacy(command) => privacy::run(cli.connection.open()?, command).await,
        Command::Lineage(command) => lineage::run(cli.connection.open()?, command).await,
        Command::Witness(command) => witness::run(cli.connection.output(), command).await,
        Command::Completions { shell } => {
            // Not straight to standard output: a reader that goes away is no reason to panic.
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "cairn", &mut script);
            Ok(stdout().lock().write_all(&script)?)
        }
    }
}

/// Whether the reader of our output went away, as `| head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The help of a command and of all below it.
    fn helps(command: &mut clap::Command, above: &str, text: &mut String) {
        let name = format!("{above}{}", command.get_name());
        if !command.get_subcommands().any(|below| below.get_name() != "help") {
            text.push_str(&format!("=== {name}\n{}\n", command.render_help()));
            return;
        }
        text.push_str(&format!("=== {name}\n{}\n\n", command.get_about().map(ToString::to_string).unwrap_or_default()));
        for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
            helps(below, &format!("{name} "), text);
        }
    }

    #[test]
    fn the_help_of_every_command_is_as_it_was_reviewed() {
        let mut command = Cli::command();
        command.build();
        let mut text = String::new();
        helps(&mut command, "", &mut text);
        insta::assert_snapshot!("help", text);
    }
}
