//! `cairn bindings` and `cairn whoami`: who may do what, where.

use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::Column;
use super::session::{Items, Session, given, pairs};

const SERVICE: &str = "auth.v1.AccessService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("PRINCIPAL", "principal"),
    ("EFFECT", "effect"),
    ("ROLE", "role"),
    ("DENIED", "permissions"),
    ("RESOURCE", "resource"),
    ("SOURCE", "source"),
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
    /// Shows one binding, with its conditions.
    Get {
        /// Its full name, as `cairn bindings list` tells it.
        name: String,
    },
    /// Gives a principal a role on a resource and everything below it. Nobody can give what they do not hold.
    Create(Create),
    /// Denies a principal something on the deployment, an organization or a project, whatever else gives it.
    Deny(Deny),
    /// Takes a role away, or ends a denial.
    Delete {
        /// Its full name, as `cairn bindings list` tells it.
        name: String,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// `users/…`, `serviceAccounts/…` or `organizations/…/groups/…`.
    #[arg(long)]
    principal: String,
    /// As `cairn roles list` names them.
    #[arg(long)]
    role: String,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Debug, clap::Args)]
pub struct Deny {
    /// `users/…`, `serviceAccounts/…` or `organizations/…/groups/…`.
    #[arg(long)]
    principal: String,
    /// All that this role holds.
    #[arg(long, conflicts_with = "permissions", required_unless_present = "permissions")]
    role: Option<String>,
    /// Words such as `experiments.runs.delete`. Any number of times.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    #[command(flatten)]
    terms: Terms,
}

/// Where, until when, and when a binding holds.
#[derive(Debug, clap::Args)]
pub struct Terms {
    /// A resource name, or `*` for the deployment.
    #[arg(long)]
    resource: String,
    /// Until when: `30d`, `12h`. For ever, if not given.
    #[arg(long, value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    /// Why; kept in the audit log.
    #[arg(long, default_value = "")]
    reason: String,
    /// Only from this network: `10.0.0.0/8`. Any number of times.
    #[arg(long = "from", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Only in projects that are tagged so. Any number of times.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,
    /// Only at these hours, in UTC: `08:00-18:00`, or on some days of the week `1-5@08:00-18:00`. Any number of times.
    #[arg(long = "hours", value_name = "[DAYS@]FROM-TO")]
    hours: Vec<String>,
    /// Not before this time, RFC 3339.
    #[arg(long)]
    not_before: Option<String>,
}

impl Terms {
    /// The condition that the flags ask for; null: none.
    fn condition(&self) -> anyhow::Result<Value> {
        let windows = self.hours.iter().map(|text| window(text)).collect::<anyhow::Result<Vec<_>>>()?;
        let condition = json!({
            "source_networks": self.networks, "project_tags": pairs(&self.tags)?, "windows": windows,
            "start_time": self.not_before,
        });
        let is_empty = self.networks.is_empty() && self.tags.is_empty() && windows.is_empty();
        Ok(if is_empty && self.not_before.is_none() { Value::Null } else { given(condition) })
    }
}

/// `1-5@08:00-18:00` in the words of the contract.
fn window(text: &str) -> anyhow::Result<Value> {
    let malformed = || format!("--hours {text}: write 08:00-18:00, or 1-5@08:00-18:00 for Monday to Friday");
    let (days, hours) = text.split_once('@').map_or((None, text), |(days, hours)| (Some(days), hours));
    let (start, end) = hours.split_once('-').with_context(malformed)?;
    let mut numbers = vec![];
    for part in days.into_iter().flat_map(|days| days.split(',')) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u8>().ok().filter(|day| (1..=7).contains(day));
        let (first, last) = number(first).zip(number(last)).with_context(malformed)?;
        numbers.extend(first..=last);
    }
    Ok(json!({"days": numbers, "start": start, "end": end}))
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { principal, role, resource, limit } => {
            let request = given(json!({"principal": principal, "role": role, "resource": resource}));
            session.show(&format!("{SERVICE}/ListBindings"), request, Items::new(COLUMNS), limit).await
        }
        Command::Get { name } => {
            let found = session.call(&format!("{SERVICE}/GetBinding"), json!({"name": name})).await?;
            session.output.one(&found)
        }
        Command::Create(Create { principal, role, terms }) => {
            let role = role_name(&role);
            let sentence = format!("{principal} has {role} on {}", terms.resource);
            let made = bind(&session, json!({"principal": principal, "role": role}), &terms).await?;
            session.output.done(&sentence, &made)
        }
        Command::Deny(Deny { principal, role, permissions, terms }) => {
            let role = role.as_deref().map(role_name);
            let what = role.clone().unwrap_or_else(|| permissions.join(", "));
            let sentence = format!("{principal} is denied {what} on {}", terms.resource);
            let binding =
                json!({"principal": principal, "effect": "EFFECT_DENY", "role": role, "permissions": permissions});
            let made = bind(&session, binding, &terms).await?;
            session.output.done(&sentence, &made)
        }
        Command::Delete { name, reason } => {
            let gone =
                session.call(&format!("{SERVICE}/DeleteBinding"), json!({"name": name, "reason": reason})).await?;
            session.output.done(&format!("deleted {name}"), &gone)
        }
    }
}

fn role_name(role: &str) -> String {
    if role.contains('/') { role.to_owned() } else { format!("roles/{role}") }
}

/// Makes a binding. Inside a project or an organization it is its manager's to make; elsewhere it takes the deployment's
/// administrator.
async fn bind(session: &Session, mut binding: Value, terms: &Terms) -> anyhow::Result<Value> {
    let expires = terms.expires_in.map(|span| humantime::format_rfc3339_seconds(SystemTime::now() + span).to_string());
    binding["resource"] = json!(terms.resource);
    binding["expire_time"] = json!(expires);
    binding["reason"] = json!(terms.reason);
    binding["condition"] = terms.condition()?;
    let is_inside = ["projects/", "organizations/"].iter().any(|top| terms.resource.starts_with(top));
    if is_inside {
        session.call(&format!("{SERVICE}/GrantRole"), given(binding)).await
    } else {
        session.call(&format!("{SERVICE}/CreateBinding"), json!({"binding": given(binding)})).await
    }
}

pub async fn whoami(session: Session) -> anyhow::Result<()> {
    session.output.one(&session.call(&format!("{SERVICE}/WhoAmI"), json!({})).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_written_with_or_without_days() {
        assert_eq!(window("08:00-18:00").unwrap(), json!({"days": [], "start": "08:00", "end": "18:00"}));
        let week = json!({"days": [1, 2, 3, 7], "start": "22:00", "end": "06:00"});
        assert_eq!(window("1-3,7@22:00-06:00").unwrap(), week);
        for text in ["", "8@08:00-18:00", "0@08:00-18:00", "08:00", "mon@08:00-18:00"] {
            assert!(window(text).is_err(), "{text}");
        }
    }
}
