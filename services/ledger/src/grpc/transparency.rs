use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cairn_contract::Contract;
use cairn_contract::cairn::ledger::v1::transparency_service_server::TransparencyService;
use cairn_contract::cairn::ledger::v1::{
    Checkpoint, ConsistencyProof, EventProof, GetCheckpointRequest, ProveConsistencyRequest, ProveEventRequest,
    ReadLogRequest,
};
use cairn_contract::google::api::HttpBody;
use cairn_eventstore::{EventStore, Recorded};
use cairn_kernel::{Name, Position};
use cairn_projection::{ReadModel, View};
use cairn_service::{Ctx, Refusal, Reply, refuse};
use prost_types::Timestamp;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::{request, visible};
use crate::entry::Entry;
use crate::log;
use crate::tree::{Secrets, Signed, State, TreeFault, Unproven, consistency, proof_of, read_file};

/// When to ask again for a checkpoint that is being signed.
const SIGNED_WITHIN: Duration = Duration::from_secs(1);

/// Answers from the tree, and from nothing that is not signed.
#[derive(Clone)]
pub struct Transparency {
    pub contract: &'static Contract,
    pub model: ReadModel,
    pub view: View,
    pub store: Arc<dyn EventStore>,
    pub secrets: Arc<Secrets>,
    pub state: watch::Receiver<State>,
}

impl Transparency {
    /// The newest checkpoint.
    fn newest(&self) -> Result<Arc<Signed>, Status> {
        match &*self.state.borrow() {
            State::Signed(signed) => Ok(Arc::clone(signed)),
            State::Nothing => Err(pending()),
            State::Mismatch => Err(unproven(&Unproven::Mismatch)),
        }
    }

    /// Waits for a checkpoint other than this one, or for any.
    async fn next(&self, than: Option<&Signed>, ctx: &Ctx) -> Result<Arc<Signed>, Status> {
        let mut state = self.state.clone();
        let is_new = |state: &State| match state {
            State::Signed(signed) => than.is_none_or(|than| than.checkpoint.size < signed.checkpoint.size),
            State::Mismatch => true,
            State::Nothing => false,
        };
        let waited = tokio::time::timeout_at(ctx.deadline(), state.wait_for(is_new)).await;
        drop(waited.map_err(|_| pending())?.map_err(|_| pending())?);
        self.newest()
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, TreeFault> + Send + 'static,
    ) -> Result<T, Status> {
        let answer = self.model.query(|connection| Ok(query(connection))).await.map_err(refuse)?;
        answer.map_err(|fault| refuse(Refusal::internal(fault)))
    }

    fn shown(&self, signed: &Signed) -> Checkpoint {
        let micros = signed.time.micros();
        Checkpoint {
            origin: signed.checkpoint.origin.clone(),
            size: signed.checkpoint.size.to_string(),
            root: signed.checkpoint.root.to_string(),
            note: signed.note.to_string(),
            verifying_keys: self.secrets.verifying_keys().iter().map(ToString::to_string).collect(),
            sign_time: Some(Timestamp {
                seconds: micros.div_euclid(1_000_000),
                nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
            }),
        }
    }

    /// The event at a position, if the caller may read its record.
    async fn event(&self, ctx: &Ctx, position: Position) -> Result<Arc<Recorded>, Status> {
        let none = || unproven(&Unproven::Event(position.0));
        let found = log::events_at(&self.store, &[position], usize::MAX).await.map_err(refuse)?;
        let event = found.events.into_iter().next().ok_or_else(none)?;
        let resource = Entry::of(&event).map_or(Name::ROOT, |entry| entry.resource);
        match visible(ctx, &Name::ROOT).covers(&resource) {
            true => Ok(event),
            false => Err(none()),
        }
    }

