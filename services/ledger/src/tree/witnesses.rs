use std::str::FromStr;
use std::time::Duration;

use cairn_projection::ReadModel;
use cairn_tlog::witness::Offer;
use cairn_tlog::{Kind, Note, Signature, VerifyingKey};
use futures::future::join_all;
use metrics::counter;
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::warn;

use super::organizations::Of;
use super::proofs::consistency;

/// A witness that did not answer is left alone for so long.
const PAUSE: Duration = Duration::from_secs(10);
/// Larger answers are not read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Somebody who remembers the newest checkpoint of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    url: reqwest::Url,
    key: VerifyingKey,
}

/// Why a setting names no witness.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no witness: {why}")]
pub struct WitnessFault {
    text: String,
    why: String,
}

impl FromStr for Witness {
    type Err = WitnessFault;

    fn from_str(text: &str) -> Result<Self, WitnessFault> {
        let fault = |why: String| WitnessFault { text: text.to_owned(), why };
        let (url, key) =
            text.trim().split_once(' ').ok_or_else(|| fault("it is not an address, a space and a key".to_owned()))?;
        let mut url: reqwest::Url = url.parse().map_err(|why| fault(format!("its address: {why}")))?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(fault("its address begins with neither http:// nor https://".to_owned()));
        }
        let key: VerifyingKey = key.trim().parse().map_err(|why| fault(format!("its key: {why}")))?;
        if key.kind != Kind::Cosignature {
            return Err(fault("its key is a log's; a witness signs with one of its own kind".to_owned()));
        }
        let path = format!("{}/add-checkpoint", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(Self { url, key })
    }
}

/// All witnesses of the log.
pub struct Witnesses {
    client: reqwest::Client,
    model: ReadModel,
    asked: Vec<Asked>,
}

/// A witness, and how it went last.
struct Asked {
    witness: Witness,
    last: Mutex<Last>,
}

#[derive(Clone, Copy, Default)]
struct Last {
    /// The size it vouched for.
    size: u64,
    silent_until: Option<Instant>,
}

/// What a witness says.
enum Answer {
    Vouches(Signature),
    /// It vouched for this size last.
    Knows(u64),
}

/// A witness knows more of the log than there is, or another log.
#[derive(Debug)]
pub struct Contradiction(pub String);

impl Witnesses {
    pub fn new(witnesses: Vec<Witness>, timeout: Duration, model: ReadModel) -> Result<Self, reqwest::Error> {
        // Nobody is sent on to another address: what vouches is who was configured.
        let redirect = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().timeout(timeout).redirect(redirect).build()?;
        let asked = witnesses.into_iter().map(|witness| Asked { witness, last: Mutex::default() }).collect();
        Ok(Self { client, model, asked })
    }

    /// Asks all at once to vouch for a checkpoint of this size, and adds the signatures of those that do.
    pub async fn ask(&self, note: &Note, size: u64) -> Result<Note, Contradiction> {
        let mut signed = note.clone();
        for answer in join_all(self.asked.iter().map(|asked| self.ask_one(asked, note, size))).await {
            let Some(signature) = answer? else { continue };
            signed.signatures.retain(|kept| (&kept.name, kept.id) != (&signature.name, signature.id));
            signed.signatures.push(signature);
        }
        Ok(signed)
    }

    async fn ask_one(&self, asked: &Asked, note: &Note, size: u64) -> Result<Option<Signature>, Contradiction> {
        let last = *asked.last.lock();
        if last.silent_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        let answer = match self.offer(asked, note, last.size.min(size), size).await {
            Ok(Answer::Knows(known)) if known <= size => self.offer(asked, note, known, size).await,
            answer => answer,
        };
        let name = &asked.witness.key.name;
        match answer {
            Ok(Answer::Vouches(signature)) => {
                *asked.last.lock() = Last { size, silent_until: None };
                counter!("cairn_ledger_cosignatures_total").increment(1);
                Ok(Some(signature))
            }
            Ok(Answer::Knows(known)) if known > size => {
                Err(Contradiction(format!("the witness {name} has seen {known} events, and the log holds {size}")))
            }
            Ok(Answer::Knows(known)) => {
                Err(Contradiction(format!("the witness {name} has seen another log of {known} events")))
            }
            Err(Silence::Refuted) => {
                Err(Contradiction(format!("the witness {name} says that the log does not contain what it has seen")))
            }
            Err(Silence::Failed(why)) => {
                warn!(witness = %name, why, "a witness did not vouch; it is asked again later");
                counter!("cairn_ledger_cosignature_failures_total").increment(1);
                asked.last.lock().silent_until = Some(Instant::now() + PAUSE);
                Ok(None)
            }
        }
    }

    async fn offer(&self, asked: &Asked, note: &Note, old_size: u64, size: u64) -> Result<Answer, Silence> {
        let failed = |why: &dyn std::fmt::Display| Silence::Failed(why.to_string());
        let proof = self.model.query(move |connection| Ok(consistency(connection, Of::LOG, old_size, size))).await;
        let proof = proof.map_err(|why| failed(&why))?.map_err(|why| failed(&why))?;
        let offer = Offer { old_size, proof, checkpoint: note.clone() };
        let sent = self.client.post(asked.witness.url.clone()).body(offer.to_string()).send().await;
        let mut answer = sent.map_err(|why| failed(&why.without_url()))?;
        let status = answer.status().as_u16();
        let mut body = vec![];
        while let Some(part) = answer.chunk().await.map_err(|why| failed(&why.without_url()))? {
            body.extend(part);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(Silence::Failed("its answer is too large".to_owned()));
            }
        }
        let body = String::from_utf8_lossy(&body);
        match status {
            200 => vouched(&body, note, &asked.witness.key),
            409 => match body.trim().parse() {
                Ok(known) => Ok(Answer::Knows(known)),
                Err(_) => Err(Silence::Failed("it knows another size and does not say which".to_owned())),
            },
            422 => Err(Silence::Refuted),
            _ => Err(Silence::Failed(format!("it answered {status}: {}", body.trim()))),
        }
    }
}

/// Why there is no answer to go by.
enum Silence {
    Failed(String),
    Refuted,
}

/// The witness's signature, if it is one over this checkpoint.
fn vouched(answer: &str, note: &Note, key: &VerifyingKey) -> Result<Answer, Silence> {
    let signatures = answer.lines().filter_map(|line| line.parse::<Signature>().ok());
    for signature in signatures.filter(|signature| signature.name == key.name && signature.id == key.id()) {
        let cosigned = Note { text: note.text.clone(), signatures: vec![signature.clone()] };
        if cosigned.verify(std::slice::from_ref(key)).is_ok() {
            return Ok(Answer::Vouches(signature));
        }
    }
    Err(Silence::Failed("it answered without a signature of its key over the checkpoint".to_owned()))
}
