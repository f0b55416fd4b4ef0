use std::collections::HashMap;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cairn_eventstore::{Commands, EventStore};
use cairn_kernel::{Clock, Position, Secret};
use cairn_outbound::{Address, Answer, Outbound, SendFault};
use cairn_seal::Sealer;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

use super::book::{Book, BookFault, Limits};
use super::config::Config;
use super::expression::Expressions;
use super::kept::{Kept, KeptFault};
use super::{deliver, plan, sign};
use crate::model::HookName;
use crate::model::hook::{Action, FailureMode, Format, Hook, Webhook};

/// How Cairn calls itself where it asks and tells.
const AGENT: &str = concat!("cairn/", env!("CARGO_PKG_VERSION"));
/// Longest word of a receiver that is passed on, in characters.
const SAID_CHARS_MAX: usize = 1_000;

/// Hooks at work. What is read, planned and delivered stops when this is dropped, and so does a delivery on its way.
pub struct Working {
    tools: Arc<Tools>,
    _stop: DropGuard,
}

/// What hooks work with.
pub struct Tools {
    pub(super) config: Config,
    pub(super) commands: Commands,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) kept: Kept,
    pub(super) outbound: Outbound,
    pub(crate) book: Book,
    /// There may be something to deliver.
    pub(super) changed: Notify,
    expressions: Expressions,
    administration: Mutex<()>,
}

impl Deref for Working {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.tools
    }
}

