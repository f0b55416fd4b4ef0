use async_trait::async_trait;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{HealthCheck, State};

/// Another process that this one needs, asked over gRPC's health protocol.
pub struct ComponentCheck {
    name: String,
    client: HealthClient<Channel>,
}

impl ComponentCheck {
    /// Asks at the other end of `channel`; `name` is what it is called here.
    pub fn new(name: impl Into<String>, channel: Channel) -> Self {
        Self { name: name.into(), client: HealthClient::new(channel) }
    }
}

#[async_trait]
impl HealthCheck for ComponentCheck {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> (State, String) {
        let answer = self.client.clone().check(HealthCheckRequest { service: String::new() }).await;
        match answer.map(|answer| answer.into_inner().status()) {
            Ok(ServingStatus::Serving) => (State::Healthy, String::new()),
            Ok(other) => (State::Unhealthy, format!("says {}", other.as_str_name())),
            Err(status) => (State::Unhealthy, format!("cannot be asked: {}", status.message())),
        }
    }

    /// The others stay usable when one of them is gone.
    fn gates_readiness(&self) -> bool {
        false
    }
}
