use std::sync::Arc;
use std::time::Duration;

use cairn_contract::cairn::ledger::v1::signing_service_server::SigningService;
use cairn_contract::cairn::ledger::v1::{
    GetSigningRequest, OpenEpochRequest, RotateSigningKeyRequest, Signing, SigningKey,
};
use cairn_projection::View;
use cairn_service::{Ctx, Refusal, Reply, refuse, timestamp};
use tonic::{Request, Response, Status};

use crate::config::OVERLAP_DAYS_MAX;
use crate::signing::{Desk, DeskFault};
use crate::tree::State;

const DAY: Duration = Duration::from_secs(86_400);
/// Longest reason for a new epoch.
const REASON_CHARS_MAX: usize = 2_000;

/// Tells and changes what the log is signed with.
#[derive(Clone)]
pub struct SigningDesk {
    pub desk: Arc<Desk>,
    /// The tree that is signed.
    pub view: View,
    pub overlap_days: u32,
}

impl SigningDesk {
    async fn show(&self) -> Result<Signing, Status> {
        let changes = self.desk.changes().await.map_err(refused)?;
        let signing = self.desk.secrets.signing(self.desk.clock.now());
        let key = |signs: crate::tree::Signs| SigningKey {
            verifying_key: signs.key.verifying().to_string(),
            retire_time: signs.until.map(timestamp),
        };
        let mismatch = match &*self.desk.state.borrow() {
            State::Mismatch(why) => why.to_string(),
            State::Nothing | State::Signed(_) => String::new(),
        };
        Ok(Signing {
            origin: signing.origin,
            epoch: signing.epoch,
            keys: signing.keys.into_iter().map(key).collect(),
            mismatch,
            changes,
        })
    }
}

fn refused(fault: DeskFault) -> Status {
    refuse(match fault {
        DeskFault::Command(fault) => Refusal::from(fault),
        DeskFault::Query(fault) => Refusal::from(fault),
        DeskFault::Read(fault) => Refusal::from(fault),
        fault => Refusal::internal(fault),
    })
}

/// How long older keys sign on.
fn overlap(given: prost_types::Duration) -> Result<Duration, Status> {
    let overlap = Duration::try_from(given).ok().filter(|overlap| *overlap <= DAY * OVERLAP_DAYS_MAX);
    overlap.ok_or_else(|| refuse(Refusal::invalid("overlap", format!("must be 0 to {OVERLAP_DAYS_MAX} days"))))
}

/// The reason for an epoch: people will read it in years.
fn reason(text: &str) -> Result<&str, Status> {
    let text = text.trim();
    let is_plain = !text.chars().any(|c| c.is_control() && c != '\n');
    match !text.is_empty() && text.chars().count() <= REASON_CHARS_MAX && is_plain {
        true => Ok(text),
        false => {
            let problem = format!("must say why, in at most {REASON_CHARS_MAX} characters without control characters");
            Err(refuse(Refusal::invalid("reason", problem)))
        }
    }
}

#[tonic::async_trait]
impl SigningService for SigningDesk {
    async fn get_signing(&self, request: Request<GetSigningRequest>) -> Reply<Signing> {
        Ctx::accept(request)?;
        Ok(Response::new(self.show().await?))
    }

    async fn rotate_signing_key(&self, request: Request<RotateSigningKeyRequest>) -> Reply<Signing> {
        let (ctx, request) = Ctx::accept(request)?;
        let overlap = request.overlap.map(overlap).transpose()?.unwrap_or(DAY * self.overlap_days);
        let position = self.desk.rotate(&ctx.order(&request.request_id), overlap).await.map_err(refused)?;
        Ok(ctx.reply(self.show().await?, position))
    }

    async fn open_epoch(&self, request: Request<OpenEpochRequest>) -> Reply<Signing> {
        let (ctx, request) = Ctx::accept(request)?;
        let reason = reason(&request.reason)?;
        if request.ended_origin.is_empty() {
            let problem = "is missing: name the epoch that ends, as `origin` of the signing of today";
            return Err(refuse(Refusal::invalid("ended_origin", problem)));
        }
        // What the event will say of the log for ever is said of all of it, not of a tree that is still being built.
        let head = *self.desk.commands.store().head().borrow();
        self.view.reached(head, ctx.deadline()).await.map_err(refuse)?;
        let order = ctx.order(&request.request_id);
        let position = self.desk.open_epoch(&order, &request.ended_origin, reason).await.map_err(refused)?;
        Ok(ctx.reply(self.show().await?, position))
    }
}
