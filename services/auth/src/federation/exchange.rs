use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cairn_kernel::{Principal, PrincipalKind};
use cairn_service::refuse;
use serde_json::{Map, Value, json};
use tonic::Status;
use tracing::{info, warn};

use super::rule::fits;
use crate::desk::Desk;
use crate::issuer::{Form, OauthFault, Scope, narrowed};
use crate::logins::Rule;
use crate::oidc::{TokenFault, Wanted, signed};

/// The kind of grant.
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a workload may say that its token is.
const KINDS: [&str; 2] = ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// Exchanges a workload's token for one of ours, as the service account whose rule it falls under. Nothing is stored, and
/// there is no refresh token: the workload has another token of its own when it needs one.
pub async fn exchange(desk: &Desk, form: &Form) -> Result<Result<Value, OauthFault>, Status> {
    let (token, scope) = match asked(form) {
        Ok(asked) => asked,
        Err(fault) => return Ok(Err(fault)),
    };
    let Some(issuer) = issuer(token) else {
        return Ok(Err(refused("subject_token is no token that says who signed it")));
    };
    // Only an issuer that somebody trusts is asked for its keys: a stranger's token must not make us ask anybody.
    let rules = desk.logins.rules_of(&issuer).await.map_err(refuse)?;
    let account = form.get("audience").filter(|audience| audience.starts_with("serviceAccounts/"));
    let rules: Vec<&Rule> =
        rules.iter().filter(|rule| account.is_none_or(|account| rule.service_account == account)).collect();
    let mut fitting = vec![];
    let mut fault = None;
    for rule in rules {
        match check(desk, token, rule).await {
            Ok(claims) if fits(rule, &claims) => fitting.push((rule, claims)),
            Ok(_) => {}
            Err(said) => fault = Some(said),
        }
    }
    let (rule, claims) = match fitting.as_slice() {
        [(rule, claims)] => (rule, claims),
        [] => {
            let reason = fault.unwrap_or_else(|| "no rule is met".to_owned());
            warn!(%issuer, reason, "token exchange refused");
            return Ok(Err(refused("no trust rule is met by subject_token")));
        }
        _ => {
            return Ok(Err(OauthFault::new(
                "invalid_target",
                "several service accounts trust it: say which in audience",
            )));
        }
    };
    let id = rule.name.rsplit('/').next().unwrap_or_default();
    if desk.access.check_credential(id, &rule.service_account).is_err() {
        return Ok(Err(refused("the service account is not let in")));
    }
    let names = match narrowed(&rule.scopes, scope.names) {
        Ok(names) => names,
        Err(fault) => return Ok(Err(fault)),
    };
    let scopes: Vec<String> = names.iter().map(ToString::to_string).collect();
    let principal = Principal {
        name: rule.service_account.clone(),
        kind: PrincipalKind::ServiceAccount,
        credential: Some(id.to_owned()),
        scopes: scopes.clone(),
    };
    let life = left(desk, claims).min(desk.access.token_life());
    info!(account = %rule.service_account, rule = %rule.name, "a workload exchanged its token");
    Ok(Ok(json!({
        "access_token": desk.access.issue(&principal, &scopes, life),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": life.as_secs(),
        "scope": scopes.join(" "),
    })))
}

fn asked(form: &Form) -> Result<(&str, Scope), OauthFault> {
    let kind = form.need("subject_token_type")?;
    if !KINDS.contains(&kind) {
        return Err(OauthFault::invalid(format!("subject_token_type must be {} or {}", KINDS[0], KINDS[1])));
    }
    if form.get("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN) {
        return Err(OauthFault::invalid(format!("requested_token_type can only be {ACCESS_TOKEN}")));
    }
    if form.get("actor_token").is_some() {
        return Err(OauthFault::invalid("nobody acts for somebody else here"));
    }
    Ok((form.need("subject_token")?, Scope::read(form.get("scope").unwrap_or_default())?))
}

fn refused(description: &str) -> OauthFault {
    OauthFault::grant(description)
}

/// Whom a token says that it is from. Not believed: it says whose keys to check it with.
fn issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims["iss"].as_str().map(str::to_owned)
}

async fn check(desk: &Desk, token: &str, rule: &Rule) -> Result<Map<String, Value>, String> {
    let wanted = Wanted { issuer: &rule.issuer, audience: &rule.audience, now: desk.now() };
    let checked = desk.providers.check(&rule.issuer, |keys| signed(token, keys, wanted)).await?;
    checked.map_err(|fault: TokenFault| fault.reason().to_owned())
}

/// How long the workload's own token still holds.
fn left(desk: &Desk, claims: &Map<String, Value>) -> Duration {
    let (now, _) = desk.now().seconds_and_nanos();
    let expires = claims.get("exp").and_then(Value::as_i64).unwrap_or(now);
    // Within the leeway of two clocks it may seem to be over.
    Duration::from_secs(u64::try_from(expires.saturating_sub(now)).unwrap_or(0).max(60))
}