    async fn prove(&self, ctx: &Ctx, asked: &ProveEventRequest) -> Result<EventProof, Status> {
        let position = request::position("position", &asked.position)?;
        let position =
            position.ok_or_else(|| refuse(Refusal::invalid("position", "which event is to be proven is missing")))?;
        let event = self.event(ctx, position).await?;
        self.view.reached(position, ctx.deadline()).await.map_err(refuse)?;
        let mut signed = self.next(None, ctx).await?;
        loop {
            let under = Arc::clone(&signed);
            let found = self.query(move |connection| proof_of(connection, position.0, &under)).await?;
            let found = found.ok_or_else(|| unproven(&Unproven::Event(position.0)))?;
            if let Some(bundle) = found.bundle {
                let (salt, payload) = self.data_of(&event);
                return Ok(EventProof {
                    position: position.0.to_string(),
                    entry: String::from_utf8_lossy(&found.entry).into_owned(),
                    proof: bundle.to_string(),
                    salt,
                    payload,
                });
            }
            signed = self.next(Some(&signed), ctx).await?;
        }
    }

    /// Salt and data of an event; nothing if that holds what nobody is shown. Types that the contract does not know are
    /// others', who put no such thing into a log.
    fn data_of(&self, event: &Recorded) -> (String, Bytes) {
        let is_hidden = self.contract.event(&event.kind).is_some_and(|kind| kind.hides_something(&event.payload));
        match is_hidden {
            true => Default::default(),
            false => (STANDARD.encode(self.secrets.salt(event)), event.payload.clone()),
        }
    }

    async fn prove_consistency(&self, asked: ProveConsistencyRequest) -> Result<ConsistencyProof, Status> {
        let signed = self.newest()?;
        let size = |field: &'static str, text: &str| {
            let size = text.parse().ok().filter(|size| *size <= signed.checkpoint.size);
            size.ok_or_else(|| {
                let problem = format!("{text:?} is no size up to the newest checkpoint's, {}", signed.checkpoint.size);
                refuse(Refusal::invalid(field, problem))
            })
        };
        let from: u64 = size("from_size", &asked.from_size)?;
        let to = match asked.to_size.is_empty() {
            true => signed.checkpoint.size,
            false => size("to_size", &asked.to_size)?,
        };
        if from > to {
            return Err(refuse(Refusal::invalid("from_size", format!("{from} is larger than to_size, {to}"))));
        }
        let hashes = self.query(move |connection| consistency(connection, from, to)).await?;
        Ok(ConsistencyProof {
            from_size: from.to_string(),
            to_size: to.to_string(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
            checkpoint: Some(self.shown(&signed)),
        })
    }

    async fn read(&self, path: String) -> Result<HttpBody, Status> {
        let signed = self.newest()?;
        if path == "checkpoint" {
            let note = signed.note.to_string().into_bytes();
            return Ok(HttpBody {
                content_type: "text/plain; charset=utf-8".into(),
                data: note.into(),
                ..HttpBody::default()
            });
        }
        let (wanted, size) = (path.clone(), signed.checkpoint.size);
        let file = self.query(move |connection| read_file(connection, &wanted, size)).await?;
        let data = file.ok_or_else(|| unproven(&Unproven::File(path)))?.into();
        Ok(HttpBody { content_type: "application/octet-stream".into(), data, ..HttpBody::default() })
    }
}

fn unproven(why: &Unproven) -> Status {
    refuse(Refusal::of(why))
}

fn pending() -> Status {
    refuse(Refusal::of(&Unproven::Pending).after(SIGNED_WITHIN))
}

#[tonic::async_trait]
impl TransparencyService for Transparency {
    async fn get_checkpoint(&self, request: Request<GetCheckpointRequest>) -> Reply<Checkpoint> {
        let (ctx, _) = Ctx::accept(request)?;
        self.next(None, &ctx).await.map(|signed| Response::new(self.shown(&signed)))
    }

    async fn prove_event(&self, request: Request<ProveEventRequest>) -> Reply<EventProof> {
        let (ctx, request) = Ctx::accept(request)?;
        self.prove(&ctx, &request).await.map(Response::new)
    }

    async fn prove_consistency(&self, request: Request<ProveConsistencyRequest>) -> Reply<ConsistencyProof> {
        let (_, request) = Ctx::accept(request)?;
        self.prove_consistency(request).await.map(Response::new)
    }

    async fn read_log(&self, request: Request<ReadLogRequest>) -> Reply<HttpBody> {
        let (_, request) = Ctx::accept(request)?;
        self.read(request.path).await.map(Response::new)
    }
}
