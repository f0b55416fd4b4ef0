use std::collections::BTreeSet;

use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::signing_policy_service_server::SigningPolicyService;
use cairn_kernel::Code;
use cairn_service::{Ctx, Refusal, Reply, refuse, timestamp};
use tonic::{Request, Response, Status, async_trait};

use super::Grpc;
use super::parse::{etag, invalid, mask};
use crate::app::{Call, NewSigningPolicy, Signing};
use crate::model::signing::{KEYS_MAX, POLICIES, TrustedKey};
use crate::model::{Key, PolicyScope};
use crate::stored::signing::key;

#[async_trait]
impl SigningPolicyService for Grpc {
    async fn get_signing_policy(
        &self,
        request: Request<proto::GetSigningPolicyRequest>,
    ) -> Reply<proto::SigningPolicy> {
        let (ctx, request) = Ctx::accept(request)?;
        let scope = scope("name", &request.name)?;
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        let found = self.app.signing_policy(&reading, &scope).await.map_err(refuse)?;
        Ok(Response::new(answer(found)))
    }

    async fn update_signing_policy(
        &self,
        request: Request<proto::UpdateSigningPolicyRequest>,
    ) -> Reply<proto::SigningPolicy> {
        let (ctx, request) = Ctx::accept(request)?;
        let given = request.signing_policy.unwrap_or_default();
        let scope = scope("signing_policy.name", &given.name)?;
        let expected = etag(&given.etag)?;
        mask(request.update_mask.as_ref(), &["keys", "required"])?;
        let new = NewSigningPolicy { keys: keys(given.keys)?, is_required: given.required };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.set_signing_policy(&call, &scope, expected, new).await.map_err(refuse)?;
        Ok(ctx.reply(answer(made.value), made.position))
    }
}

fn answer(signing: Signing) -> proto::SigningPolicy {
    proto::SigningPolicy {
        name: signing.scope.policy_in(POLICIES),
        keys: signing.policy.keys.iter().map(key).collect(),
        required: signing.policy.is_required,
        etag: signing.revision.map(|revision| revision.to_string()).unwrap_or_default(),
        create_time: signing.times.map(|(first, _)| timestamp(first)),
        update_time: signing.times.map(|(_, last)| timestamp(last)),
    }
}

/// Keys that are keys, each under a name of its own. A fingerprint that is given must be the key's.
fn keys(given: Vec<proto::SigningKey>) -> Result<Vec<TrustedKey>, Status> {
    if given.len() > KEYS_MAX {
        return Err(invalid("signing_policy.keys", format!("{} of them, at most {KEYS_MAX}", given.len())));
    }
    let mut names = BTreeSet::new();
    let mut keys = vec![];
    for proto::SigningKey { name, public_key_pem, fingerprint } in given {
        name.parse::<Key>().map_err(|fault| invalid("signing_policy.keys.name", fault))?;
        if !names.insert(name.clone()) {
            return Err(invalid("signing_policy.keys.name", format!("{name:?} stands there twice")));
        }
        let bad = |problem: String| {
            let message = format!("signing key {name:?} cannot be used: {problem}");
            refuse(Refusal::new(Code::InvalidArgument, "SIGNING_KEY_INVALID", message).with("key", &name))
        };
        let key: cairn_modelsig::PublicKey =
            public_key_pem.parse().map_err(|fault: cairn_modelsig::KeyFault| bad(fault.to_string()))?;
        if !fingerprint.is_empty() && fingerprint != key.fingerprint() {
            return Err(bad(format!("its fingerprint is {}, not {fingerprint}", key.fingerprint())));
        }
        keys.push(TrustedKey { name, key });
    }
    Ok(keys)
}

fn scope(field: &'static str, text: &str) -> Result<PolicyScope, Status> {
    let scope = PolicyScope::named_in(POLICIES, text).map_err(|fault| invalid(field, fault))?;
    scope.ok_or_else(|| {
        let message = format!("there is no policy {text}: its name must end in {POLICIES}/default");
        refuse(Refusal::new(Code::NotFound, "POLICY_NOT_FOUND", message).with("policy", text))
    })
}
