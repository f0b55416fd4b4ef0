use cairn_contract::cairn::registry::events::v1::{
    PromotionApproved, PromotionCompleted, PromotionRejected, PromotionRequested, PromotionWithdrawn,
};
use cairn_contract::cairn::registry::v1::{PromotionTerms, Stage, promotion_move::Target};
use serde::{Deserialize, Serialize};

use super::StoryFault;
use crate::event::Event;

/// What was asked for, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    pub name: String,
    pub model: String,
    pub requester: String,
    pub request_time: String,
    pub comment: String,
    pub moves: Vec<Move>,
    /// PENDING (as far as the events go), COMPLETED, REJECTED or WITHDRAWN.
    pub state: String,
    /// When it ended, and by whom. Empty: it had not.
    pub end_time: String,
    pub ender: String,
    /// How many had to agree.
    pub approvals_required: u32,
    /// Whose agreement counted. Empty: managers' and administrators'.
    pub approver_roles: Vec<String>,
    pub approvals: Vec<Approval>,
}

/// What the log tells of a request, for the rules.
pub(super) struct Asked {
    pub request: PromotionRequested,
    pub position: u64,
}

/// A version, and what it was to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    pub version: u32,
    /// `alias champion` or `stage PRODUCTION`.
    pub target: String,
}

/// Somebody's yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub approver: String,
    /// The role it counted for, and where the log tells that it was given.
    pub role: String,
    pub role_position: u64,
    pub comment: String,
    pub time: String,
    pub position: u64,
    /// The access decision that let them.
    pub decision_id: String,
}

impl Promotion {
    pub(super) fn of(name: &str, events: &[Event]) -> Result<(Self, Asked), StoryFault> {
        let model = name.split_once("/promotions/").map(|(model, _)| model.to_owned());
        let model = model.ok_or_else(|| StoryFault::Name(name.to_owned()))?;
        let stream = format!("registry.model-{model}");
        let told = || events.iter().filter(|event| event.stream == stream);
        let requested = told().find_map(|event| {
            event.message::<PromotionRequested>().filter(|asked| asked.promotion == name).map(|asked| (event, asked))
        });
        let (event, request) = requested.ok_or_else(|| StoryFault::Unknown(name.to_owned()))?;
        let terms = request.terms.clone().unwrap_or_default();
        let mut promotion = Self {
            name: name.to_owned(),
            model,
            requester: request.requester.clone(),
            request_time: event.time.clone(),
            comment: request.comment.clone(),
            moves: request.moves.iter().map(Move::from).collect(),
            state: "PENDING".into(),
            end_time: String::new(),
            ender: String::new(),
            approvals_required: required(&terms),
            approver_roles: terms.approver_roles,
            approvals: vec![],
        };
        told().for_each(|event| promotion.hear(event));
        Ok((promotion, Asked { request, position: event.position }))
    }

    fn hear(&mut self, event: &Event) {
        if let Some(approved) = event.message::<PromotionApproved>().filter(|told| told.promotion == self.name) {
            self.approvals.push(Approval {
                approver: approved.approver,
                role: approved.role,
                role_position: approved.role_position,
                comment: approved.comment,
                time: event.time.clone(),
                position: event.position,
                decision_id: event.decision_id.clone(),
            });
        }
        let completed = event.message::<PromotionCompleted>().map(|told| (told.promotion, told.principal, "COMPLETED"));
        let rejected = || event.message::<PromotionRejected>().map(|told| (told.promotion, told.principal, "REJECTED"));
        let withdrawn =
            || event.message::<PromotionWithdrawn>().map(|told| (told.promotion, told.principal, "WITHDRAWN"));
        if let Some((promotion, principal, state)) = completed.or_else(rejected).or_else(withdrawn)
            && promotion == self.name
        {
            self.state = state.to_owned();
            self.ender = principal;
            self.end_time = event.time.clone();
        }
    }
}

impl From<&cairn_contract::cairn::registry::v1::PromotionMove> for Move {
    fn from(step: &cairn_contract::cairn::registry::v1::PromotionMove) -> Self {
        let target = match &step.target {
            Some(Target::Alias(alias)) => format!("alias {alias}"),
            Some(Target::Stage(stage)) => {
                let stage = Stage::try_from(*stage).unwrap_or_default().as_str_name();
                format!("stage {}", stage.trim_start_matches("STAGE_"))
            }
            None => String::new(),
        };
        Self { version: step.version, target }
    }
}

/// One, unless the policy says otherwise.
fn required(terms: &PromotionTerms) -> u32 {
    terms.approvals_required.max(1)
}
