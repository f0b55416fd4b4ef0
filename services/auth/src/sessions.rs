//! Sessions: begun, and ended, in one place for all who do.

use cairn_access::ApiKey;
use cairn_eventstore::Order;
use cairn_kernel::{Expected, Metadata, Position};
use cairn_service::{Ctx, refuse};
use tonic::Status;
use tracing::warn;

use crate::desk::{Desk, stream};
use crate::model::session::{Act, Cause, Command, Grounds};
use crate::model::{PrincipalName, Session, SessionName};

/// The id of a session that comes from nothing that could be used twice.
pub fn fresh_id() -> String {
    format!("ses-{}", ApiKey::fresh_id())
}

/// The id of the one session that something makes: whoever uses it again finds the session there.
pub fn id_of(desk: &Desk, what: &str, id: &str) -> String {
    let mark = desk.access.keyring().mark(what, &[id]);
    let mut bytes = [0; 12];
    bytes.copy_from_slice(&mark.as_bytes()[..12]);
    format!("ses-{}", ApiKey::id_from(bytes))
}

/// Starts a session.
pub async fn start(desk: &Desk, order: &Order, id: &str, grounds: Grounds) -> Result<(SessionName, Position), Status> {
    let session = SessionName::of(&grounds.owner, id);
    let command = Command { session: session.clone(), act: Act::Start(grounds) };
    let stream = stream::<Session>(&session);
    let done = desk.commands.execute::<Session>(order, &stream, Expected::Any, command).await.map_err(refuse)?;
    Ok((session, done.position))
}

/// Ends a session. When it returns, this process refuses it; others do as soon as they hear of it.
pub async fn end(desk: &Desk, ctx: &Ctx, session: &SessionName, cause: Cause) -> Result<Position, Status> {
    let command = Command { session: session.clone(), act: Act::Revoke { cause } };
    let stream = stream::<Session>(session);
    let order = ctx.order("");
    let done = desk.commands.execute::<Session>(&order, &stream, Expected::Any, command).await.map_err(refuse)?;
    desk.settle(ctx, done.position).await?;
    Ok(done.position)
}

/// What is stored of what somebody does who is just coming in: the call itself knows nobody yet.
pub async fn of_owner(desk: &Desk, ctx: &Ctx, owner: &PrincipalName) -> Order {
    let source_address = match (ctx.source_address(), owner.as_str().parse()) {
        (Some(address), Ok(name)) => {
            let sealed = desk.sealed(&name, address).await;
            // The login goes on, as every request does.
            sealed.inspect_err(|status| warn!(%owner, cause = status.message(), "an address could not be sealed")).ok()
        }
        _ => None,
    };
    let metadata = Metadata { principal: owner.to_string(), credential: None, source_address, ..ctx.metadata() };
    Order { metadata, request: None }
}
