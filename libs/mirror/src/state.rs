use std::collections::BTreeMap;

use metrics::gauge;
use parking_lot::Mutex;

/// How the copies of one service are doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorState {
    /// What keeps them from getting on, for the log.
    pub trouble: Option<String>,
    /// The same for everybody.
    pub openly: Option<&'static str>,
    /// Whether this process writes them.
    pub writes: bool,
    /// How many events the copy that is furthest behind does not have, as far as is known.
    pub lag: u64,
}

/// The same, shared with whoever makes it so.
#[derive(Default)]
pub(crate) struct State(Mutex<(MirrorState, BTreeMap<&'static str, u64>)>);

impl State {
    pub fn get(&self) -> MirrorState {
        self.0.lock().0.clone()
    }

    /// Something is in the way. Said once in the log, until it is over.
    pub fn stumbles(&self, schema: &str, why: &str, openly: &'static str) {
        let mut state = self.0.lock();
        state.0.writes = false;
        state.0.openly = Some(openly);
        if state.0.trouble.replace(why.to_owned()).is_none() {
            tracing::warn!(schema, why, "read models cannot be copied and are tried again");
        }
    }

    pub fn gets_on(&self, schema: &str, writes: bool) {
        let mut state = self.0.lock();
        state.0.openly = None;
        if state.0.trouble.take().is_some() {
            tracing::info!(schema, "read models are copied again");
        }
        if !std::mem::replace(&mut state.0.writes, writes) && writes {
            tracing::info!(schema, "this process copies read models");
        }
    }

    /// The copy of a view lacks so many events.
    pub fn lags(&self, view: &'static str, lag: u64) {
        gauge!("cairn_read_model_copy_lag_events", "view" => view).set(lag as f64);
        let mut state = self.0.lock();
        state.1.insert(view, lag);
        state.0.lag = state.1.values().copied().max().unwrap_or_default();
    }
}
