use bytes::Bytes;
use cairn_contract::cairn::auth::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use prost::Message;

use super::{kinds, name, read};
use crate::model::trust_rule::{Change, Event, Terms};
use crate::model::{ServiceAccountName, Text, TrustRule, TrustRuleName};

kinds! {
    CREATED = TrustRuleCreated;
    DELETED = TrustRuleDeleted;
}

impl Stored for TrustRule {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let trust_rule = event.trust_rule.to_string();
        let (kind, bytes) = match &event.change {
            Change::Created(terms) => {
                let message = proto::TrustRuleCreated {
                    trust_rule,
                    service_account: terms.service_account.to_string(),
                    title: terms.title.as_str().to_owned(),
                    issuer: terms.issuer.clone(),
                    audience: terms.audience.clone(),
                    claims: terms.claims.clone(),
                    scopes: terms.scopes.iter().map(ToString::to_string).collect(),
                };
                (CREATED, message.encode_to_vec())
            }
            Change::Deleted => (DELETED, proto::TrustRuleDeleted { trust_rule }.encode_to_vec()),
        };
        (kind, bytes.into())
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (trust_rule, change) = match kind {
            CREATED => {
                let event: proto::TrustRuleCreated = read(payload)?;
                let scopes: Result<Vec<_>, _> = event.scopes.iter().map(|scope| name(kind, scope)).collect();
                let terms = Terms {
                    service_account: ServiceAccountName::stored(event.service_account),
                    title: Text::stored(event.title),
                    issuer: event.issuer,
                    audience: event.audience,
                    claims: event.claims,
                    scopes: scopes?,
                };
                (event.trust_rule, Change::Created(terms))
            }
            DELETED => (read::<proto::TrustRuleDeleted>(payload)?.trust_rule, Change::Deleted),
            _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
        };
        Ok(Event { trust_rule: TrustRuleName::stored(trust_rule), change })
    }
}
