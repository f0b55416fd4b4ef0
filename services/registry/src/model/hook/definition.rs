use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use super::{MlflowEvent, Trigger};

/// When a hook has its say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    Before,
    After,
}

/// In which shape a webhook is told what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Cairn,
    Mlflow,
    Slack,
}

/// What counts when there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureMode {
    Open,
    Closed,
}

/// What a hook is about and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub timing: Timing,
    pub triggers: BTreeSet<Trigger>,
    /// Id of the one model it is about. Empty: all.
    pub model: String,
    pub action: Action,
}

/// What a hook does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Expression { expression: String, message: String },
    Webhook(Webhook),
}

/// A program that is asked or told. Its address and what its requests are signed with are kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Scheme, host and port of its address.
    pub origin: String,
    /// SHA-256 of its whole address, in hexadecimal digits.
    pub address_digest: String,
    pub format: Format,
    /// Names what its requests are signed with. Empty: they are not.
    pub secret_id: String,
    pub deadline: Duration,
    /// Before something happens only.
    pub failure_mode: Option<FailureMode>,
    pub mlflow_events: BTreeSet<MlflowEvent>,
}

impl Definition {
    /// Whether it has its say on something that happens to a model.
    pub fn is_about(&self, timing: Timing, trigger: Trigger, model: &str) -> bool {
        self.timing == timing && self.triggers.contains(&trigger) && (self.model.is_empty() || self.model == model)
    }

    /// What it does, if that is to ask or tell a program.
    pub fn webhook(&self) -> Option<&Webhook> {
        match &self.action {
            Action::Expression { .. } => None,
            Action::Webhook(webhook) => Some(webhook),
        }
    }

    /// SHA-256 of all of it, in hexadecimal digits: what was asked for when something was refused, however it changes
    /// later. Each part goes in with its length, so that no two definitions are one text.
    pub fn digest(&self) -> String {
        let mut parts: Vec<String> = vec![format!("{:?}", self.timing), self.model.clone()];
        parts.extend(self.triggers.iter().map(|trigger| trigger.as_str().to_owned()));
        match &self.action {
            Action::Expression { expression, message } => {
                parts.extend(["expression".to_owned(), expression.clone(), message.clone()]);
            }
            Action::Webhook(webhook) => {
                let Webhook { origin, address_digest, format, secret_id, deadline, failure_mode, mlflow_events } =
                    webhook;
                parts.extend(["webhook".to_owned(), origin.clone(), address_digest.clone(), secret_id.clone()]);
                parts.extend([format!("{format:?}"), deadline.as_millis().to_string(), format!("{failure_mode:?}")]);
                parts.extend(mlflow_events.iter().map(|event| event.as_str().to_owned()));
            }
        }
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        hex::encode(context.finish())
    }
}
