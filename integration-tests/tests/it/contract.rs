//! Walks every method of the contract through the gateway: as a stranger, as somebody powerless, and as the
//! administrator, looking for the audit record that the contract promises; and in every role, comparing who is let in
//! with the table of roles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cairn_contract::cairn::options::v1::{Audit, Dialect};
use cairn_contract::{Binding, Contract, Method, Segment};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::suite::Suite;

/// A path that a binding matches. What it names does not exist, except the project.
pub fn path(binding: &Binding) -> String {
    let mut path = String::new();
    let mut before = "";
    for segment in binding.template.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => {
                path.push_str(text);
                before = text;
            }
            Segment::One | Segment::Rest if before == "projects" => path.push_str("default"),
            Segment::One => path.push_str("x1"),
            Segment::Rest if before == "organizations" => path.push_str("x1"),
            // Vault's path of a secret, which is its id here.
            Segment::Rest if path.starts_with("/v1/secret/") => path.push_str("x1"),
            Segment::Rest => path.push_str("projects/default"),
        }
    }
    if let Some(verb) = binding.template.verb() {
        path.push(':');
        path.push_str(verb);
    }
    path
}

/// What goes with a request of a binding: nothing, or the emptiest body there is.
pub fn body(binding: &Binding) -> Option<Value> {
    (!binding.body.is_empty()).then(|| json!({}))
}

