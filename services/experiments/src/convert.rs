//! Our words in the contract's, and the other way round.

use cairn_contract::cairn::experiments::v1 as proto;
use cairn_kernel::Time;
use prost_types::Timestamp;

use crate::model::logged_model::LoggedModelState;
use crate::model::run::Dataset;
use crate::model::{Dropped, EntryKind, Limit, RunState};

/// A moment in ours.
pub fn from_timestamp(timestamp: &Timestamp) -> Time {
    Time::from_seconds_and_nanos(timestamp.seconds, timestamp.nanos)
}

impl From<RunState> for i32 {
    fn from(state: RunState) -> Self {
        proto::RunState::from(state).into()
    }
}

impl From<RunState> for proto::RunState {
    fn from(state: RunState) -> Self {
        match state {
            RunState::Running => Self::Running,
            RunState::Scheduled => Self::Scheduled,
            RunState::Finished => Self::Finished,
            RunState::Failed => Self::Failed,
            RunState::Killed => Self::Killed,
        }
    }
}

/// Stored events and callers alike: unspecified is running.
impl From<proto::RunState> for RunState {
    fn from(state: proto::RunState) -> Self {
        match state {
            proto::RunState::Unspecified | proto::RunState::Running => Self::Running,
            proto::RunState::Scheduled => Self::Scheduled,
            proto::RunState::Finished => Self::Finished,
            proto::RunState::Failed => Self::Failed,
            proto::RunState::Killed => Self::Killed,
        }
    }
}

impl From<LoggedModelState> for proto::LoggedModelState {
    fn from(state: LoggedModelState) -> Self {
        match state {
            LoggedModelState::Pending => Self::Pending,
            LoggedModelState::Ready => Self::Ready,
            LoggedModelState::Failed => Self::Failed,
        }
    }
}

impl From<Dataset> for proto::DatasetInput {
    fn from(dataset: Dataset) -> Self {
        let Dataset { display_name, digest, source_type, source, schema, profile, tags } = dataset;
        Self { display_name, digest, source_type, source, schema, profile, tags }
    }
}

impl From<proto::DatasetInput> for Dataset {
    fn from(dataset: proto::DatasetInput) -> Self {
        let proto::DatasetInput { display_name, digest, source_type, source, schema, profile, tags } = dataset;
        Self { display_name, digest, source_type, source, schema, profile, tags }
    }
}

impl From<Dropped> for proto::DroppedEntry {
    fn from(dropped: Dropped) -> Self {
        let kind = match dropped.kind {
            EntryKind::Metric => proto::EntryKind::Metric,
            EntryKind::Param => proto::EntryKind::Param,
            EntryKind::Tag => proto::EntryKind::Tag,
        };
        let limit = match dropped.limit {
            Limit::Run => proto::Limit::Run,
            Limit::Project => proto::Limit::Project,
        };
        Self { kind: kind.into(), key: dropped.key, limit: limit.into(), count: dropped.count }
    }
}

impl From<proto::DroppedEntry> for Dropped {
    fn from(entry: proto::DroppedEntry) -> Self {
        let kind = match entry.kind() {
            proto::EntryKind::Metric | proto::EntryKind::Unspecified => EntryKind::Metric,
            proto::EntryKind::Param => EntryKind::Param,
            proto::EntryKind::Tag => EntryKind::Tag,
        };
        let limit = match entry.limit() {
            proto::Limit::Run | proto::Limit::Unspecified => Limit::Run,
            proto::Limit::Project => Limit::Project,
        };
        Self { kind, key: entry.key, limit, count: entry.count }
    }
}
