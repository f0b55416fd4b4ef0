//! Secrets by name: from the suite, else from the environment.

use cairn_contract::cairn::config::v1::{AccessSecretVersionRequest, AccessSecretVersionResponse};

use crate::{Client, Fault};

const ACCESS: &str = "/cairn.config.v1.SecretService/AccessSecretVersion";
/// What says that there is no such value, and nothing else.
const ABSENT: [&str; 2] = ["SECRET_NOT_FOUND", "SECRET_VERSION_NOT_FOUND"];

impl Client {
    /// The value of a secret, `projects/{project}/secrets/{secret}`: of the newest version that is enabled, or of the one
    /// that the name ends with (`…/versions/3`). That it was read is on record, with the reason.
    pub async fn get_secret(&self, name: &str, reason: &str) -> Result<String, Fault> {
        let name = if name.contains("/versions/") { name.to_owned() } else { format!("{name}/versions/latest") };
        let request = AccessSecretVersionRequest { name, reason: reason.to_owned() };
        let answer: AccessSecretVersionResponse = self.call(ACCESS, &request).await?;
        Ok(answer.value)
    }

    /// The secret of this name in a project, `projects/{project}`, if there is one; else the environment variable of this
    /// name, if it is set.
    ///
    /// Only a secret that is not there gives way to the environment. One that may not be read, or a suite that does not
    /// answer, is a fault: another value than the one that was meant would be worse than none.
    pub async fn get_secret_or_env(&self, project: &str, name: &str) -> Result<Option<String>, Fault> {
        match self.get_secret(&format!("{project}/secrets/{name}"), "").await {
            Ok(value) => Ok(Some(value)),
            Err(fault) if fault.reason().is_some_and(|reason| ABSENT.contains(&reason)) => from_environment(name),
            Err(fault) => Err(fault),
        }
    }
}

fn from_environment(name: &str) -> Result<Option<String>, Fault> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        // Not shown: it is meant to be a secret.
        Err(std::env::VarError::NotUnicode(_)) => Err(Fault::Invalid(format!("the variable {name} is no text"))),
    }
}
