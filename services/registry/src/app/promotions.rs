use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_eventstore::CommandFault;
use cairn_kernel::{Expected, Position};
use cairn_service::Refusal;
use uuid::Uuid;

use super::{App, Call, Made, Reading, refused};
use crate::model::registered::{Command, Rejection};
use crate::model::signing::Trust;
use crate::model::version::Facts;
use crate::model::{Approver, Evidence, ModelName, Move, Number, PromotionName, Terms, Unmet, Version};
use crate::query::{PromotionRecord, PromotionState};

/// Namespace of promotion ids.
const PROMOTIONS: Uuid = Uuid::from_u128(0x6361_6972_6e00_5000_8000_7072_6f6d_6f74);

/// What versions are, by their numbers.
type VersionFacts = Arc<BTreeMap<Number, Arc<Facts>>>;

/// A promotion, and what it still lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct PromotionStatus {
    pub record: PromotionRecord,
    /// Empty once it has ended.
    pub unmet: Vec<Unmet>,
}

impl App {
    /// Asks that versions take aliases or stages. Who asks for the same again, while it waits, gets the same promotion.
    pub async fn request_promotion(
        &self,
        call: &Call,
        model: &ModelName,
        moves: Vec<Move>,
        comment: &str,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let id = call.id(PROMOTIONS).simple().to_string();
        let (requester, now) = (call.principal().to_owned(), self.inner.clock.now());
        // Everything that was given before this moment is in the log before it.
        let roles_position = self.head();
        let command = |default| Command::Request {
            promotion: id.clone(),
            moves: moves.clone(),
            requester: requester.clone(),
            comment: comment.to_owned(),
            default,
            roles_position,
            now,
        };
        let (state, position) = self.command(call, model, Expected::Any, command).await?;
        let id = state.asked(&moves, &requester, now).unwrap_or(&id);
        let name = model.promotion(id)?;
        self.made_promotion(call, &name, position).await
    }

    /// A promotion with what it still lacks.
    pub async fn promotion(&self, call: &Call, name: &PromotionName) -> Result<PromotionStatus, Refusal> {
        let reading = self.reading(call).await?;
        let found = reading.query.promotion(name, reading.now).await?;
        let record = found.ok_or_else(|| {
            let refusal = Refusal::of(&Rejection::PromotionNotFound(name.promotion().to_owned()));
            refusal.with("model", name.parent())
        })?;
        self.status(&reading, record).await
    }

    /// What a promotion still lacks.
    pub async fn status(&self, reading: &Reading, record: PromotionRecord) -> Result<PromotionStatus, Refusal> {
        let unmet = match record.state {
            PromotionState::Pending => {
                let model = record.name.parent();
                let (state, default) = self.load(reading, &model).await?;
                let trust = match record.terms.needs_signature {
                    true => self.trust_in(reading, &model).await?,
                    false => Trust::default(),
                };
                let evidence = Evidence { facts: self.facts(reading, &model, &record.moves).await?, trust };
                let open = state.promotion(record.name.promotion());
                open.map(|open| state.unmet(open, &evidence, default.as_ref(), reading.now)).unwrap_or_default()
            }
            _ => vec![],
        };
        Ok(PromotionStatus { record, unmet })
    }

    /// Approves a promotion, and carries it out if that was the last thing it needed.
    pub async fn approve_promotion(
        &self,
        call: &Call,
        name: &PromotionName,
        approver: Approver,
        comment: &str,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let facts = self.facts_for(name).await?;
        let now = self.inner.clock.now();
        let command = |default, trust| Command::Approve {
            promotion: name.promotion().to_owned(),
            approver: approver.clone(),
            comment: comment.to_owned(),
            evidence: Evidence { facts: Arc::clone(&facts), trust },
            default,
            now,
        };
        self.decide_on(call, name, command).await
    }

