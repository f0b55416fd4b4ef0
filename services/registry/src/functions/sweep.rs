use std::sync::Arc;
use std::time::Duration;

use cairn_objects::{Key, Listed};
use tokio::time::Instant;

use super::{Functions, query};

/// Packages younger than this are left alone: the version that names them may be on its way.
const AGE_MIN: Duration = Duration::from_hours(48);
/// Objects looked at between two looks at the view.
const PAGE: usize = 500;
/// How often objects are looked through.
const PERIOD: Duration = Duration::from_hours(12);
/// How long the view may take to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a sweep stopped before its end. It begins anew the next time.
#[derive(Debug, thiserror::Error)]
pub enum SweepFault {
    #[error(transparent)]
    Objects(#[from] cairn_objects::ObjectFault),
    #[error(transparent)]
    Query(#[from] cairn_projection::QueryFault),
    #[error(transparent)]
    View(#[from] cairn_projection::WaitFault),
    #[error("the view of functions has set events aside, so it cannot tell what is unused")]
    Quarantined,
}

impl Functions {
    /// Removes packages that were uploaded and never published. Gives how many.
    ///
    /// INVARIANT: a package is removed only when it is older than any publication under way, and a complete view that has
    /// seen everything up to after it was listed does not know it.
    pub async fn sweep(&self, patience: Duration) -> Result<u64, SweepFault> {
        let inner = &self.inner;
        let head = inner.commands.store().head();
        let (mut removed, mut after) = (0, None);
        loop {
            let page = inner.objects.list("", after.as_ref(), PAGE).await?;
            let position = *head.borrow();
            inner.view.reached(position, Instant::now() + patience).await?;
            if inner.view.state().quarantined > 0 {
                return Err(SweepFault::Quarantined);
            }
            let now = inner.clock.now();
            let is_old = |object: &&Listed| now.since(object.modify_time) > AGE_MIN;
            for object in page.objects.iter().filter(is_old).filter(|object| is_ours(&object.key)) {
                if !query::is_used(&inner.model, object.key.as_str()).await? {
                    inner.objects.delete(&object.key).await?;
                    removed += 1;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }
}

/// Sweeps now and then for as long as somebody else holds the functions: this holds nothing open.
pub(super) fn sweep_regularly(functions: &Functions) {
    let functions = Arc::downgrade(&functions.inner);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(PERIOD).await;
            let Some(inner) = functions.upgrade() else { return };
            match (Functions { inner }).sweep(PATIENCE).await {
                Ok(removed) => tracing::info!(removed, "removed packages that were never published"),
                Err(fault) => tracing::warn!(%fault, "could not look for packages that were never published"),
            }
        }
    });
}

/// Whether a key has the shape of those we make. A store may hold what others put there.
fn is_ours(key: &Key) -> bool {
    let segments: Vec<_> = key.segments().collect();
    let is_digest = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(segments[..], [_, "functions", _, id] if is_digest(id))
}
