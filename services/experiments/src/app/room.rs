//! Room for runs within a project's quota.

use std::sync::Arc;

use cairn_service::Refusal;
use cairn_service::quota::{Limit, Place};

use super::{App, Call};
use crate::model::{ExperimentName, ProjectName, Run, RunName, RunState};
use crate::query::RunCount;

/// Room for what a change makes more. To be held until the change shows.
#[derive(Default)]
#[must_use]
pub(super) struct Room {
    _runs: Option<Place>,
    _running: Option<Place>,
}

impl App {
    /// Room for a run that is about to be made. One that is there takes none: its command says what comes of it.
    pub(super) async fn room_for_new(&self, call: &Call, name: &RunName, state: RunState) -> Result<Room, Refusal> {
        if !is_limited(call) || self.state_of(name).await?.is_some() {
            return Ok(Room::default());
        }
        self.room(call, &name.parent().parent(), of_one(state)).await
    }

    /// Room for a deleted run that is about to come back.
    pub(super) async fn room_for_restored(&self, call: &Call, name: &RunName) -> Result<Room, Refusal> {
        if !is_limited(call) {
            return Ok(Room::default());
        }
        match self.state_of(name).await? {
            Some(run) if run.is_deleted => self.room(call, &name.parent().parent(), of_one(run.state)).await,
            _ => Ok(Room::default()),
        }
    }

    /// Room for a run that may be about to go to work.
    pub(super) async fn room_for_state(
        &self,
        call: &Call,
        name: &RunName,
        state: Option<RunState>,
    ) -> Result<Room, Refusal> {
        if call.quota.concurrent_runs_max.is_none() || state != Some(RunState::Running) {
            return Ok(Room::default());
        }
        match self.state_of(name).await? {
            Some(run) if !run.is_deleted && run.state != RunState::Running => {
                self.room(call, &name.parent().parent(), RunCount { runs: 0, running: 1 }).await
            }
            _ => Ok(Room::default()),
        }
    }

    /// Room for the runs of a deleted experiment that is about to come back.
    pub(super) async fn room_for_experiment(&self, call: &Call, name: &ExperimentName) -> Result<Room, Refusal> {
        if !is_limited(call) {
            return Ok(Room::default());
        }
        self.settle(call).await?;
        let more = self.inner.query.runs_of_deleted(name).await?;
        self.room(call, &name.parent(), more).await
    }

    // INVARIANT: the two are always taken in this order, so that no two who wait have what the other waits for.
    async fn room(&self, call: &Call, project: &ProjectName, more: RunCount) -> Result<Room, Refusal> {
        self.settle(call).await?;
        let query = &self.inner.query;
        let limit = |quota, what, max| Limit { project: project.name().clone(), quota, what, max };
        let mut room = Room::default();
        if let Some(max) = call.quota.runs_max.filter(|_| more.runs > 0) {
            let used = || async { query.run_count(project).await.map(|count| count.runs) };
            room._runs = Some(self.inner.rooms.enter(&limit("runs_max", "runs", max), more.runs, used).await?);
        }
        if let Some(max) = call.quota.concurrent_runs_max.filter(|_| more.running > 0) {
            let used = || async { query.run_count(project).await.map(|count| count.running) };
            let limit = limit("concurrent_runs_max", "runs at work", max);
            room._running = Some(self.inner.rooms.enter(&limit, more.running, used).await?);
        }
        Ok(room)
    }

    async fn state_of(&self, name: &RunName) -> Result<Option<Arc<Run>>, Refusal> {
        let state = self.inner.commands.load::<Run>(&name.stream()).await?.state;
        Ok(state.name().is_ok().then_some(state))
    }
}

fn is_limited(call: &Call) -> bool {
    call.quota.runs_max.is_some() || call.quota.concurrent_runs_max.is_some()
}

fn of_one(state: RunState) -> RunCount {
    RunCount { runs: 1, running: u64::from(state == RunState::Running) }
}
