use cairn_contract::cairn::registry::v1 as proto;
use cairn_contract::cairn::registry::v1::promotion_service_server::PromotionService;
use cairn_kernel::PrincipalKind;
use cairn_service::{Ctx, Reply, field, refuse};
use tonic::{Request, Response, async_trait};

use super::parse::{chars, invalid, moves, page_size};
use super::{Grpc, answer};
use crate::app::{Call, Way};
use crate::model::entry::COMMENT_CHARS_MAX;
use crate::model::{Approver, ModelName, PromotionName};
use crate::query::PromotionState;
use crate::stored::terms::encode_moves;

#[async_trait]
impl PromotionService for Grpc {
    async fn create_promotion(&self, request: Request<proto::CreatePromotionRequest>) -> Reply<proto::Promotion> {
        let (ctx, request) = Ctx::accept(request)?;
        let model: ModelName = field("parent", &request.parent)?;
        chars("comment", &request.comment, COMMENT_CHARS_MAX)?;
        let moves = moves(request.moves)?;
        let asked = (ctx.method().permission.as_str(), model.name());
        self.app.guard_moves(&ctx, asked, &model, Way::Promotion, &moves).await?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.request_promotion(&call, &model, moves, &request.comment).await.map_err(refuse)?;
        Ok(ctx.reply(answer::promotion(made.value), made.position))
    }

    async fn get_promotion(&self, request: Request<proto::GetPromotionRequest>) -> Reply<proto::Promotion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: PromotionName = field("name", &request.name)?;
        let promotion = self.app.promotion(&Call::read(&ctx, &request.as_of)?, &name).await.map_err(refuse)?;
        Ok(Response::new(answer::promotion(promotion)))
    }

    async fn list_promotions(
        &self,
        request: Request<proto::ListPromotionsRequest>,
    ) -> Reply<proto::ListPromotionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let model: ModelName = field("parent", &request.parent)?;
        let state = state(request.state());
        let limit = page_size(request.page_size)?;
        let reading = self.app.reading(&Call::read(&ctx, &request.as_of)?).await.map_err(refuse)?;
        self.app.model_in(&reading, &model).await.map_err(refuse)?;
        let page = reading.query.promotions(&model, state, reading.now, limit, &request.page_token);
        let page = page.await.map_err(refuse)?;
        let mut promotions = vec![];
        for record in page.promotions {
            promotions.push(answer::promotion(self.app.status(&reading, record).await.map_err(refuse)?));
        }
        Ok(Response::new(proto::ListPromotionsResponse { promotions, next_page_token: page.next_page_token }))
    }

    async fn approve_promotion(&self, request: Request<proto::ApprovePromotionRequest>) -> Reply<proto::Promotion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: PromotionName = field("name", &request.name)?;
        chars("comment", &request.comment, COMMENT_CHARS_MAX)?;
        self.app.guard_promotion(&ctx, &name).await?;
        let principal = ctx.principal();
        let held = self.access.world().held(&principal.name, name.parent().name(), self.app.clock().now());
        let approver =
            Approver { principal: principal.name.clone(), is_person: principal.kind == PrincipalKind::User, held };
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.approve_promotion(&call, &name, approver, &request.comment).await.map_err(refuse)?;
        Ok(ctx.reply(answer::promotion(made.value), made.position))
    }

    async fn reject_promotion(&self, request: Request<proto::RejectPromotionRequest>) -> Reply<proto::Promotion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: PromotionName = field("name", &request.name)?;
        chars("comment", &request.comment, COMMENT_CHARS_MAX)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.reject_promotion(&call, &name, &request.comment).await.map_err(refuse)?;
        Ok(ctx.reply(answer::promotion(made.value), made.position))
    }

    async fn withdraw_promotion(&self, request: Request<proto::WithdrawPromotionRequest>) -> Reply<proto::Promotion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: PromotionName = field("name", &request.name)?;
        chars("comment", &request.comment, COMMENT_CHARS_MAX)?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.withdraw_promotion(&call, &name, &request.comment).await.map_err(refuse)?;
        Ok(ctx.reply(answer::promotion(made.value), made.position))
    }

    async fn complete_promotion(&self, request: Request<proto::CompletePromotionRequest>) -> Reply<proto::Promotion> {
        let (ctx, request) = Ctx::accept(request)?;
        let name: PromotionName = field("name", &request.name)?;
        self.app.guard_promotion(&ctx, &name).await?;
        let call = Call::of(&ctx, &request.request_id);
        let made = self.app.complete_promotion(&call, &name).await.map_err(refuse)?;
        Ok(ctx.reply(answer::promotion(made.value), made.position))
    }

    async fn bypass_promotion(&self, request: Request<proto::BypassPromotionRequest>) -> Reply<proto::PromotionBypass> {
        let (ctx, request) = Ctx::accept(request)?;
        let model: ModelName = field("name", &request.name)?;
        if request.justification.trim().is_empty() {
            return Err(invalid("justification", "must be said"));
        }
        chars("justification", &request.justification, COMMENT_CHARS_MAX)?;
        let moves = moves(request.moves)?;
        let asked = (ctx.method().permission.as_str(), model.name());
        self.app.guard_moves(&ctx, asked, &model, Way::Bypass, &moves).await?;
        let call = Call::of(&ctx, &request.request_id);
        let moved = self.app.bypass_promotion(&call, &model, moves.clone(), &request.justification).await;
        let answer = proto::PromotionBypass {
            model: model.to_string(),
            moves: encode_moves(&moves),
            justification: request.justification,
        };
        Ok(ctx.reply(answer, moved.map_err(refuse)?))
    }

    async fn get_promotion_policy(
        &self,
        request: Request<proto::GetPromotionPolicyRequest>,
    ) -> Reply<proto::PromotionPolicy> {
        self.policy(request).await
    }

    async fn update_promotion_policy(
        &self,
        request: Request<proto::UpdatePromotionPolicyRequest>,
    ) -> Reply<proto::PromotionPolicy> {
        self.set_policy(request).await
    }
}

fn state(state: proto::PromotionState) -> Option<PromotionState> {
    match state {
        proto::PromotionState::Unspecified => None,
        proto::PromotionState::Pending => Some(PromotionState::Pending),
        proto::PromotionState::Completed => Some(PromotionState::Completed),
        proto::PromotionState::Rejected => Some(PromotionState::Rejected),
        proto::PromotionState::Withdrawn => Some(PromotionState::Withdrawn),
        proto::PromotionState::Expired => Some(PromotionState::Expired),
    }
}
