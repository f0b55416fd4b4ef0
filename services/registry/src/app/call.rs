use cairn_access::ProjectQuota;
use cairn_eventstore::Order;
use cairn_kernel::{AsOf, Metadata, Name, Position};
use cairn_service::Ctx;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

/// Who asks, under which request id, and until when.
#[derive(Clone, Debug)]
pub struct Call {
    pub order: Order,
    pub deadline: Instant,
    /// What a read must have seen.
    pub after: Option<Position>,
    /// The moment a read wants to see; `None`: now.
    pub as_of: Option<AsOf>,
    /// How much the project may take up that the caller works in.
    pub quota: ProjectQuota,
}

/// What a change made, and the position that reads it.
#[derive(Clone, Debug)]
pub struct Made<T> {
    pub value: T,
    pub position: Position,
}

impl Call {
    /// The call that `ctx` stands for. `request_id` is the request's own field; empty: retries are new requests.
    pub fn of(ctx: &Ctx, request_id: &str) -> Self {
        let (order, deadline, quota) = (ctx.order(request_id), ctx.deadline(), ctx.quota());
        Self { order, deadline, after: ctx.after(), as_of: None, quota }
    }

    /// A read that `ctx` stands for. `as_of` is the request's own field.
    pub fn read(ctx: &Ctx, as_of: &str) -> Result<Self, Status> {
        Ok(Self { as_of: ctx.as_of(as_of)?, ..Self::of(ctx, "") })
    }

    /// Who asks.
    pub fn principal(&self) -> &str {
        &self.order.metadata.principal
    }

    /// The order for a change of `resource`. In a compatibility dialect the contract names only the project.
    pub(crate) fn on(&self, resource: &Name) -> Order {
        let metadata = Metadata { resource: resource.to_string(), ..self.order.metadata.clone() };
        Order { metadata, request: self.order.request.clone() }
    }

    /// Names a request that can be repeated; otherwise empty.
    pub(super) fn request_key(&self) -> String {
        self.order.request.as_ref().map(|request| request.id.simple().to_string()).unwrap_or_default()
    }

    /// A fresh id; for a request that can be repeated, the same one each time.
    pub(crate) fn id(&self, namespace: Uuid) -> Uuid {
        match &self.order.request {
            Some(request) => Uuid::new_v5(&namespace, request.id.as_bytes()),
            None => Uuid::new_v4(),
        }
    }
}
