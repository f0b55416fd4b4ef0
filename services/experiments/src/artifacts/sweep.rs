use std::sync::Arc;
use std::time::Duration;

use cairn_kernel::Time;
use cairn_objects::{Key, Listed, PAGE_MAX};
use tokio::time::Instant;

use super::parts::{PART_LIFETIME_MAX, UPLOAD_LIFETIME};
use super::{Artifacts, query};

/// Objects younger than this are left alone: their event may be on its way, or their upload not completed yet.
const AGE_MIN: Duration = Duration::from_secs(48 * 3600);
const _: () = assert!(AGE_MIN.as_secs() > UPLOAD_LIFETIME.as_secs() + PART_LIFETIME_MAX.as_secs());
/// Objects looked at between two looks at the view.
const PAGE: usize = 500;

/// How often objects are looked through.
const PERIOD: Duration = Duration::from_secs(12 * 3600);
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
    #[error("the view of artifacts has set events aside, so it cannot tell what is unused")]
    Quarantined,
}

impl Artifacts {
    /// Removes objects that no artifact names: of uploads never completed, of crashes between bytes and event, and of
    /// artifacts deleted or replaced; then parts of uploads that nobody went on with. Gives how many.
    ///
    /// INVARIANT: an object is removed only when it is older than any upload under way, and a complete view that has
    /// seen everything up to after the object was listed does not know it.
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
                return Ok(removed + self.sweep_uploads().await?);
            }
        }
    }

    /// Forgets uploads in parts that can no longer be completed. Gives how many.
    async fn sweep_uploads(&self) -> Result<u64, SweepFault> {
        let objects = &self.inner.objects;
        let before = Time::from_micros(self.inner.clock.now().micros() - AGE_MIN.as_micros() as i64);
        let mut removed = 0;
        loop {
            let unfinished = objects.unfinished(before).await?;
            let ours: Vec<_> = unfinished.into_iter().filter(|upload| is_ours(&upload.key)).collect();
            for upload in &ours {
                objects.abort(&upload.key, &upload.upload).await?;
                removed += 1;
            }
            if ours.len() < PAGE_MAX {
                return Ok(removed);
            }
        }
    }
}

/// Sweeps now and then for as long as somebody else holds the artifacts: this holds nothing open. Several processes may
/// do so at once.
pub(super) fn sweep_regularly(artifacts: &Artifacts) {
    let artifacts = Arc::downgrade(&artifacts.inner);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(PERIOD).await;
            let Some(inner) = artifacts.upgrade() else { return };
            match (Artifacts { inner }).sweep(PATIENCE).await {
                Ok(removed) => tracing::info!(removed, "removed objects that no artifact names"),
                Err(fault) => tracing::warn!(%fault, "could not look for objects that no artifact names"),
            }
        }
    });
}

/// Whether a key has the shape of those we make. A store may hold what others put there.
fn is_ours(key: &Key) -> bool {
    let segments: Vec<_> = key.segments().collect();
    matches!(segments[..], [_, "runs" | "loggedModels", _, id] if id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}
