use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use cairn_kernel::Code;
use cairn_service::Refusal;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

/// How many calls each caller has open, streams included: rates do not hold back those that never end.
#[derive(Clone, Default)]
pub struct Open {
    /// By hash: two that share one share their places, which random keys make a rare accident.
    counts: Arc<Mutex<HashMap<u64, u32>>>,
    hasher: RandomState,
}

/// A call's place among its caller's, until its answer has left.
pub struct Slot {
    counts: Arc<Mutex<HashMap<u64, u32>>>,
    key: u64,
}

impl Open {
    /// Takes a place among `max`.
    pub fn enter(&self, who: &str, max: u32) -> Result<Slot, Refusal> {
        let key = self.hasher.hash_one(who);
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_default();
        if *count >= max {
            drop(counts);
            let message = format!("{who} has more calls open at once than it may");
            let refusal = Refusal::new(Code::ResourceExhausted, "RATE_LIMITED", message);
            return Err(refusal.with("limit", "open").after(Duration::from_secs(1)));
        }
        *count += 1;
        drop(counts);
        Ok(Slot { counts: Arc::clone(&self.counts), key })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

/// An answer that keeps its caller's place until it has left.
pub fn held(body: Body, slot: Option<Slot>) -> Body {
    match slot {
        Some(slot) => Body::new(Held { body, _slot: slot }),
        None => body,
    }
}

struct Held {
    body: Body,
    _slot: Slot,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_has_so_many_calls_open_and_no_more() {
        let open = Open::default();
        let first = open.enter("users/a", 2).unwrap();
        let second = open.enter("users/a", 2).unwrap();
        assert_eq!(open.enter("users/a", 2).err().unwrap().reason, "RATE_LIMITED");
        assert!(open.enter("users/b", 2).is_ok(), "others have places of their own");
        let answer = held(Body::empty(), Some(first));
        assert!(open.enter("users/a", 2).is_err());
        drop(answer);
        drop(open.enter("users/a", 2).unwrap());
        drop(second);
        assert!(open.counts.lock().is_empty(), "nothing is kept of those who have none open");
    }
}
