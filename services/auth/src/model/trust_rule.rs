use std::collections::BTreeMap;

use cairn_kernel::{Aggregate, Name};

use super::{Rejection, ServiceAccountName, TITLE_CHARS_MAX, Text, TrustRuleName};

/// Which workloads elsewhere are a service account here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustRule {
    terms: Option<Terms>,
    is_deleted: bool,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub service_account: ServiceAccountName,
    pub title: Text<TITLE_CHARS_MAX>,
    pub issuer: String,
    pub audience: String,
    /// What a token must say, exactly.
    pub claims: BTreeMap<String, String>,
    /// Empty: not narrowed.
    pub scopes: Vec<Name>,
}

/// What may be asked of a rule.
#[derive(Clone, Debug)]
pub struct Command {
    pub trust_rule: TrustRuleName,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Create(Terms),
    Delete,
}

/// What happened to a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub trust_rule: TrustRuleName,
    pub change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Created(Terms),
    Deleted,
}

impl Aggregate for TrustRule {
    const CATEGORY: &'static str = "auth.trust_rule";
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(&self, Command { trust_rule, act }: Command) -> Result<Vec<Event>, Rejection> {
        let change = match (act, &self.terms) {
            (Act::Create(terms), None) => Change::Created(terms),
            // Ids are made here, so whoever finds one taken is repeating.
            (Act::Create(_), Some(_)) => return Ok(vec![]),
            (Act::Delete, None) => return Err(Rejection::TrustRuleNotFound(trust_rule)),
            (Act::Delete, Some(_)) if self.is_deleted => return Ok(vec![]),
            (Act::Delete, Some(_)) => Change::Deleted,
        };
        Ok(vec![Event { trust_rule, change }])
    }

    fn evolve(&mut self, event: &Event) {
        match &event.change {
            Change::Created(terms) => self.terms = Some(terms.clone()),
            Change::Deleted => self.is_deleted = true,
        }
    }
}