/// Why hooks cannot be used here.
#[derive(Debug, thiserror::Error)]
pub enum ToolsFault {
    #[error(transparent)]
    Kept(#[from] KeptFault),
    #[error(transparent)]
    Book(#[from] BookFault),
    #[error("nothing can be sent: {0}")]
    Outbound(#[from] SendFault),
}

/// What a hook says to something that is about to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Agreed,
    Refused(String),
    Unanswered(String),
}

/// What a program must answer that is asked.
#[derive(Deserialize)]
struct Word {
    allowed: bool,
    #[serde(default)]
    message: String,
}

/// Opens what hooks need in a folder that is kept, and starts to deliver. Must be called on a tokio runtime.
pub fn open(
    store: &Arc<dyn EventStore>,
    commands: Commands,
    clock: Arc<dyn Clock>,
    folder: &Path,
    config: Config,
    sealer: Sealer,
) -> Result<Working, ToolsFault> {
    let limits = Limits {
        pending: i64::try_from(config.pending_per_hook_max).unwrap_or(i64::MAX),
        kept: i64::try_from(config.kept_per_hook_max).unwrap_or(i64::MAX),
    };
    let tools = Arc::new(Tools {
        kept: Kept::open(&folder.join("registry-hook-secrets.sqlite"), sealer)?,
        book: Book::open(&folder.join("registry-deliveries.sqlite"), limits)?,
        outbound: Outbound::new(config.allowed(), AGENT)?,
        expressions: Expressions::new(config.expression_timeout()),
        changed: Notify::new(),
        administration: Mutex::default(),
        commands,
        clock,
        config,
    });
    // What happens from now on is told, however soon.
    let begin: Position = *store.head().borrow();
    let stop = CancellationToken::new();
    tokio::spawn(plan::run(Arc::clone(&tools), Arc::clone(store), begin, stop.clone()));
    tokio::spawn(deliver::run(Arc::clone(&tools), stop.clone()));
    tokio::spawn({
        let kept = tools.kept.clone();
        async move {
            if let Err(fault) = kept.seal_the_open().await {
                error!(%fault, "secrets of hooks that an earlier build kept are not sealed yet");
            }
        }
    });
    Ok(Working { tools, _stop: stop.drop_guard() })
}

impl Tools {
    /// Reads an address that somebody gave.
    pub(crate) fn address(&self, text: &str) -> Result<Address, cairn_outbound::AddressFault> {
        self.outbound.address(text)
    }

    /// Keeps an address and what is signed with, under the ids that the webhook names them by.
    pub(crate) async fn keep(
        &self,
        hook: &HookName,
        webhook: &Webhook,
        address: Option<String>,
        secret: Option<String>,
    ) -> Result<(), KeptFault> {
        let [address_id, secret_id] = ids(webhook);
        let given = [(address_id, address), (secret_id, secret)];
        let texts: HashMap<String, Secret> =
            given.into_iter().filter_map(|(id, text)| Some((id, Secret::from(text?)))).collect();
        self.kept.keep(hook, texts).await
    }

    /// Forgets what a hook no longer needs. `None`: it is gone.
    pub(crate) async fn forget(&self, hook: &HookName, webhook: Option<&Webhook>) -> Result<(), KeptFault> {
        let ids = webhook.map(ids).unwrap_or_default();
        self.kept.forget_others(hook, ids).await
    }

    /// The whole address of a webhook, if it is known here.
    pub(crate) async fn whole_address(&self, hook: &HookName, webhook: &Webhook) -> Result<Option<String>, KeptFault> {
        let [address, _] = ids(webhook);
        Ok(self.kept.find(hook, &address).await?.map(|address| address.expose().to_owned()))
    }

    /// The turn to change a hook together with its credentials.
    pub(crate) async fn administration(&self) -> MutexGuard<'_, ()> {
        self.administration.lock().await
    }

    /// Says that there may be something to deliver.
    pub(crate) fn stir(&self) {
        self.changed.notify_one();
    }

    /// Asks a hook whether it agrees. `patience` is what is left to whoever waits.
    pub(crate) async fn ask(
        &self,
        hook: &Hook,
        id: &str,
        question: Bytes,
        document: Value,
        patience: Duration,
    ) -> Verdict {
        match &hook.definition.action {
            Action::Expression { expression, message } => {
                let told = if message.is_empty() { expression } else { message };
                match self.expressions.holds(expression, document).await {
                    Ok(true) => Verdict::Agreed,
                    Ok(false) => Verdict::Refused(told.clone()),
                    Err(problem) => Verdict::Refused(format!("{told} (cannot be told: {problem})")),
                }
            }
            Action::Webhook(webhook) => match self.asked(hook, webhook, id, question, patience).await {
                Ok(word) if word.allowed => Verdict::Agreed,
                Ok(word) => Verdict::Refused(short(&word.message)),
                Err(_) if webhook.failure_mode == Some(FailureMode::Open) => Verdict::Agreed,
                Err(problem) => Verdict::Unanswered(problem),
            },
        }
    }

    async fn asked(
        &self,
        hook: &Hook,
        webhook: &Webhook,
        id: &str,
        question: Bytes,
        patience: Duration,
    ) -> Result<Word, String> {
        let answer = self.send(&hook.name, webhook, webhook.format, id, question, patience).await?;
        if !answer.is_success() {
            return Err(format!("it answered with status {}", answer.status));
        }
        serde_json::from_slice(&answer.body).map_err(|_| "its answer is not {\"allowed\": …}".to_owned())
    }

    /// Sends a body to a webhook, signed as it must be.
    pub(crate) async fn send(
        &self,
        hook: &HookName,
        webhook: &Webhook,
        format: Format,
        id: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Answer, String> {
        let [address_id, secret_id] = ids(webhook);
        let find = async |id: &str| self.kept.find(hook, id).await.map_err(|fault| fault.to_string());
        let lost = |what: &str| format!("its {what} is not known here: give it again");
        let address = find(&address_id).await?.ok_or_else(|| lost("address"))?;
        let secret = match webhook.secret_id.is_empty() {
            true => None,
            false => Some(find(&secret_id).await?.ok_or_else(|| lost("secret"))?),
        };
        let address = self.outbound.address(address.expose()).map_err(|fault| fault.to_string())?;
        let (seconds, _) = self.clock.now().seconds_and_nanos();
        let headers = sign::headers(format, secret.as_ref(), id, seconds, &body);
        let deadline = webhook.deadline.min(patience);
        self.outbound.post(&address, &headers, body, deadline).await.map_err(|fault| fault.to_string())
    }
}

/// What an address and a secret are kept under.
fn ids(webhook: &Webhook) -> [String; 2] {
    [format!("address:{}", webhook.address_digest), format!("secret:{}", webhook.secret_id)]
}

/// What a receiver said, as far as it is passed on.
fn short(text: &str) -> String {
    match text.trim() {
        "" => "it does not agree".to_owned(),
        text => text.chars().filter(|letter| !letter.is_control()).take(SAID_CHARS_MAX).collect(),
    }
}
