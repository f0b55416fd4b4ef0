//! `cairn authz`: why something was refused or allowed, and what would be.

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};

use super::exit::Refuted;
use super::output::{Column, line};
use super::session::{Session, given};
use super::{guardrails, organizations};

const ACCESS: &str = "auth.v1.AccessService";

const FLIPS: &[Column] = &[
    ("TIME", "decide_time"),
    ("PRINCIPAL", "principal"),
    ("PERMISSION", "permission"),
    ("RESOURCE", "resource"),
    ("TODAY", "allowed_today"),
    ("AFTER", "allowed_after"),
    ("DECISION", "decision"),
];

const GRANTS: &[Column] = &[
    ("ROLE", "role"),
    ("ON", "resource"),
    ("HOLDS THE PERMISSION", "holds_permission"),
    ("COVERS THE RESOURCE", "covers_resource"),
    ("EXPIRED", "expired"),
    ("GIVES OR DENIES", "effect"),
    ("CONDITION", "condition"),
    ("GROUP", "group"),
    ("BINDING", "binding"),
];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says whether somebody would be allowed something, and why. Does nothing else.
    Check {
        /// E.g. `experiments.runs.create`.
        permission: String,
        /// A resource name, or `*` for the deployment.
        resource: String,
        /// `users/…` or `serviceAccounts/…`; yourself, if not given.
        #[arg(long)]
        principal: Option<String>,
        /// The address that it would come from.
        #[arg(long)]
        from: Option<String>,
        #[command(flatten)]
        moving: Moving,
    },
    /// Shows what a decision rests on: the question, the roles that were looked at, and the state of the rules.
    Explain {
        /// The `decision_id` that came with the refusal, or stands with an event.
        id: String,
    },
    /// Decides again what was decided once, by the roles of then: it must be the same.
    Replay {
        /// The `decision_id` that came with the refusal, or stands with an event.
        id: String,
        /// By the roles of today, which shows what has changed.
        #[arg(long)]
        today: bool,
    },
    /// Shows what a change of roles would mean: which requests of the past would be answered otherwise than today.
    /// Changes nothing.
    Preview(Preview),
}

/// What would come into use, for guardrails.
#[derive(Debug, clap::Args)]
pub struct Moving {
    /// A stage that a version would move into. Any number of times.
    #[arg(long = "stage", value_name = "STAGE")]
    stages: Vec<String>,
    /// An alias that would be moved or taken away. Any number of times.
    #[arg(long = "alias", value_name = "ALIAS")]
    aliases: Vec<String>,
    /// Who asked for it, or registered the version. Any number of times.
    #[arg(long = "author", value_name = "PRINCIPAL")]
    authors: Vec<String>,
    /// Who has approved it. Any number of times.
    #[arg(long = "approver", value_name = "PRINCIPAL")]
    approvers: Vec<String>,
    /// How many must approve before it moves.
    #[arg(long = "approvals-required", value_name = "COUNT")]
    approvals_required: Option<u32>,
}

impl Moving {
    /// As the contract has it; nothing if nothing was said.
    fn fields(&self) -> Option<Value> {
        let lists = [&self.stages, &self.aliases, &self.authors, &self.approvers];
        let is_said = lists.iter().any(|list| !list.is_empty()) || self.approvals_required.is_some();
        is_said.then(|| {
            json!({"stages": self.stages, "aliases": self.aliases, "authors": self.authors,
                   "approvers": self.approvers, "approvals_required": self.approvals_required.unwrap_or_default()})
        })
    }
}

