//! `cairn idp`: identity providers, who say who people are.

use std::io::Read;

use anyhow::Context;
use cairn_client::Fault;
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::Column;
use super::session::{Items, Session, given};

const SERVICE: &str = "auth.v1.IdentityProviderService";

const COLUMNS: &[Column] =
    &[("NAME", "name"), ("TITLE", "title"), ("ISSUER", "issuer"), ("CLIENT", "client_id"), ("DISABLED", "disabled")];

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the providers.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 200)]
        limit: usize,
    },
    /// Adds a provider. Tells the redirect address that its client there needs.
    Create {
        /// Lower-case letters, digits and dashes.
        id: String,
        /// Its address.
        #[arg(long)]
        issuer: String,
        /// Our name there.
        #[arg(long)]
        client_id: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Shows a provider, without its secret.
    Get {
        /// Its id, or full name.
        id: String,
    },
    /// Changes a provider: what is given, and nothing else.
    Update {
        /// Its id, or full name.
        id: String,
        /// Its address. With another one the secret must be given anew.
        #[arg(long)]
        issuer: Option<String>,
        /// Our name there.
        #[arg(long)]
        client_id: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Removes a provider and its secret.
    Delete {
        /// Its id, or full name.
        id: String,
    },
    /// Asks a provider what it is, and says what stands in the way of logging in by it.
    Check {
        /// Its id, or full name.
        id: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct Settings {
    /// What people choose it by.
    #[arg(long)]
    title: Option<String>,
    /// File that holds our secret there; `-` reads it from standard input. (Never an argument: other users of the
    /// machine can read those.)
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<String>,
    /// How we show who we are there: `client_secret_basic`, `client_secret_post` or `none`.
    #[arg(long, value_name = "WAY")]
    client_authentication: Option<String>,
    /// What is asked for beside `openid`. Any number of times.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// The claim with people's names.
    #[arg(long, value_name = "CLAIM")]
    display_name_claim: Option<String>,
    /// The claim with people's mail addresses.
    #[arg(long, value_name = "CLAIM")]
    email_claim: Option<String>,
    /// The claim with people's groups. Nobody comes in without it then.
    #[arg(long, value_name = "CLAIM")]
    groups_claim: Option<String>,
    /// A role that members of a group get on a resource. Any number of times; all of them together are set.
    #[arg(long = "map", value_name = "GROUP=ROLE@RESOURCE")]
    group_roles: Vec<String>,
    /// Whether people whom nobody has added come in, and are added then.
    #[arg(long, value_name = "true|false")]
    creates_users: Option<bool>,
    /// Whether nobody comes in by it.
    #[arg(long, value_name = "true|false")]
    disabled: Option<bool>,
}

impl Settings {
    fn message(&self, issuer: Option<&str>, client_id: Option<&str>) -> anyhow::Result<Value> {
        let secret = self.client_secret_file.as_deref().map(secret).transpose()?;
        let list = |values: &[String]| (!values.is_empty()).then(|| json!(values));
        let roles = self.group_roles.iter().map(|text| group_role(text)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(given(json!({
            "issuer": issuer,
            "client_id": client_id,
            "title": self.title,
            "client_secret": secret,
            "client_authentication": self.client_authentication,
            "scopes": list(&self.scopes),
            "display_name_claim": self.display_name_claim,
            "email_claim": self.email_claim,
            "groups_claim": self.groups_claim,
            "group_roles": (!roles.is_empty()).then_some(roles),
            "creates_users": self.creates_users,
            "disabled": self.disabled,
        })))
    }
}

pub async fn run(session: Session, command: Command) -> anyhow::Result<()> {
    let call = async |method: &str, request| session.call(&format!("{SERVICE}/{method}"), request).await;
    match command {
        Command::List { limit } => {
            let rpc = format!("{SERVICE}/ListIdentityProviders");
            session.show(&rpc, json!({}), Items::new(COLUMNS), limit).await
        }
        Command::Create { id, issuer, client_id, settings } => {
            let provider = settings.message(Some(&issuer), Some(&client_id))?;
            let request = json!({"identity_provider_id": id, "identity_provider": provider});
            let made = call("CreateIdentityProvider", request).await?;
            let redirect = made["redirect_uri"].as_str().unwrap_or_default();
            session.output.done(&format!("added {}; its redirect address is {redirect}", name(&id)), &made)
        }
        Command::Get { id } => session.output.one(&call("GetIdentityProvider", json!({"name": name(&id)})).await?),
        Command::Update { id, issuer, client_id, settings } => {
            let mut provider = settings.message(issuer.as_deref(), client_id.as_deref())?;
            let fields: Vec<String> = provider.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
            if fields.is_empty() {
                return Err(Fault::Invalid("nothing was given that shall be another".to_owned()).into());
            }
            provider["name"] = json!(name(&id));
            let request = json!({"identity_provider": provider, "update_mask": fields.join(",")});
            let changed = call("UpdateIdentityProvider", request).await?;
            session.output.done(&format!("changed {}", name(&id)), &changed)
        }
        Command::Delete { id } => {
            let gone = call("DeleteIdentityProvider", json!({"name": name(&id)})).await?;
            session.output.done(&format!("deleted {}", name(&id)), &gone)
        }
        Command::Check { id } => session.output.one(&call("CheckIdentityProvider", json!({"name": name(&id)})).await?),
    }
}

fn name(id: &str) -> String {
    if id.contains('/') { id.to_owned() } else { format!("identityProviders/{id}") }
}

fn secret(file: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().read_to_string(&mut text).context("cannot read the secret from standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| format!("cannot read the secret in {file}"))?;
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(Fault::Invalid(format!("{file} holds no secret")).into());
    }
    Ok(text.to_owned())
}

/// `GROUP=ROLE@RESOURCE`. A group may have `=` in its name, as those of a directory do.
fn group_role(text: &str) -> anyhow::Result<Value> {
    let parts = text.rsplit_once('@').and_then(|(rest, resource)| Some((rest.rsplit_once('=')?, resource)));
    let Some(((group, role), resource)) = parts.filter(|((group, role), _)| !group.is_empty() && !role.is_empty())
    else {
        return Err(Fault::Invalid(format!("{text:?} is not GROUP=ROLE@RESOURCE")).into());
    };
    let role = if role.contains('/') { role.to_owned() } else { format!("roles/{role}") };
    Ok(json!({"group": group, "role": role, "resource": resource}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_may_be_called_as_a_directory_calls_it() {
        let read = group_role("cn=data,dc=example=editor@projects/fraud").unwrap();
        assert_eq!(read, json!({"group": "cn=data,dc=example", "role": "roles/editor", "resource": "projects/fraud"}));
        assert_eq!(group_role("ops=roles/admin@*").unwrap()["role"], "roles/admin");
        for text in ["ops", "ops=admin", "=admin@*", "ops=@*"] {
            assert!(group_role(text).is_err(), "{text}");
        }
    }
}
