//! `cairn bindings`, `cairn roles`, `cairn whoami`: who may do what, where.

use std::time::{Duration, SystemTime};

use clap::Subcommand;
use serde_json::json;

use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.AccessService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("PRINCIPAL", "principal"),
    ("ROLE", "role"),
    ("RESOURCE", "resource"),
    ("EXPIRES", "expire_time"),
    ("REASON", "reason"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the bindings you may see.
    List {
        /// Only of this principal.
        #[arg(long)]
        principal: Option<String>,
        /// Only of this role.
        #[arg(long)]
        role: Option<String>,
        /// Only at or below this resource.
        #[arg(long)]
        resource: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Gives a principal a role on a resource and everything below it. Nobody can give what they do not hold.
    Create {
        /// `users/…` or `serviceAccounts/…`.
        #[arg(long)]
        principal: String,
        /// As `cairn roles list` names them.
        #[arg(long)]
        role: String,
        /// A resource name, or `*` for the deployment.
        #[arg(long)]
        resource: String,
        /// Until when: `30d`, `12h`. For ever, if not given.
        #[arg(long, value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Takes a role away.
    Delete {
        /// Its full name, as `cairn bindings list` tells it.
        name: String,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Roles {
    /// Lists the roles and what each permits.
    List,
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { principal, role, resource, limit } => {
            let request = given(json!({"principal": principal, "role": role, "resource": resource}));
            session.show(&format!("{SERVICE}/ListBindings"), request, Items::new(COLUMNS), limit).await
        }
        Command::Create { principal, role, resource, expires_in, reason } => {
            let expires =
                expires_in.map(|span| humantime::format_rfc3339_seconds(SystemTime::now() + span).to_string());
            let role = if role.contains('/') { role } else { format!("roles/{role}") };
            let sentence = format!("{principal} has {role} on {resource}");
            // A grant inside a project is its manager's to give; elsewhere it takes the deployment's administrator.
            let made = if resource.starts_with("projects/") {
                let request = json!({"resource": resource, "principal": principal, "role": role,
                                     "expire_time": expires, "reason": reason});
                session.call(&format!("{SERVICE}/GrantRole"), given(request)).await?
            } else {
                let binding = given(json!({"principal": principal, "role": role, "resource": resource,
                                           "expire_time": expires, "reason": reason}));
                session.call(&format!("{SERVICE}/CreateBinding"), json!({"binding": binding})).await?
            };
            session.output.done(&sentence, &made)
        }
        Command::Delete { name, reason } => {
            let gone =
                session.call(&format!("{SERVICE}/DeleteBinding"), json!({"name": name, "reason": reason})).await?;
            session.output.done(&format!("deleted {name}"), &gone)
        }
    }
}

pub async fn roles(session: Session, Roles::List: Roles) -> anyhow::Result<()> {
    let columns = [("NAME", "name"), ("DESCRIPTION", "description"), ("PERMISSIONS", "permissions")];
    session.show(&format!("{SERVICE}/ListRoles"), json!({}), Items::new(&columns), usize::MAX).await
}

pub async fn whoami(session: Session) -> anyhow::Result<()> {
    session.output.one(&session.call(&format!("{SERVICE}/WhoAmI"), json!({})).await?)
}
