use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cairn_contract::Contract;
use cairn_contract::cairn::ledger::v1::transparency_service_server::TransparencyService;
use cairn_contract::cairn::ledger::v1::{
    Checkpoint, ConsistencyProof, EventProof, GetCheckpointRequest, ProveConsistencyRequest, ProveEventRequest,
    ProveEventsRequest, ProvenEvent, ReadLogRequest,
};
use cairn_contract::google::api::HttpBody;
use cairn_eventstore::{EventStore, Recorded};
use cairn_kernel::{Name, Position};
use cairn_projection::{ReadModel, View};
use cairn_service::{Ctx, Refusal, Reply, refuse, timestamp};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tonic::{Request, Response, Status};

use super::{request, visible};
use crate::log;
use crate::signing::Desk;
use crate::tree::{Of, Proof, Signed, State, TreeFault, Unproven, Whose, consistency, number_of, proofs_of, read_file};
use cairn_service::entry::Entry;

/// When to ask again for a checkpoint that is being signed.
const SIGNED_WITHIN: Duration = Duration::from_secs(1);

/// Most events proven together, and so many at a time.
const PROVEN_MAX: usize = 100_000;
const PROVEN_AT_ONCE: usize = 16;

/// Proofs until all have been given.
type Proven = Pin<Box<dyn Stream<Item = Result<ProvenEvent, Status>> + Send>>;

/// Answers from the tree, and from nothing that is not signed.
#[derive(Clone)]
pub struct Transparency {
    pub contract: &'static Contract,
    pub model: ReadModel,
    pub view: View,
    pub store: Arc<dyn EventStore>,
    pub desk: Arc<Desk>,
}

impl Transparency {
    /// Waits for a checkpoint other than this one, or for any.
    async fn next(&self, whose: &Whose, than: Option<&Signed>, ctx: &Ctx) -> Result<Arc<Signed>, Status> {
        let is_new = |state: &State| match state {
            State::Signed(signed) => than.is_none_or(|than| than.checkpoint.size < signed.checkpoint.size),
            State::Mismatch(_) => true,
            State::Nothing => false,
        };
        let Whose::Organization(name) = whose else {
            let mut state = self.desk.state.subscribe();
            return within(ctx, state.wait_for(is_new)).await.and_then(|state| newest(&state));
        };
        if let State::Mismatch(_) = &*self.desk.state.borrow() {
            return Err(unproven(&Unproven::Mismatch));
        }
        self.begun(whose, ctx).await?;
        let mut states = self.desk.organizations.subscribe();
        let is_there = |states: &BTreeMap<Name, State>| states.get(name).is_some_and(is_new);
        within(ctx, states.wait_for(is_there)).await.and_then(|states| newest(&states[name]))
    }

    /// Waits until the view has the tree of an organization. What is being built anew says nothing about who there is.
    async fn begun(&self, whose: &Whose, ctx: &Ctx) -> Result<(), Status> {
        if self.tree(whose, |_, _| Ok(())).await.is_err() {
            self.view.caught_up(ctx.deadline()).await.map_err(refuse)?;
        }
        self.tree(whose, |_, _| Ok(())).await
    }

