use std::time::Duration;

use cairn_kernel::Position;
use cairn_projection::View;
use cairn_service::{Ctx, refuse};
use tokio::time::Instant;
use tonic::Status;

/// A read waits so long for what is in the log when it comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// Waits for what the caller says it has seen; and for a moment for everything else, so that whoever lets something happen
/// and then asks finds it.
pub async fn caught_up(view: &View, ctx: &Ctx) -> Result<(), Status> {
    view.reached(ctx.after().unwrap_or(Position::START), ctx.deadline()).await.map_err(refuse)?;
    // A journal that is far behind is read as it is.
    let _ = view.caught_up(Instant::now() + PATIENCE).await;
    Ok(())
}
