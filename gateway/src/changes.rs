use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_access::Access;
use cairn_contract::Method;
use cairn_kernel::{Position, Principal};
use moka::sync::Cache;
use tokio::time::Instant;

use crate::authn::Known;

/// How long it is remembered what somebody has changed: whatever is to see it sees it within that, or is not well.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Callers that are remembered.
const CALLERS_MAX: u64 = 100_000;
/// How long an answer waits until this process knows of a change of access too.
const PATIENCE: Duration = Duration::from_secs(1);

/// What callers have changed lately, where the processes behind each have views of their own: what one has acknowledged, another
/// shows a moment later. Whoever reads after a change of their own is answered by a view that has seen it, and whoever is known
/// here by a process that has heard of them.
#[derive(Default)]
pub(crate) struct Changes {
    callers: OnceLock<Cache<Principal, u64>>,
    /// Where the last change of access is stored that was answered here. Not only its caller relies on it.
    access: AtomicU64,
}

impl Changes {
    /// Remembers from now on.
    pub(crate) fn remember(&self) {
        self.callers.get_or_init(|| Cache::builder().max_capacity(CALLERS_MAX).time_to_live(REMEMBERED).build());
    }

    /// What a call of theirs must have seen: their last change, or what this process had read when it met them; and the last
    /// change of access, whoever made it, so that a right or a quota that was given counts everywhere once that is answered.
    pub(crate) fn seen_by(&self, known: Option<&Known>, access: &Access) -> Option<Position> {
        let (cache, principal) = (self.callers.get()?, &known?.principal);
        let seen = cache.get(principal);
        let seen = seen.unwrap_or_else(|| cache.get_with_by_ref(principal, || access.position().0));
        Some(Position(seen.max(self.access.load(Ordering::Relaxed))))
    }

    /// Takes note of an answer that says where its change is stored. One about access is held back until this process knows of
    /// it: a key that was revoked opens nothing from the moment that its revocation is answered.
    pub(crate) async fn note(&self, known: Option<&Known>, position: Option<&str>, method: &Method, access: &Access) {
        let (Some(cache), Some(position)) = (self.callers.get(), position.and_then(|text| text.parse::<u64>().ok()))
        else {
            return;
        };
        if let Some(known) = known {
            let latest =
                |before: Option<moka::Entry<Principal, u64>>| before.map_or(0, |entry| *entry.value()).max(position);
            cache.entry(known.principal.clone()).and_upsert_with(latest);
        }
        if method.role() == "auth" {
            // One that takes longer is not well and says so: its answer is still true.
            let _ = access.reached(Position(position), Instant::now() + PATIENCE).await;
            self.access.fetch_max(position, Ordering::Relaxed);
        }
    }
}
