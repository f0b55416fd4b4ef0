use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{Allowed, SendFault};

/// Resolves names to what may be reached. The connection is made to what this gives, without asking again.
pub(crate) struct Resolver {
    pub allowed: Arc<Allowed>,
}

/// A resolution that failed, on its way through the client's errors.
#[derive(Debug)]
pub(crate) struct Refused(pub SendFault);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Refused {}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, host) = (Arc::clone(&self.allowed), name.as_str().to_owned());
        Box::pin(async move {
            let refused = |fault: SendFault| -> Box<dyn Error + Send + Sync> { Box::new(Refused(fault)) };
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found = found.map_err(|_| refused(SendFault::Unresolved(host.clone())))?;
            let reached: Vec<SocketAddr> = found.filter(|found| allowed.admits(&host, found.ip())).collect();
            if reached.is_empty() {
                return Err(refused(SendFault::Private(host)));
            }
            let addresses: Addrs = Box::new(reached.into_iter());
            Ok(addresses)
        })
    }
}
