use std::sync::Arc;

use cairn_access::{ApiKey, JWKS_MAX_AGE};
use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::token_service_server::TokenService;
use cairn_kernel::Name;
use cairn_service::{Ctx, Refusal, Reply, refuse, timestamp};
use tonic::{Request, Response};

use super::api_keys::scopes;
use crate::desk::{Desk, rejected};
use crate::model::Rejection;

pub struct TokenDesk(pub Arc<Desk>);

#[tonic::async_trait]
impl TokenService for TokenDesk {
    async fn exchange_token(
        &self,
        request: Request<proto::ExchangeTokenRequest>,
    ) -> Reply<proto::ExchangeTokenResponse> {
        let (_, request) = Ctx::accept(request)?;
        // Not a token for a token: it would never have to end.
        if request.api_key.parse::<ApiKey>().is_err() && request.api_key.split('.').count() == 3 {
            return Err(refuse(Refusal::invalid("api_key", "is a token, and only a key can be exchanged for one")));
        }
        let principal = self.0.access.authenticate(&request.api_key).map_err(refuse)?;
        let held: Vec<Name> = principal.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
        let wanted = scopes(&request.scopes)?;
        let excess = wanted.iter().find(|scope| !held.is_empty() && !held.iter().any(|held| held.covers(scope)));
        if let Some(excess) = excess {
            return Err(rejected(Rejection::CredentialTooWide { excess: excess.to_string() }));
        }
        let scopes = if wanted.is_empty() { held } else { wanted };
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let life = self.0.access.token_life();
        let expire_time = self.0.now().after(life);
        Ok(Response::new(proto::ExchangeTokenResponse {
            access_token: self.0.access.issue(&principal, &scopes, life),
            token_type: "Bearer".into(),
            expires_in: i32::try_from(life.as_secs()).expect("ten minutes fit"),
            expire_time: Some(timestamp(expire_time)),
        }))
    }

    async fn fetch_jwks(&self, request: Request<proto::FetchJwksRequest>) -> Reply<proto::FetchJwksResponse> {
        Ctx::accept(request)?;
        let keys = self.0.access.keyring().public_keys().into_iter().map(|key| proto::Jwk {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            x: key.x,
            kid: key.kid,
            r#use: "sig".into(),
            alg: "EdDSA".into(),
        });
        let mut response = Response::new(proto::FetchJwksResponse { keys: keys.collect() });
        // The next key is published for longer than this before anything is signed with it.
        let life = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
        if let Ok(life) = life.parse() {
            response.metadata_mut().insert("cairn-http-cache-control", life);
        }
        Ok(response)
    }
}
