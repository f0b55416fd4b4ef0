//! What Cairn's own contract has of the event store: where it is, and what a caller may do there.

use std::sync::Arc;

use cairn_contract::cairn::eventstore::v1::event_store_service_server::{EventStoreService, EventStoreServiceServer};
use cairn_contract::cairn::eventstore::v1::{EventStore, GetEventStoreRequest};
use cairn_kernel::Name;
use cairn_service::{Ctx, Deps, Mounted, Reply};
use tonic::service::Routes;
use tonic::{Request, Response};

use crate::Config;
use crate::sight::PROGRAMS;

const APPEND: &str = "eventstore.streams.append";
const DELETE: &str = "eventstore.streams.delete";

struct About {
    config: Config,
    is_encrypted: bool,
    store: Arc<dyn cairn_eventstore::EventStore>,
}

/// Starts what tells of the event store, in a process that tells of the log.
pub fn mount(deps: &Deps, config: &Config, is_encrypted: bool) -> Mounted {
    let about = About { config: config.clone(), is_encrypted, store: Arc::clone(&deps.store) };
    Mounted { role: "eventstore", routes: Routes::new(EventStoreServiceServer::new(about)), views: vec![] }
}

impl About {
    fn connection_string(&self) -> String {
        let at = match (&*self.config.advertised, self.config.listen) {
            ("", Some(listen)) => listen.to_string(),
            ("", None) => return String::new(),
            (advertised, _) => advertised.to_owned(),
        };
        format!("kurrentdb://{at}?tls={}", self.is_encrypted)
    }
}

#[tonic::async_trait]
impl EventStoreService for About {
    async fn get_event_store(&self, request: Request<GetEventStoreRequest>) -> Reply<EventStore> {
        let (ctx, GetEventStoreRequest {}) = Ctx::accept(request)?;
        let can = |permission| ctx.allows(permission, &Name::ROOT).denial.is_none();
        Ok(Response::new(EventStore {
            connection_string: self.connection_string(),
            writable_prefixes: self.config.writable_prefixes.clone(),
            can_read: can(PROGRAMS),
            can_append: can(APPEND),
            can_delete: can(DELETE),
            position: self.store.head().borrow().to_string(),
        }))
    }
}
