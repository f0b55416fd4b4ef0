use std::sync::Arc;

use async_trait::async_trait;

use super::reloading::{Configured, Reloading};
use crate::health::{HealthCheck, State};

/// With less time than this left, somebody must have forgotten.
const SECONDS_LEFT_MIN: i64 = 7 * 86_400;

/// Whether a certificate is good for a while, and whether a newer one could be taken.
pub struct CertificateCheck<T> {
    certificate: Arc<Reloading<T>>,
}

impl<T> CertificateCheck<T> {
    pub fn new(certificate: Arc<Reloading<T>>) -> Self {
        Self { certificate }
    }
}

#[async_trait]
impl<T: Configured> HealthCheck for CertificateCheck<T> {
    fn name(&self) -> &str {
        "certificate"
    }

    async fn check(&self) -> (State, String) {
        let (left, problem) = self.certificate.standing();
        let place = self.certificate.place();
        match (left, problem) {
            (..=0, _) => (State::Unhealthy, format!("the certificate in {place} has ended")),
            (_, Some(problem)) => (State::Warning, format!("a new certificate is not in force: {problem}")),
            (..SECONDS_LEFT_MIN, None) => {
                (State::Warning, format!("the certificate in {place} ends in {} hours", left / 3600))
            }
            _ => (State::Healthy, String::new()),
        }
    }

    /// Calls in clear text or over connections that stand go on.
    fn gates_readiness(&self) -> bool {
        false
    }
}
