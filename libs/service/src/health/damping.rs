use super::State;

/// A state that worsens at once and improves only after several good checks in a row, so that a part on the edge does
/// not make its readers jump.
pub(super) struct Damped {
    recover_after: u32,
    shown: Option<State>,
    message: String,
    better: u32,
}

impl Damped {
    pub fn new(recover_after: u32) -> Self {
        Self { recover_after, shown: None, message: "not checked yet".to_owned(), better: 0 }
    }

    /// Takes in what a check said. Gives the earlier state if it has changed.
    pub fn observe(&mut self, state: State, message: String) -> Option<State> {
        let Some(shown) = self.shown else {
            (self.shown, self.message) = (Some(state), message);
            return None;
        };
        if state >= shown {
            self.better = 0;
        } else {
            self.better += 1;
            if self.better < self.recover_after {
                return None;
            }
            self.better = 0;
        }
        (self.shown, self.message) = (Some(state), message);
        (state != shown).then_some(shown)
    }

    /// What is shown. A part that was never checked is not known to work.
    pub fn state(&self) -> State {
        self.shown.unwrap_or(State::Unhealthy)
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn is_known(&self) -> bool {
        self.shown.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::State::{Healthy, Unhealthy, Warning};
    use super::*;

    #[test]
    fn a_flapping_part_stays_as_bad_as_it_gets_s3_32() {
        let mut part = Damped::new(2);
        let seen = [Healthy, Unhealthy, Healthy, Unhealthy, Healthy, Healthy, Warning, Healthy].map(|state| {
            part.observe(state, state.to_string());
            part.state()
        });
        assert_eq!(seen, [Healthy, Unhealthy, Unhealthy, Unhealthy, Unhealthy, Healthy, Warning, Warning]);
        assert_eq!(part.message(), "warning", "the message belongs to the state that is shown");
    }

    #[test]
    fn a_change_is_told_once() {
        let mut part = Damped::new(1);
        assert_eq!(part.observe(Healthy, String::new()), None);
        assert_eq!(part.observe(Unhealthy, String::new()), Some(Healthy));
        assert_eq!(part.observe(Unhealthy, String::new()), None);
        assert_eq!(part.observe(Healthy, String::new()), Some(Unhealthy));
    }
}
