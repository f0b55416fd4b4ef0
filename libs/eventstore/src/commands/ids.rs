use cairn_kernel::Clock;
use uuid::{Builder, Uuid};

use super::RequestKey;

/// Names the events of one command, in order.
pub(super) struct Ids<'a> {
    request: Option<&'a RequestKey>,
    clock: &'a dyn Clock,
    next: usize,
}

impl<'a> Ids<'a> {
    pub(super) fn new(request: Option<&'a RequestKey>, clock: &'a dyn Clock) -> Self {
        Self { request, clock, next: 0 }
    }

    /// The same for the same request; otherwise new, and growing with time, which keeps the id index compact.
    pub(super) fn next(&mut self) -> Uuid {
        let index = self.next;
        self.next += 1;
        match self.request {
            Some(request) => request.event_id(index),
            None => {
                let mut random = [0; 10];
                random.copy_from_slice(&Uuid::new_v4().as_bytes()[..10]);
                let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
                Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
            }
        }
    }
}
