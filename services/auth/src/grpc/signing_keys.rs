use std::sync::Arc;

use cairn_access::RotationFault;
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::signing_key::Slot;
use cairn_contract::cairn::auth::v1::signing_key_service_server::SigningKeyService;
use cairn_kernel::Code;
use cairn_service::{Ctx, Refusal, Reply, refuse, timestamp};
use tonic::{Request, Response};

use crate::desk::{Desk, text};
use crate::signing::{self, RotateFault};

pub struct SigningKeyDesk(pub Arc<Desk>);

impl SigningKeyDesk {
    fn show(&self) -> proto::FetchSigningKeysResponse {
        let keys = self.0.access.signing_keys();
        let since_time = keys.since.map(timestamp);
        let slots =
            [(Some(keys.next), Slot::Next), (Some(keys.current), Slot::Current), (keys.previous, Slot::Previous)];
        let shown = slots.into_iter().filter_map(|(kid, slot)| {
            let name = format!("signingKeys/{}", kid?);
            Some(proto::SigningKey { name, slot: slot.into(), since_time })
        });
        proto::FetchSigningKeysResponse { signing_keys: shown.collect() }
    }
}

#[tonic::async_trait]
impl SigningKeyService for SigningKeyDesk {
    async fn fetch_signing_keys(
        &self,
        request: Request<proto::FetchSigningKeysRequest>,
    ) -> Reply<proto::FetchSigningKeysResponse> {
        Ctx::accept(request)?;
        Ok(Response::new(self.show()))
    }

    async fn rotate_signing_keys(
        &self,
        request: Request<proto::RotateSigningKeysRequest>,
    ) -> Reply<proto::FetchSigningKeysResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let reason = text("reason", &request.reason)?;
        let order = ctx.order(&request.request_id);
        let at = signing::rotate(&self.0, &order, request.compromised, reason).await.map_err(|fault| {
            refuse(match fault {
                RotateFault::Rotation(RotationFault::Fresh(_)) => {
                    Refusal::new(Code::FailedPrecondition, "SIGNING_KEYS_FRESH", fault.to_string())
                }
                RotateFault::Rotation(fault) => Refusal::internal(fault),
                RotateFault::Command(fault) => fault.into(),
            })
        })?;
        self.0.settle(&ctx, at).await?;
        Ok(ctx.reply(self.show(), at))
    }
}