/// The outcomes that the audit log has for a request.
async fn outcomes(suite: &Suite, id: &str) -> Vec<String> {
    let answer = suite.ask("GET", &format!("/api/v1/audit?request_id={id}"), None).await;
    let records = answer["audit_records"].as_array().cloned().unwrap_or_default();
    records.iter().map(|record| record["outcome"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Complaints about how one method treats three callers.
async fn judge(suite: &Suite, method: &Method, powerless: &str) -> Vec<String> {
    let mut complaints = vec![];
    for (at, binding) in method.bindings.iter().enumerate() {
        let (path, body) = (path(binding), body(binding));
        let mut complain = |who: &str, what: String| {
            complaints.push(format!("{} {path} ({}), {who}: {what}", binding.verb, method.path));
        };
        let id = |who: &str| format!("{who}-{}-{at}", method.path.replace('/', "-"));

        // What is public has rules of its own: a signed address, a credential to exchange.
        if !method.is_public {
            let stranger = suite.send(&binding.verb, &path, body.as_ref(), None, &id("stranger")).await.status();
            // Vault's clients know one word for both.
            let is_vault = method.dialect == Dialect::Vault && stranger == StatusCode::FORBIDDEN;
            if stranger != StatusCode::UNAUTHORIZED && !is_vault {
                complain("a stranger", format!("{stranger}"));
            }
            let id = id("powerless");
            let answer = suite.send(&binding.verb, &path, body.as_ref(), Some(powerless), &id).await.status();
            let kept = outcomes(suite, &id).await;
            if answer != StatusCode::FORBIDDEN || !kept.iter().any(|outcome| outcome == "OUTCOME_DENIED") {
                complain("somebody powerless", format!("{answer}, and the audit log has {kept:?}"));
            }
        }

        let id_of_admin = id("admin");
        let answer = suite.send(&binding.verb, &path, body.as_ref(), Some(&suite.admin), &id_of_admin).await.status();
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer) && !method.is_public {
            complain("the administrator", format!("{answer}"));
        }
        if answer.is_server_error() && answer != StatusCode::NOT_IMPLEMENTED {
            complain("the administrator", format!("{answer}"));
        }
        let promised = match (method.audit, method.is_read) {
            (Audit::None | Audit::Unspecified, _) => None,
            (_, true) => Some("OUTCOME_READ"),
            (_, false) => Some("OUTCOME_REQUESTED"),
        };
        if let Some(promised) = promised {
            let kept = outcomes(suite, &id_of_admin).await;
            // A change that was refused is kept as that.
            if !kept.iter().any(|outcome| outcome == promised || outcome == "OUTCOME_REJECTED") {
                complain("the administrator", format!("promised {promised}, the audit log has {kept:?}"));
            }
        }
    }
    complaints
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_refuses_strangers_and_the_powerless_and_leaves_the_record_it_promises() {
    let suite = Suite::start().await;
    let powerless = suite.powerless().await;
    let methods = Contract::embedded().unwrap().methods();
    assert!(methods.len() > 100, "only {} methods", methods.len());
    let mut complaints = vec![];
    for method in methods {
        complaints.extend(judge(&suite, method, &powerless).await);
    }
    suite.stop().await;
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// What the declared table says each role may do: `docs/roles.md`, as people read it.
fn declared() -> BTreeMap<String, BTreeSet<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/roles.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|--"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let (head, rows) = rows.split_first().expect("there is a table");
    let holds = |column: usize| {
        let held = rows.iter().filter(|row| row[column] == "yes").map(|row| row[0].trim_matches('`').to_owned());
        (head[column].to_owned(), held.collect())
    };
    (1..head.len()).map(holds).collect()
}

/// Whether a method may be called at a path.
type Rule = Box<dyn Fn(&Method, &str) -> bool>;

/// Somebody who calls, and what the table lets them call.
struct Caller {
    name: &'static str,
    key: Option<String>,
    may: Rule,
}

/// A service account with a role, and a key of it that is narrowed to some permissions.
async fn account(suite: &Suite, id: &str, role: Option<(&str, &str)>, permissions: &[&str]) -> String {
    suite.ask("POST", "/api/v1/serviceAccounts", Some(&json!({"service_account_id": id}))).await;
    if let Some((role, resource)) = role {
        let binding = json!({"principal": format!("serviceAccounts/{id}"), "role": role, "resource": resource});
        suite.ask("POST", "/api/v1/bindings", Some(&json!({"binding": binding}))).await;
    }
    let key = json!({"api_key": {"permissions": permissions}});
    let made = suite.ask("POST", &format!("/api/v1/serviceAccounts/{id}/apiKeys"), Some(&key)).await;
    made["secret"].as_str().unwrap().to_owned()
}

/// Twelve kinds of callers: nobody, somebody without a role, each role everywhere, a role in one project, and an
/// administrator with a narrowed key.
async fn callers(suite: &Suite) -> Vec<Caller> {
    let table = declared();
    let mut callers = vec![
        Caller { name: "a stranger", key: None, may: Box::new(|_, _| false) },
        Caller {
            name: "nobody in particular",
            key: Some(account(suite, "none", None, &[]).await),
            may: Box::new(|_, _| false),
        },
    ];
    let roles = ["viewer", "editor", "manager", "auditor", "approver", "operator", "security-admin", "admin"];
    for name in roles {
        let held = table[name].clone();
        callers.push(Caller {
            name,
            key: Some(account(suite, name, Some((&format!("roles/{name}"), "*")), &[]).await),
            may: Box::new(move |method, _| held.contains(&method.permission)),
        });
    }
    let held = table["manager"].clone();
    callers.push(Caller {
        name: "manager of one project",
        key: Some(account(suite, "local", Some(("roles/manager", "projects/default")), &[]).await),
        may: Box::new(move |method, path| {
            let is_of_all = method.resource == "*";
            let is_above = is_of_all || path.starts_with("/api/v1/organizations/");
            let is_inside = (path.contains("projects/default") && !is_above) || method.dialect != Dialect::Cairn;
            held.contains(&method.permission) && (is_inside || method.is_filtered)
        }),
    });
    callers.push(Caller {
        name: "admin with a narrowed key",
        key: Some(account(suite, "narrow", Some(("roles/admin", "*")), &["experiments.runs.get"]).await),
        may: Box::new(|method, _| method.permission == "experiments.runs.get"),
    });
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_on_every_route_what_the_table_of_roles_says_s4_89() {
    let suite = Suite::start().await;
    let callers = callers(&suite).await;
    assert_eq!(callers.len(), 12);
    let (mut complaints, mut routes) = (vec![], 0);
    for method in Contract::embedded().unwrap().methods().iter().filter(|method| !method.is_public) {
        for binding in &method.bindings {
            routes += 1;
            let (path, body) = (path(binding), body(binding));
            for caller in &callers {
                let answer = suite.probe(&binding.verb, &path, body.as_ref(), caller.key.as_deref()).await;
                let is_let_in = ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer);
                if is_let_in != (caller.may)(method, &path) {
                    let verb = &binding.verb;
                    complaints.push(format!("{}: {verb} {path} ({}): {answer}", caller.name, method.permission));
                }
            }
        }
    }
    suite.stop().await;
    assert!(routes > 120, "only {routes} routes");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}
