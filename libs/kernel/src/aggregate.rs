use crate::Fault;

/// A consistency boundary: state folded from one stream, and the rules for changing it.
///
/// Both functions are pure. Time and fresh ids arrive in the command; `decide` never asks for them. That is what makes
/// a replay exact, and what keeps side effects out of a fold: there is nothing here to perform one with.
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// First part of every stream name of this aggregate, e.g. `registry.model`.
    const CATEGORY: &'static str;

    /// What may be asked. Cloned when a lost race is decided again.
    type Command: Clone + Send + Sync + 'static;
    /// What happened, in the past tense.
    type Event: Clone + Send + Sync + 'static;
    /// Why a command was refused: always the caller's to fix.
    type Rejection: Fault;

    /// Judges a command. Doing something twice is success with no events.
    fn decide(&self, command: Self::Command) -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Folds one event in. Never fails and never checks: what happened, happened.
    fn evolve(&mut self, event: &Self::Event);

    /// Folds a history from nothing.
    fn replay<'a>(events: impl IntoIterator<Item = &'a Self::Event>) -> Self
    where
        Self::Event: 'a,
    {
        let mut state = Self::default();
        for event in events {
            state.evolve(event);
        }
        state
    }
}