    /// Reads something of a tree.
    async fn tree<T: Send + 'static>(
        &self,
        whose: &Whose,
        read: impl FnOnce(&rusqlite::Connection, Of) -> Result<T, TreeFault> + Send + 'static,
    ) -> Result<T, Status> {
        let asked = whose.clone();
        let look = move |connection: &rusqlite::Connection| match asked.find(connection)? {
            Some(of) => read(connection, of).map(Some),
            None => Ok(None),
        };
        let found = self.query(look).await?;
        found.ok_or_else(|| unproven(&Unproven::Organization(whose.to_string())))
    }

    async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&rusqlite::Connection) -> Result<T, TreeFault> + Send + 'static,
    ) -> Result<T, Status> {
        let answer = self.model.query(|connection| Ok(query(connection))).await.map_err(refuse)?;
        answer.map_err(|fault| refuse(Refusal::internal(fault)))
    }

    fn shown(&self, whose: &Whose, signed: &Signed) -> Checkpoint {
        let verifying_keys = self.desk.secrets.signing(self.desk.clock.now()).verifying_keys(whose);
        Checkpoint {
            log: whose.origin(&self.desk.secrets.log()),
            origin: signed.checkpoint.origin.clone(),
            size: signed.checkpoint.size.to_string(),
            root: signed.checkpoint.root.to_string(),
            note: signed.note.to_string(),
            verifying_keys: verifying_keys.iter().map(ToString::to_string).collect(),
            sign_time: Some(timestamp(signed.time)),
        }
    }

    /// The events at some positions, if the caller may read the record of each.
    async fn events(&self, ctx: &Ctx, positions: &[Position]) -> Result<Vec<Arc<Recorded>>, Status> {
        let found = log::events_at(&self.store, positions, usize::MAX).await.map_err(refuse)?;
        let scope = visible(ctx, &Name::ROOT);
        let mut events = found.events.into_iter().peekable();
        let shown = positions.iter().map(|position| {
            let event = events.next_if(|event| event.position == *position);
            let event =
                event.filter(|event| scope.covers(&Entry::of(event).map_or(Name::ROOT, |entry| entry.resource)));
            event.ok_or_else(|| unproven(&Unproven::Event(position.0)))
        });
        shown.collect()
    }

    pub(super) async fn checkpoint(&self, ctx: &Ctx, whose: &Whose) -> Result<Checkpoint, Status> {
        self.next(whose, None, ctx).await.map(|signed| self.shown(whose, &signed))
    }

    pub(super) async fn prove(&self, ctx: &Ctx, whose: &Whose, position: &str) -> Result<EventProof, Status> {
        let position = request::position("position", position)?;
        let position =
            position.ok_or_else(|| refuse(Refusal::invalid("position", "which event is to be proven is missing")))?;
        let event = self.events(ctx, &[position]).await?.remove(0);
        // Nearly every event is under the newest checkpoint.
        let newest = self.next(whose, None, ctx).await?;
        let found = match self.proof(whose, position, newest).await? {
            Some(found) => found,
            None => {
                let signed = self.covering(ctx, whose, position).await?;
                let found = self.proof(whose, position, signed).await?;
                found.ok_or_else(|| unproven(&Unproven::Event(position.0)))?
            }
        };
        let (salt, payload) = self.data_of(&event);
        Ok(EventProof {
            position: position.0.to_string(),
            entry: String::from_utf8_lossy(&found.entry).into_owned(),
            proof: found.bundle.to_string(),
            salt,
            payload,
        })
    }

    /// The proof of one event, if the tree has it and the checkpoint covers it.
    async fn proof(&self, whose: &Whose, position: Position, signed: Arc<Signed>) -> Result<Option<Proof>, Status> {
        let found = self.tree(whose, move |connection, of| proofs_of(connection, of, &[position.0], &signed)).await?;
        Ok(found.into_iter().flatten().next())
    }

    /// A checkpoint that covers a position.
    async fn covering(&self, ctx: &Ctx, whose: &Whose, position: Position) -> Result<Arc<Signed>, Status> {
        self.view.reached(position, ctx.deadline()).await.map_err(refuse)?;
        let number = self.tree(whose, move |connection, of| number_of(connection, of, position.0)).await?;
        let number = number.ok_or_else(|| unproven(&Unproven::Event(position.0)))?;
        let mut signed = self.next(whose, None, ctx).await?;
        while signed.checkpoint.size <= number {
            signed = self.next(whose, Some(&signed), ctx).await?;
        }
        Ok(signed)
    }

    async fn prove_all(self, ctx: Ctx, positions: Vec<String>) -> Result<Proven, Status> {
        if positions.is_empty() || positions.len() > PROVEN_MAX {
            return Err(refuse(Refusal::invalid("positions", format!("must be 1 to {PROVEN_MAX}"))));
        }
        let position = |text: &String| {
            let position = request::position("positions", text)?;
            position.ok_or_else(|| refuse(Refusal::invalid("positions", "one of them is empty")))
        };
        let positions = positions.iter().map(position).collect::<Result<Vec<_>, _>>()?;
        let last = positions.iter().max().copied().unwrap_or_default();
        let signed = self.covering(&ctx, &Whose::Everybodys, last).await?;
        let mut checkpoint = Some(signed.note.to_string());
        let pages: Vec<Vec<Position>> = positions.chunks(PROVEN_AT_ONCE).map(<[_]>::to_vec).collect();
        let pages = stream::iter(pages).then(move |page| {
            let (this, ctx, signed) = (self.clone(), ctx.clone(), Arc::clone(&signed));
            let checkpoint = checkpoint.take().unwrap_or_default();
            async move { this.prove_page(&ctx, page, signed, checkpoint).await }
        });
        Ok(Box::pin(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten()))
    }

    async fn prove_page(
        &self,
        ctx: &Ctx,
        positions: Vec<Position>,
        signed: Arc<Signed>,
        checkpoint: String,
    ) -> Result<Vec<ProvenEvent>, Status> {
        let events = self.events(ctx, &positions).await?;
        let wanted: Vec<u64> = positions.iter().map(|position| position.0).collect();
        let proofs = self.query(move |connection| proofs_of(connection, Of::LOG, &wanted, &signed));
        let mut proven: Vec<ProvenEvent> = vec![];
        for ((event, proof), position) in events.iter().zip(proofs.await?).zip(positions) {
            let Proof { entry, bundle } = proof.ok_or_else(|| unproven(&Unproven::Event(position.0)))?;
            let (salt, payload) = self.data_of(event);
            proven.push(ProvenEvent {
                checkpoint: String::new(),
                position: position.0.to_string(),
                entry: String::from_utf8_lossy(&entry).into_owned(),
                index: bundle.index.to_string(),
                hashes: bundle.hashes.iter().map(ToString::to_string).collect(),
                salt,
                payload,
            });
        }
        if let Some(first) = proven.first_mut() {
            first.checkpoint = checkpoint;
        }
        Ok(proven)
    }

    /// Salt and data of an event; nothing if that holds what nobody is shown. Types that the contract does not know are
    /// others', who put no such thing into a log.
    fn data_of(&self, event: &Recorded) -> (String, Bytes) {
        let is_hidden = self.contract.event(&event.kind).is_some_and(|kind| kind.hides_something(&event.payload));
        match is_hidden {
            true => Default::default(),
            false => (STANDARD.encode(self.desk.secrets.salt(event)), event.payload.clone()),
        }
    }

    pub(super) async fn consistency(
        &self,
        ctx: &Ctx,
        whose: &Whose,
        from_size: &str,
        to_size: &str,
    ) -> Result<ConsistencyProof, Status> {
        let signed = self.next(whose, None, ctx).await?;
        let size = |field: &'static str, text: &str| {
            let size = text.parse().ok().filter(|size| *size <= signed.checkpoint.size);
            size.ok_or_else(|| {
                let problem = format!("{text:?} is no size up to the newest checkpoint's, {}", signed.checkpoint.size);
                refuse(Refusal::invalid(field, problem))
            })
        };
        let from: u64 = size("from_size", from_size)?;
        let to = match to_size.is_empty() {
            true => signed.checkpoint.size,
            false => size("to_size", to_size)?,
        };
        if from > to {
            return Err(refuse(Refusal::invalid("from_size", format!("{from} is larger than to_size, {to}"))));
        }
        let hashes = self.tree(whose, move |connection, of| consistency(connection, of, from, to)).await?;
        Ok(ConsistencyProof {
            from_size: from.to_string(),
            to_size: to.to_string(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
            checkpoint: Some(self.shown(whose, &signed)),
        })
    }

    pub(super) async fn read(&self, ctx: &Ctx, whose: &Whose, path: String) -> Result<HttpBody, Status> {
        let signed = self.next(whose, None, ctx).await?;
        if path == "checkpoint" {
            let note = signed.note.to_string().into_bytes();
            return Ok(HttpBody {
                content_type: "text/plain; charset=utf-8".into(),
                data: note.into(),
                ..HttpBody::default()
            });
        }
        let (wanted, size) = (path.clone(), signed.checkpoint.size);
        let file = self.tree(whose, move |connection, of| read_file(connection, of, &wanted, size)).await?;
        let data = file.ok_or_else(|| unproven(&Unproven::File(path)))?.into();
        Ok(HttpBody { content_type: "application/octet-stream".into(), data, ..HttpBody::default() })
    }
}

