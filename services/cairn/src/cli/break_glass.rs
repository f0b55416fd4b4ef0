//! `cairn break-glass`: more rights than one has, for an hour at most, in sight of everybody.

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::organizations;
use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.BreakGlassService";

const COLUMNS: &[Column] = &[
    ("NAME", "name"),
    ("PRINCIPAL", "principal"),
    ("ON", "resource"),
    ("STATE", "state"),
    ("APPROVER", "approver"),
    ("EXPIRES", "expire_time"),
    ("REVIEW DUE", "review_due_time"),
    ("REVIEWED", "review_time"),
    ("TICKET", "ticket"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the emergencies of an organization.
    List {
        /// The organization's id, or full name.
        organization: String,
        /// Only those that somebody should have looked at by now.
        #[arg(long)]
        overdue: bool,
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Asks for the break-glass role. A second person gives it at once; alone it can be taken after ten minutes.
    Request {
        /// The organization's id, or full name.
        organization: String,
        /// Why; kept in the audit log.
        #[arg(long)]
        reason: String,
        /// The ticket that it is about.
        #[arg(long)]
        ticket: String,
        /// A project of the organization; all of it, if not given.
        #[arg(long)]
        resource: Option<String>,
        /// For how long: `20m`. An hour, if not given, which is the most.
        #[arg(long = "for", value_parser = humantime::parse_duration)]
        life: Option<Duration>,
    },
    /// Shows an emergency.
    Get {
        /// Its full name.
        name: String,
    },
    /// Agrees, as somebody else than who asked.
    Approve {
        /// Its full name.
        name: String,
    },
    /// Takes the role alone, once the delay has passed.
    Activate {
        /// Its full name.
        name: String,
    },
    /// Ends an emergency before its time.
    End {
        /// Its full name.
        name: String,
        /// Why; kept in the audit log.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Says what came of looking at what was done, as somebody else than who did it.
    Review {
        /// Its full name.
        name: String,
        /// What came of it; kept in the audit log.
        review: String,
    },
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |verb: &str, request: Value| {
        session.call(&format!("{SERVICE}/{verb}BreakGlassActivation"), request).await
    };
    match command {
        Command::List { organization, overdue, limit } => {
            let request = json!({"parent": organizations::name(&organization), "overdue": overdue});
            session.show(&format!("{SERVICE}/ListBreakGlassActivations"), request, Items::new(COLUMNS), limit).await
        }
        Command::Request { organization, reason, ticket, resource, life } => {
            let life = life.map(|life| format!("{}s", life.as_secs()));
            let asked = json!({"reason": reason, "ticket": ticket, "resource": resource, "duration": life});
            let parent = organizations::name(&organization);
            let made = call("Create", json!({"parent": parent, "break_glass_activation": given(asked)})).await?;
            session.output.done(&format!("asked for {}", made["name"].as_str().unwrap_or_default()), &made)
        }
        Command::Get { name } => session.output.one(&call("Get", json!({"name": name})).await?),
        Command::Approve { name } => {
            let done = call("Approve", json!({"name": name})).await?;
            session.output.done(&format!("{name} is active"), &done)
        }
        Command::Activate { name } => {
            let done = call("Activate", json!({"name": name})).await?;
            session.output.done(&format!("{name} is active"), &done)
        }
        Command::End { name, reason } => {
            let done = call("End", json!({"name": name, "reason": reason})).await?;
            session.output.done(&format!("ended {name}"), &done)
        }
        Command::Review { name, review } => {
            let done = call("Review", json!({"name": name, "review": review})).await?;
            session.output.done(&format!("reviewed {name}"), &done)
        }
    }
}
