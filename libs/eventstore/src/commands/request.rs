use cairn_kernel::{Position, StreamName};

use super::{CommandFault, Commands, Done, Order, Stored};

impl Commands {
    /// Where this very request was carried out before, if it was.
    pub(super) async fn carried_out<R>(&self, order: &Order) -> Result<Option<Position>, CommandFault<R>> {
        let Some(request) = &order.request else { return Ok(None) };
        let Some(first) = self.store().find(request.event_id(0)).await? else { return Ok(None) };
        let earlier_hash = first.metadata().request_hash.unwrap_or_default();
        if earlier_hash != request.hash {
            return Err(CommandFault::RequestReused { hash: request.hash.clone(), earlier_hash });
        }
        Ok(Some(first.position))
    }

    /// The answer to a request that was carried out at `position`: the state as it is now.
    pub(super) async fn answer_repeat<A: Stored>(
        &self,
        stream: &StreamName,
        position: Position,
    ) -> Result<Done<A>, CommandFault<A::Rejection>> {
        let now = self.settled::<A, _>(stream).await?;
        let position = position.max(now.place.position);
        Ok(Done { state: now.state, revision: now.place.revision, position, is_repeat: true })
    }
}
