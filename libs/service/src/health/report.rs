use std::fmt;

use serde::Serialize;

/// How a part is. Ordered: the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Healthy,
    /// It works, but somebody should look before it stops.
    Warning,
    /// It does not work.
    Unhealthy,
}

/// How one part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentHealth {
    pub name: String,
    pub state: State,
    /// Why, in figures; empty where there is nothing to say.
    pub message: String,
}

/// How the process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// That of the worst part.
    pub status: State,
    /// Whether its event loop runs.
    pub is_live: bool,
    /// Whether it should get calls.
    pub is_ready: bool,
    pub components: Vec<ComponentHealth>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Somebody who wants to know whether anything is wrong.
    Health,
    /// A supervisor that restarts what does not live.
    Live,
    /// A load balancer that leaves out what is not ready.
    Ready,
}

impl Report {
    /// The worst part decides.
    pub(super) fn new(components: Vec<ComponentHealth>, is_ready: bool, is_live: bool) -> Self {
        let status = components.iter().map(|component| component.state).max().unwrap_or(State::Healthy);
        Self { status, is_live, is_ready, components }
    }

    /// Status of the answer to a probe over HTTP.
    pub fn http_status(&self, probe: Probe) -> http::StatusCode {
        let is_well = match probe {
            Probe::Health => self.is_ready && self.status != State::Unhealthy,
            Probe::Live => self.is_live,
            Probe::Ready => self.is_ready,
        };
        if is_well { http::StatusCode::OK } else { http::StatusCode::SERVICE_UNAVAILABLE }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Unhealthy => "unhealthy",
        })
    }
}