    /// Rejects a promotion.
    pub async fn reject_promotion(
        &self,
        call: &Call,
        name: &PromotionName,
        comment: &str,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let (principal, now) = (call.principal().to_owned(), self.inner.clock.now());
        let command = |_| Command::Reject {
            promotion: name.promotion().to_owned(),
            principal: principal.clone(),
            comment: comment.to_owned(),
            now,
        };
        self.act_on(call, name, command).await
    }

    /// Takes a promotion back, by who asked for it.
    pub async fn withdraw_promotion(
        &self,
        call: &Call,
        name: &PromotionName,
        comment: &str,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let (principal, now) = (call.principal().to_owned(), self.inner.clock.now());
        let command = |_| Command::Withdraw {
            promotion: name.promotion().to_owned(),
            principal: principal.clone(),
            comment: comment.to_owned(),
            now,
        };
        self.act_on(call, name, command).await
    }

    /// Carries out a promotion whose last condition was none of approval.
    pub async fn complete_promotion(
        &self,
        call: &Call,
        name: &PromotionName,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let facts = self.facts_for(name).await?;
        let (principal, now) = (call.principal().to_owned(), self.inner.clock.now());
        let command = |default, trust| Command::Complete {
            promotion: name.promotion().to_owned(),
            principal: principal.clone(),
            evidence: Evidence { facts: Arc::clone(&facts), trust },
            default,
            now,
        };
        self.decide_on(call, name, command).await
    }

    /// Moves without a promotion.
    pub async fn bypass_promotion(
        &self,
        call: &Call,
        model: &ModelName,
        moves: Vec<Move>,
        justification: &str,
    ) -> Result<Position, Refusal> {
        let principal = call.principal().to_owned();
        let command = |_| Command::Bypass {
            moves: moves.clone(),
            principal: principal.clone(),
            justification: justification.to_owned(),
        };
        let (_, position) = self.command(call, model, Expected::Any, command).await?;
        self.reached(position, call.deadline).await?;
        Ok(position)
    }

    /// What the versions of a promotion are. That never changes, so it needs no witness.
    async fn facts_for(&self, name: &PromotionName) -> Result<VersionFacts, Refusal> {
        let (model, reading) = (name.parent(), self.present());
        let (state, _) = self.load(&reading, &model).await?;
        state.name().map_err(|rejection| refused(CommandFault::Rejected(rejection), &model))?;
        match state.promotion(name.promotion()) {
            Some(open) => self.facts(&reading, &model, &open.moves).await,
            // The command says why there are none.
            None => Ok(VersionFacts::default()),
        }
    }

    async fn facts(&self, reading: &Reading, model: &ModelName, moves: &[Move]) -> Result<VersionFacts, Refusal> {
        let mut facts = BTreeMap::new();
        for step in moves {
            let version = self.state::<Version>(reading, &model.version(step.version).stream()).await?;
            facts.insert(step.version, Arc::clone(&version.facts));
        }
        Ok(Arc::new(facts))
    }

    /// Carries out a command that may let a promotion happen, and gives what became of it.
    ///
    /// INVARIANT: whose signatures count is witnessed, so nothing moves by a key that is taken back meanwhile.
    async fn decide_on(
        &self,
        call: &Call,
        name: &PromotionName,
        command: impl Fn(Option<Arc<Terms>>, Trust) -> Command + Clone + Send + Sync,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let model = name.parent();
        let policies = model.signing_scopes();
        let (_, position) = self.command_trusting(call, &model, Expected::Any, &policies, command).await?;
        self.made_promotion(call, name, position).await
    }

    /// Carries out a command on a promotion that waits, and gives what became of it.
    async fn act_on(
        &self,
        call: &Call,
        name: &PromotionName,
        command: impl Fn(Option<Arc<Terms>>) -> Command + Clone + Send + Sync,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        let (_, position) = self.command(call, &name.parent(), Expected::Any, command).await?;
        self.made_promotion(call, name, position).await
    }

    async fn made_promotion(
        &self,
        call: &Call,
        name: &PromotionName,
        position: Position,
    ) -> Result<Made<PromotionStatus>, Refusal> {
        self.reached(position, call.deadline).await?;
        Ok(Made { value: self.promotion(call, name).await?, position })
    }
}