#[derive(Debug, clap::Args)]
pub struct Preview {
    /// Somebody is given a role: `users/u-1=editor@projects/fraud`. Any number of times.
    #[arg(long = "grant", value_name = "PRINCIPAL=ROLE@RESOURCE")]
    grants: Vec<String>,
    /// A binding is withdrawn. Any number of times.
    #[arg(long = "withdraw", value_name = "BINDING")]
    withdrawn: Vec<String>,
    /// Somebody is disabled. Any number of times.
    #[arg(long = "disable", value_name = "PRINCIPAL")]
    disabled: Vec<String>,
    /// Somebody is enabled. Any number of times.
    #[arg(long = "enable", value_name = "PRINCIPAL")]
    enabled: Vec<String>,
    /// An organization forbids something, by a template that comes with Cairn: `acme=source-network,networks=10.0.0.0/8`,
    /// or by a policy in a file: `acme=@freeze.cedar`. Any number of times.
    #[arg(long = "guard", value_name = "ORGANIZATION=WHAT")]
    guarded: Vec<String>,
    /// A guardrail is removed: its name. Any number of times.
    #[arg(long = "unguard", value_name = "GUARDRAIL")]
    unguarded: Vec<String>,
    /// Only requests on this resource and below it.
    #[arg(long)]
    resource: Option<String>,
    /// From when on, RFC 3339; otherwise seven days back.
    #[arg(long)]
    since: Option<String>,
    /// Until when, RFC 3339; otherwise now.
    #[arg(long)]
    until: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check { permission, resource, principal, from, moving } => {
            let question = json!({"permission": permission, "resource": resource, "principal": principal,
                                  "source_address": from, "moving": moving.fields()});
            check(&session, given(question)).await
        }
        Command::Explain { id } => explain(&session, &id).await,
        Command::Replay { id, today } => replay(&session, &id, today).await,
        Command::Preview(preview) => previewed(&session, &preview).await,
    }
}

fn name(id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("decisions/{id}") }
}

async fn check(session: &Session, question: Value) -> anyhow::Result<()> {
    let told = session.call(&format!("{ACCESS}/CheckPermission"), question).await?;
    if session.output.is_json {
        return session.output.json(&told);
    }
    let word = if told["allowed"] == true { "allowed" } else { "refused" };
    let why = told["denial"].as_str().map(|denial| denial.trim_start_matches("DENIAL_").to_lowercase());
    let by = told["binding"].as_str().filter(|binding| !binding.is_empty());
    let why = by.map(|binding| format!("by {binding}")).or(why.filter(|_| word == "refused")).unwrap_or_default();
    line(format!("{word} {}", why.replace('_', " ")).trim_end())?;
    if let Some(guardrail) = told["guardrail"].as_str().filter(|guardrail| !guardrail.is_empty()) {
        let fault = told["guardrail_fault"].as_str().filter(|fault| !fault.is_empty());
        line(&format!("by {guardrail}{}", fault.map(|fault| format!(": {fault}")).unwrap_or_default()))?;
    }
    list(session, &told["grants"], "\nRoles looked at:")
}

async fn explain(session: &Session, id: &str) -> anyhow::Result<()> {
    let mut explained = session.call(&format!("{ACCESS}/ExplainDecision"), json!({"name": name(id)})).await?;
    if session.output.is_json {
        return session.output.json(&explained);
    }
    let grants = explained["grants"].take();
    let count = explained["grant_count"].as_i64().unwrap_or_default();
    if let Some(fields) = explained.as_object_mut() {
        fields.retain(|key, _| !matches!(key.as_str(), "grants" | "grant_count"));
    }
    session.output.one(&explained)?;
    list(session, &grants, &format!("\n{count} roles in all. Looked at:"))
}

/// A decision that comes out otherwise than it was is a failure: by the roles of then, of the log or of this program.
async fn replay(session: &Session, id: &str, is_today: bool) -> anyhow::Result<()> {
    let rules = if is_today { "RULES_TODAY" } else { "RULES_THEN" };
    let told = session.call(&format!("{ACCESS}/ReplayDecision"), json!({"name": name(id), "rules": rules})).await?;
    let is_same = told["agrees"] == true;
    if session.output.is_json {
        session.output.json(&told)?;
    } else {
        let word = |allowed: bool| if allowed { "allowed" } else { "refused" };
        let text = |field: &str| told[field].as_str().unwrap_or_default();
        line(&format!("{} {} on {}", text("principal"), text("permission"), text("resource")))?;
        line(&format!("  {}: {}", text("decide_time"), word(told["was_allowed"] == true)))?;
        let when = if is_today { "by the roles of today" } else { "again, by the roles of then" };
        let by = told["replayed"]["guardrail"].as_str().filter(|guardrail| !guardrail.is_empty());
        let by = by.map(|guardrail| format!(" by {guardrail}")).unwrap_or_default();
        line(&format!("  {when}: {}{by}", word(told["replayed"]["allowed"] == true)))?;
        if told["source_forgotten"] == true {
            line("  where it came from is forgotten: roles that hold from certain networks alone gave nothing")?;
        }
        list(session, &told["replayed"]["grants"], "\nRoles looked at:")?;
    }
    if is_same || is_today {
        return Ok(());
    }
    Err(Refuted("the roles of then do not lead to what was decided".to_owned()).into())
}

