use async_trait::async_trait;
use cairn_projection::{View, ViewState};

use super::{Config, HealthCheck, State};

/// How far the read models are behind the log.
pub struct ViewsCheck {
    views: Vec<View>,
    lag_max: u64,
}

impl ViewsCheck {
    /// For these views, with the configured bound.
    pub fn new(views: Vec<View>, config: &Config) -> Self {
        Self { views, lag_max: config.lag_max }
    }
}

#[async_trait]
impl HealthCheck for ViewsCheck {
    fn name(&self) -> &str {
        "views"
    }

    async fn check(&self) -> (State, String) {
        let judged = self.views.iter().map(|view| (view.name(), view.state()));
        let judged = judged.map(|(name, state)| {
            let (judged, problem) = judge(&state, self.lag_max);
            (judged, format!("{name} {problem}"))
        });
        let bad: Vec<_> = judged.filter(|(state, _)| *state != State::Healthy).collect();
        let worst = bad.iter().map(|(state, _)| *state).max().unwrap_or(State::Healthy);
        (worst, bad.into_iter().map(|(_, problem)| problem).collect::<Vec<_>>().join("; "))
    }
}

fn judge(state: &ViewState, lag_max: u64) -> (State, String) {
    if state.is_stopped {
        return (State::Unhealthy, "has stopped".to_owned());
    }
    if state.lag > lag_max {
        return (State::Unhealthy, format!("is {} events behind, more than {lag_max}", state.lag));
    }
    if let Some(trouble) = &state.trouble {
        return (State::Warning, format!("does not get on: {trouble}"));
    }
    if state.quarantined > 0 {
        return (State::Warning, format!("has set {} events aside", state.quarantined));
    }
    (State::Healthy, String::new())
}

#[cfg(test)]
mod tests {
    use cairn_kernel::Position;

    use super::*;

    fn state(lag: u64) -> ViewState {
        ViewState { position: Position(1), lag, quarantined: 0, trouble: None, is_stopped: false }
    }

    #[test]
    fn a_view_beyond_its_bound_is_unhealthy_and_one_with_trouble_is_a_warning() {
        assert_eq!(judge(&state(10), 10).0, State::Healthy);
        assert_eq!(judge(&state(11), 10).0, State::Unhealthy);
        assert_eq!(judge(&ViewState { quarantined: 1, ..state(0) }, 10).0, State::Warning);
        assert_eq!(judge(&ViewState { trouble: Some("disk".into()), ..state(0) }, 10).0, State::Warning);
        assert_eq!(judge(&ViewState { is_stopped: true, ..state(0) }, 10).0, State::Unhealthy);
    }
}
