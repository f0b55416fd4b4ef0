//! More appends than there is room for.

use std::time::Duration;

use cairn_kernel::Expected;
use futures::future::join_all;

use super::{Harness, event, head, whole_log, write};
use crate::{AppendFault, Filter};

pub async fn an_append_refused_for_want_of_room_leaves_nothing_and_succeeds_later(harness: &dyn Harness) {
    const APPENDS: u64 = 500;
    let store = harness.open_narrow().await;
    let mut waiting: Vec<u64> = (0..APPENDS).collect();
    while !waiting.is_empty() {
        let queued: Vec<_> =
            waiting.iter().map(|&n| store.append(vec![write(&format!("s{}", n % 7), Expected::Any, [n])])).collect();
        let before = waiting.len();
        let outcomes = join_all(queued).await;
        let refused = waiting.into_iter().zip(outcomes).filter_map(|(n, outcome)| match outcome {
            Ok(appended) => {
                assert!(!appended.is_repeat, "event {n} was left behind by a refused append");
                None
            }
            Err(AppendFault::Busy { retry_after }) => {
                assert!(retry_after > Duration::ZERO);
                Some(n)
            }
            Err(other) => panic!("event {n}: {other}"),
        });
        waiting = refused.collect();
        assert!(waiting.len() < before, "no append of a round succeeded");
    }
    assert_eq!(head(&store), APPENDS);
    let mut ids: Vec<_> = whole_log(&store, &Filter::all()).await.iter().map(|event| event.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..APPENDS).map(|n| event(n).id).collect::<Vec<_>>());
}
