use std::sync::Arc;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::open_source_addresses_response::Opened;
use cairn_contract::cairn::auth::v1::source_address_service_server::SourceAddressService;
use cairn_kernel::{Code, Name};
use cairn_seal::SealFault;
use cairn_service::{Ctx, Refusal, Reply, field, refuse};
use tonic::{Request, Response};

use crate::desk::Desk;
use crate::sources::{Source, refusal};

/// Addresses opened in one request, all of which its record names.
const ENTRIES_MAX: usize = 100;

pub struct SourceAddresses(pub Arc<Desk>);

#[tonic::async_trait]
impl SourceAddressService for SourceAddresses {
    async fn seal_source_address(
        &self,
        request: Request<proto::SealSourceAddressRequest>,
    ) -> Reply<proto::SealSourceAddressResponse> {
        let (ctx, _) = Ctx::accept(request)?;
        let principal = ctx.principal();
        if principal.is_anonymous() {
            let message = "an address is sealed for a known caller";
            return Err(refuse(Refusal::new(Code::Unauthenticated, "CREDENTIAL_MISSING", message)));
        }
        let unknown = || refuse(Refusal::invalid("cairn-source", "says nothing of where the call comes from"));
        let address = ctx.source_address().ok_or_else(unknown)?;
        let sealed_address = self.0.sealed(&field("principal", &principal.name)?, address).await?;
        Ok(Response::new(proto::SealSourceAddressResponse { sealed_address }))
    }

    async fn open_source_addresses(
        &self,
        request: Request<proto::OpenSourceAddressesRequest>,
    ) -> Reply<proto::OpenSourceAddressesResponse> {
        let (_, request) = Ctx::accept(request)?;
        if request.entries.is_empty() || request.entries.len() > ENTRIES_MAX {
            return Err(refuse(Refusal::invalid("entries", format!("must be 1 to {ENTRIES_MAX}"))));
        }
        let mut addresses = vec![];
        for entry in &request.entries {
            let principal: Name = field("entries.principal", &entry.principal)?;
            let opened = self.0.sources.open(&principal, &entry.sealed_address).await.map_err(|fault| match fault {
                SealFault::Malformed | SealFault::Foreign => {
                    let problem = format!("{:?} is no address that was sealed for {principal}", entry.sealed_address);
                    refuse(Refusal::invalid("entries.sealed_address", problem))
                }
                fault => refusal(fault),
            })?;
            addresses.push(match opened {
                Source::Known(address) => Opened { address, forgotten: false },
                Source::Forgotten => Opened { address: String::new(), forgotten: true },
            });
        }
        Ok(Response::new(proto::OpenSourceAddressesResponse { addresses }))
    }
}