async fn previewed(session: &Session, preview: &Preview) -> anyhow::Result<()> {
    let mut changes = vec![];
    for text in &preview.grants {
        let parts = text.split_once('=').and_then(|(who, rest)| Some((who, rest.split_once('@')?)));
        let (principal, (role, resource)) =
            parts.with_context(|| format!("--grant {text}: write PRINCIPAL=ROLE@RESOURCE"))?;
        let role = if role.contains('/') { role.to_owned() } else { format!("roles/{role}") };
        changes.push(json!({"grant": {"principal": principal, "role": role, "resource": resource}}));
    }
    let named = [("withdraw", &preview.withdrawn), ("disable", &preview.disabled), ("enable", &preview.enabled)];
    for (change, names) in named {
        changes.extend(names.iter().map(|name| json!({change: name})));
    }
    for text in &preview.guarded {
        changes.push(json!({"guard": guard(text)?}));
    }
    changes.extend(preview.unguarded.iter().map(|name| json!({"unguard": name})));
    let request = given(json!({
        "changes": changes, "resource": preview.resource, "start_time": preview.since, "end_time": preview.until,
    }));
    let (mut flips, mut examined, mut token): (Vec<Value>, _, _) = (vec![], 0, String::new());
    while flips.len() < preview.limit {
        let mut request = request.clone();
        request["page_token"] = json!(token);
        request["page_size"] = json!((preview.limit - flips.len()).min(1000));
        let mut page = session.call(&format!("{ACCESS}/PreviewChanges"), request).await?;
        flips.extend(page["flips"].as_array_mut().map(std::mem::take).unwrap_or_default());
        examined += page["examined_count"].as_i64().unwrap_or_default();
        token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    if session.output.is_json {
        let is_whole = token.is_empty();
        return session.output.json(&json!({"flips": flips, "examined_count": examined, "whole": is_whole}));
    }
    let said = |flip: &Value| {
        let mut flip = flip.clone();
        for field in ["allowed_today", "allowed_after"] {
            flip[field] = json!(if flip[field] == true { "allowed" } else { "refused" });
        }
        flip
    };
    session.output.list(&flips.iter().map(said).collect::<Vec<_>>(), FLIPS)?;
    line(&format!("\n{} of {examined} requests would be answered otherwise", flips.len()))
}

/// What an organization would forbid.
fn guard(text: &str) -> anyhow::Result<Value> {
    let wrong = || format!("--guard {text}: write ORGANIZATION=TEMPLATE,PARAMETER=VALUE or ORGANIZATION=@FILE");
    let (organization, what) = text.split_once('=').with_context(wrong)?;
    let organization = organizations::name(organization);
    if let Some(file) = what.strip_prefix('@') {
        let policy = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        return Ok(json!({"organization": organization, "policy": policy}));
    }
    // Values may hold commas: what has no equals sign goes on with the one before.
    let mut parts: Vec<String> = vec![];
    for part in what.split(',') {
        match parts.last_mut() {
            Some(last) if !part.contains('=') && last.contains('=') => *last = format!("{last},{part}"),
            _ => parts.push(part.to_owned()),
        }
    }
    let (template, parameters) = parts.split_first().with_context(wrong)?;
    let parameters = guardrails::parameters(parameters)?;
    Ok(json!({"organization": organization, "template": template, "parameters": parameters}))
}

fn list(session: &Session, grants: &Value, heading: &str) -> anyhow::Result<()> {
    let grants: Vec<Value> = grants.as_array().into_iter().flatten().map(plain).collect();
    line(heading)?;
    session.output.list(&grants, GRANTS)
}

/// A grant with what is false said, which the answer leaves out.
fn plain(grant: &Value) -> Value {
    let mut grant = grant.clone();
    for key in ["holds_permission", "covers_resource", "expired"] {
        grant[key] = json!(if grant[key] == true { "yes" } else { "no" });
    }
    grant["effect"] = json!(if grant["denies"] == true { "denies" } else { "gives" });
    grant["condition"] = json!(if grant["condition_unmet"] == true { "not met" } else { "" });
    grant
}
