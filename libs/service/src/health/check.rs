use async_trait::async_trait;

use super::State;

/// A part of the process, or something it depends on, that can be asked how it is.
#[async_trait]
pub trait HealthCheck: Send + Sync + 'static {
    /// Names the part.
    fn name(&self) -> &str;

    /// Asks it.
    async fn check(&self) -> (State, String);

    /// Whether this process should get no calls while the part is unhealthy.
    fn gates_readiness(&self) -> bool {
        true
    }
}
