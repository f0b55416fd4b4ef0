use cairn_kernel::Time;

use super::{Change, Rejection, Run, RunState};

impl Run {
    pub(super) fn renamed(&self, to: String) -> Vec<Change> {
        if self.display_name == to {
            return vec![];
        }
        vec![Change::Renamed { from: self.display_name.clone(), to }]
    }

    pub(super) fn finish(&self, state: RunState, end_time: Time) -> Result<Vec<Change>, Rejection> {
        if !self.state.is_terminal() {
            return Ok(vec![Change::Finished { state, end_time: Some(end_time) }]);
        }
        if self.state == state {
            return Ok(vec![]); // A retry, perhaps with a later clock, changes nothing.
        }
        Err(Rejection::AlreadyTerminal { run: self.name()?.clone(), state: self.state, end_time: self.end_time })
    }

    pub(super) fn amend(
        &self,
        state: Option<RunState>,
        end_time: Option<Time>,
        display_name: Option<String>,
    ) -> Vec<Change> {
        let mut changes = vec![];
        let (state, end_time) = (state.unwrap_or(self.state), end_time.or(self.end_time));
        if (state, end_time) != (self.state, self.end_time) {
            changes.push(match state.is_terminal() {
                true => Change::Finished { state, end_time },
                false => Change::Resumed { state, end_time },
            });
        }
        if let Some(to) = display_name.filter(|name| !name.is_empty()) {
            changes.extend(self.renamed(to));
        }
        changes
    }
}
