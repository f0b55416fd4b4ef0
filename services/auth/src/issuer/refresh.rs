//! Refresh tokens: each names its session and how many came before it, with a mark that only we can make. Nothing of
//! them is kept, and a stranger who guesses at one ends nobody's session.

use cairn_eventstore::{CommandFault, Order};
use cairn_kernel::Expected;
use cairn_service::{Ctx, refuse};
use tonic::Status;
use tracing::warn;

use super::tokens::{Pair, pair};
use crate::desk::{Desk, stream};
use crate::model::session::{Act, Command, Grounds};
use crate::model::{PrincipalName, Rejection, Session, SessionName};

const PREFIX: &str = "cairn_rt_";
const MARK: &str = "refresh tokens";

/// Why a refresh token gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshFault {
    /// It is none of ours, or its session has ended.
    Ended,
    /// It was used before. Its session has ended just now.
    Reused,
}

/// What a refresh token was exchanged for.
pub struct Refreshed {
    pub pair: Pair,
    pub grounds: Grounds,
}

/// The refresh token of a generation.
pub fn token(desk: &Desk, session: &str, generation: u32) -> String {
    let mark = desk.access.keyring().mark(MARK, &[session, &generation.to_string()]);
    format!("{PREFIX}{session}_{generation}_{mark}")
}

/// The session whose refresh token a text is, and its generation. Says nothing of whether it is the last one.
pub fn session_of(desk: &Desk, text: &str) -> Option<(SessionName, u32)> {
    let mut parts = text.strip_prefix(PREFIX)?.splitn(3, '_');
    let (session, generation, mark) = (parts.next()?, parts.next()?, parts.next()?);
    if !desk.access.keyring().is_mark(MARK, &[session, generation], mark) {
        return None;
    }
    let owner = desk.access.world().credential(session)?.owner.clone();
    Some((SessionName::of(&PrincipalName::stored(owner), session), generation.parse().ok()?))
}

/// Exchanges a refresh token that was given to `client`. `request_id` is the request's own field; empty: a retry is a
/// second use.
pub async fn refresh(
    desk: &Desk,
    ctx: &Ctx,
    text: &str,
    client: &str,
    request_id: &str,
) -> Result<Result<Refreshed, RefreshFault>, Status> {
    let Some((session, generation)) = session_of(desk, text) else { return Ok(Err(RefreshFault::Ended)) };
    let stream = stream::<Session>(&session);
    let loaded = desk.commands.load::<Session>(&stream).await.map_err(refuse)?;
    let Some(grounds) = loaded.state.grounds().filter(|grounds| grounds.client == client).cloned() else {
        return Ok(Err(RefreshFault::Ended));
    };
    if desk.access.check_credential(session.id(), grounds.owner.as_str()).is_err() {
        return Ok(Err(RefreshFault::Ended));
    }
    let act = Act::Refresh { generation, now: desk.now() };
    let command = Command { session: session.clone(), act };
    // A repeat of the very same request is no second use: it is answered as the first was.
    let request = ctx.order(request_id).request;
    let order = Order { request, ..crate::sessions::of_owner(desk, ctx, &grounds.owner).await };
    let done = match desk.commands.execute::<Session>(&order, &stream, Expected::Any, command).await {
        Ok(done) => done,
        Err(CommandFault::Rejected(Rejection::SessionEnded(_) | Rejection::SessionNotFound(_))) => {
            return Ok(Err(RefreshFault::Ended));
        }
        Err(fault) => return Err(refuse(fault)),
    };
    desk.settle(ctx, done.position).await?;
    if !done.state.is_live(desk.now()) {
        warn!(%session, "a refresh token came a second time: the session has ended");
        return Ok(Err(RefreshFault::Reused));
    }
    let pair = pair(desk, &session, &grounds, done.state.generation());
    Ok(Ok(Refreshed { pair, grounds }))
}