/// The newest checkpoint of one tree.
fn newest(state: &State) -> Result<Arc<Signed>, Status> {
    match state {
        State::Signed(signed) => Ok(Arc::clone(signed)),
        State::Nothing => Err(pending()),
        State::Mismatch(_) => Err(unproven(&Unproven::Mismatch)),
    }
}

/// Waits as long as the caller does.
async fn within<T, E>(ctx: &Ctx, waiting: impl Future<Output = Result<T, E>>) -> Result<T, Status> {
    let waited = tokio::time::timeout_at(ctx.deadline(), waiting).await;
    waited.map_err(|_| pending())?.map_err(|_| pending())
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
        self.checkpoint(&ctx, &Whose::Everybodys).await.map(Response::new)
    }

    async fn prove_event(&self, request: Request<ProveEventRequest>) -> Reply<EventProof> {
        let (ctx, request) = Ctx::accept(request)?;
        self.prove(&ctx, &Whose::Everybodys, &request.position).await.map(Response::new)
    }

    type ProveEventsStream = Proven;

    async fn prove_events(&self, request: Request<ProveEventsRequest>) -> Reply<Proven> {
        let (ctx, request) = Ctx::accept(request)?;
        self.clone().prove_all(ctx, request.positions).await.map(Response::new)
    }

    async fn prove_consistency(&self, request: Request<ProveConsistencyRequest>) -> Reply<ConsistencyProof> {
        let (ctx, request) = Ctx::accept(request)?;
        let whose = &Whose::Everybodys;
        self.consistency(&ctx, whose, &request.from_size, &request.to_size).await.map(Response::new)
    }

    async fn read_log(&self, request: Request<ReadLogRequest>) -> Reply<HttpBody> {
        let (ctx, request) = Ctx::accept(request)?;
        self.read(&ctx, &Whose::Everybodys, request.path).await.map(Response::new)
    }
}
