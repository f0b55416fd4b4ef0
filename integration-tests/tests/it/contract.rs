//! Walks every method of the contract through the gateway: as a stranger, as somebody powerless, and as the
//! administrator; and looks for the audit record that the contract promises.

use cairn_contract::cairn::options::v1::Audit;
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
            if stranger != StatusCode::UNAUTHORIZED {
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
