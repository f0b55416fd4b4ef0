//! What comes into use, told to guardrails before it is asked for: they hear of every way in which an alias or a stage can
//! move, by hand too.

use std::collections::BTreeSet;

use cairn_access::guardrail::{Known, Moving};
use cairn_kernel::Name;
use cairn_service::{Ctx, Refusal, refuse};
use tokio::time::Instant;
use tonic::Status;

use super::App;
use crate::model::{ModelName, Move, Number, PromotionName, Target};

/// How something moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By somebody alone. What is protected does not move so, and takes a promotion.
    ByHand,
    /// By a promotion.
    Promotion,
    /// Without the promotion that it would take.
    Bypass,
}

impl App {
    /// Asks guardrails whether the caller may do this to what moves: `permission` on `resource`.
    pub async fn guard_moves(
        &self,
        ctx: &Ctx,
        (permission, resource): (&str, &Name),
        model: &ModelName,
        way: Way,
        moves: &[Move],
    ) -> Result<(), Status> {
        let versions = moves.iter().map(|step| step.version).collect();
        let targets: Vec<Target> = moves.iter().map(|step| step.target.clone()).collect();
        self.guard_targets(ctx, (permission, resource), model, way, (versions, &targets)).await
    }

    /// The same for targets alone, where what they are taken from does not matter.
    pub async fn guard_targets(
        &self,
        ctx: &Ctx,
        (permission, resource): (&str, &Name),
        model: &ModelName,
        way: Way,
        (versions, targets): (BTreeSet<Number>, &[Target]),
    ) -> Result<(), Status> {
        let mut moving = self.moving(ctx.deadline(), model, way, &versions, targets).await.map_err(refuse)?;
        moving.authors.insert(ctx.principal().name.clone());
        ctx.guard(permission, resource, &Known::moving(moving))
    }

    /// Asks guardrails whether the caller may do this to a promotion.
    pub async fn guard_promotion(&self, ctx: &Ctx, name: &PromotionName) -> Result<(), Status> {
        let known = self.promoting(ctx.deadline(), name).await.map_err(refuse)?;
        ctx.guard(&ctx.method().permission, name.name(), &known)
    }

    async fn moving(
        &self,
        deadline: Instant,
        model: &ModelName,
        way: Way,
        versions: &BTreeSet<Number>,
        targets: &[Target],
    ) -> Result<Moving, Refusal> {
        self.reached(self.head(), deadline).await?;
        let (state, default) = self.load(&self.present(), model).await?;
        let terms = state.terms_in_force(default.as_ref());
        let approvals_required = match way {
            Way::Promotion => terms.approvals,
            Way::ByHand if targets.iter().all(|target| terms.protects(target)) => terms.approvals,
            Way::ByHand | Way::Bypass => 0,
        };
        let authors = self.creators(model, versions).await?;
        Ok(Moving { authors, approvals_required, ..named(targets) })
    }

    async fn promoting(&self, deadline: Instant, name: &PromotionName) -> Result<Known, Refusal> {
        // Whatever is in the log shows: what is not found then is not there, and the command says so.
        self.reached(self.head(), deadline).await?;
        let Some(record) = self.inner.query.promotion(name, self.inner.clock.now()).await? else {
            return Ok(Known::default());
        };
        let targets: Vec<Target> = record.moves.iter().map(|step| step.target.clone()).collect();
        let versions = record.moves.iter().map(|step| step.version).collect();
        let mut authors = self.creators(&name.parent(), &versions).await?;
        authors.insert(record.requester.clone());
        Ok(Known::moving(Moving {
            authors,
            approvers: record.approvals.iter().map(|approval| approval.approver.clone()).collect(),
            approvals_required: record.terms.approvals,
            ..named(&targets)
        }))
    }

    /// Who registered versions.
    async fn creators(&self, model: &ModelName, versions: &BTreeSet<Number>) -> Result<BTreeSet<String>, Refusal> {
        let mut creators = BTreeSet::new();
        for number in versions {
            let found = self.inner.query.version(&model.version(*number)).await?;
            creators.extend(found.map(|version| version.creator));
        }
        Ok(creators)
    }
}

/// The stages and aliases among targets.
fn named(targets: &[Target]) -> Moving {
    let mut moving = Moving::default();
    for target in targets {
        match target {
            Target::Stage(stage) => moving.stages.insert(stage.as_str().to_lowercase()),
            Target::Alias(alias) => moving.aliases.insert(alias.to_string()),
        };
    }
    moving
}
