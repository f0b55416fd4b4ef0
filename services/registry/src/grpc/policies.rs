use cairn_contract::cairn::registry::v1 as proto;
use cairn_kernel::Code;
use cairn_service::{Ctx, Refusal, Reply, refuse};
use tonic::{Request, Response, Status};

use super::parse::{etag, invalid, mask, policy};
use super::{Grpc, answer};
use crate::app::Call;
use crate::model::PolicyScope;

/// Who holds this may do without promotions, and therefore ask for less in a policy.
const OVERRIDE: &str = "registry.promotions.override";

impl Grpc {
    pub(super) async fn policy(
        &self,
        request: Request<proto::GetPromotionPolicyRequest>,
    ) -> Reply<proto::PromotionPolicy> {
        let (ctx, request) = Ctx::accept(request)?;
        let scope = scope("name", &request.name)?;
        let found = self.app.policy(&Call::read(&ctx, &request.as_of)?, &scope).await.map_err(refuse)?;
        Ok(Response::new(answer::policy(found)))
    }

    pub(super) async fn set_policy(
        &self,
        request: Request<proto::UpdatePromotionPolicyRequest>,
    ) -> Reply<proto::PromotionPolicy> {
        let (ctx, request) = Ctx::accept(request)?;
        let given = request.promotion_policy.unwrap_or_default();
        let scope = scope("promotion_policy.name", &given.name)?;
        let expected = etag(&given.etag)?;
        mask(request.update_mask.as_ref(), &["terms"])?;
        let terms = given.terms.ok_or_else(|| invalid("promotion_policy.terms", "must be given"))?;
        let terms = policy(terms)?;
        let may_relax = ctx.require(OVERRIDE, scope.name()).is_ok();
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.set_policy(&call, &scope, expected, terms, may_relax).await.map_err(refuse)?;
        Ok(ctx.reply(answer::policy(made.value), made.position))
    }
}

fn scope(field: &'static str, text: &str) -> Result<PolicyScope, Status> {
    let scope = PolicyScope::of(text).map_err(|fault| invalid(field, fault))?;
    scope.ok_or_else(|| {
        let message = format!("there is no policy {text}: its name must end in promotionPolicies/default");
        refuse(Refusal::new(Code::NotFound, "POLICY_NOT_FOUND", message).with("policy", text))
    })
}
