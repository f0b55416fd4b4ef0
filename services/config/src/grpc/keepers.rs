use std::sync::Arc;

use cairn_contract::cairn::config::v1 as proto;
use cairn_contract::cairn::config::v1::keeper_service_server::KeeperService;
use cairn_eventstore::Order;
use cairn_seal::Standing;
use cairn_service::{Ctx, Reply, refuse};
use tonic::{Request, Response, Status};
use tracing::info;

use crate::desk::{Desk, seal_refusal};
use crate::stored::rotated;

pub struct Keepers(pub Arc<Desk>);

impl Keepers {
    async fn show(&self) -> Result<proto::Keeper, Status> {
        let Standing { keeper, wrapped } =
            self.0.sealer.standing().await.map_err(|fault| refuse(seal_refusal(fault)))?;
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(proto::Keeper {
            kind: keeper.kind.to_owned(),
            place: keeper.place,
            newest_key: keeper.newest,
            wrapped: wrapped.into_iter().map(|(key, keys)| (key, count(keys))).collect(),
        })
    }
}

impl Keepers {
    /// Whether this very request has made its key already: then only what is left is to be wrapped anew.
    async fn is_done(&self, order: &Order) -> Result<bool, Status> {
        let Some(request) = &order.request else { return Ok(false) };
        Ok(self.0.commands.store().find(request.event_id(0)).await.map_err(refuse)?.is_some())
    }
}

#[tonic::async_trait]
impl KeeperService for Keepers {
    async fn get_keeper(&self, request: Request<proto::GetKeeperRequest>) -> Reply<proto::Keeper> {
        let (_, _) = Ctx::accept(request)?;
        Ok(Response::new(self.show().await?))
    }

    async fn rotate_keeper(&self, request: Request<proto::RotateKeeperRequest>) -> Reply<proto::Keeper> {
        let (ctx, request) = Ctx::accept(request)?;
        let sealer = &self.0.sealer;
        let order = ctx.order(&request.request_id);
        if !request.rewrap_only && !self.is_done(&order).await? {
            let key = sealer.rotate().await.map_err(|fault| refuse(seal_refusal(fault)))?;
            let kind = sealer.standing().await.map_err(|fault| refuse(seal_refusal(fault)))?.keeper.kind;
            let write = rotated(&order, kind, &key);
            self.0.commands.store().append(vec![write]).await.map_err(refuse)?;
        }
        let done = sealer.rewrap(u64::MAX).await.map_err(|fault| refuse(seal_refusal(fault)))?;
        info!(done = done.done, left = done.left, "keys were wrapped anew");
        Ok(Response::new(self.show().await?))
    }
}
