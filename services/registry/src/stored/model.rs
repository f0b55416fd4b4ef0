use cairn_service::timestamp;
use std::sync::Arc;

use bytes::Bytes;
use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::{DecodeFault, Stored};
use cairn_kernel::Position;
use prost::Message;

use super::signing::{decode_counted, encode_counted};
use super::{kinds, malformed, name, read, terms};
use crate::convert::from_timestamp;
use crate::model::registered::{Change, Event};
use crate::model::{Alias, Model, ModelName, Number, Origin, PromotionName};

kinds! {
    CREATED = ModelCreated;
    IMPORTED = ModelImported;
    RENAMED = ModelRenamed;
    DESCRIBED = ModelDescribed;
    TAGS_SET = ModelTagsSet;
    TAGS_DELETED = ModelTagsDeleted;
    DELETED = ModelDeleted;
    NUMBERED = VersionNumbered;
    VERSION_DELETED = VersionDeleted;
    ALIAS_MOVED = AliasMoved;
    ALIAS_REMOVED = AliasRemoved;
    STAGE_MOVED = StageMoved;
    TERMS_SET = PromotionPolicySet;
    REQUESTED = PromotionRequested;
    APPROVED = PromotionApproved;
    REJECTED = PromotionRejected;
    WITHDRAWN = PromotionWithdrawn;
    COMPLETED = PromotionCompleted;
    BYPASSED = PromotionBypassed;
}

impl Stored for Model {
    fn encode(event: &Event) -> (&'static str, Bytes) {
        let model = event.model.to_string();
        let named = |promotion: &str| format!("{model}/promotions/{promotion}");
        match event.change.clone() {
            Change::Created { display_name, description, tags } => {
                let message = proto::ModelCreated { model, display_name, description, tags };
                (CREATED, message.encode_to_vec().into())
            }
            Change::Imported(Origin { source, create_time }) => {
                let create_time = Some(timestamp(create_time));
                (IMPORTED, proto::ModelImported { model, source, create_time }.encode_to_vec().into())
            }
            Change::Renamed { from, to } => {
                let message = proto::ModelRenamed { model, from_display_name: from, to_display_name: to };
                (RENAMED, message.encode_to_vec().into())
            }
            Change::Described(description) => {
                (DESCRIBED, proto::ModelDescribed { model, description }.encode_to_vec().into())
            }
            Change::TagsSet(tags) => (TAGS_SET, proto::ModelTagsSet { model, tags }.encode_to_vec().into()),
            Change::TagsDeleted(keys) => (TAGS_DELETED, proto::ModelTagsDeleted { model, keys }.encode_to_vec().into()),
            Change::Deleted => (DELETED, proto::ModelDeleted { model }.encode_to_vec().into()),
            Change::Numbered { version, request } => {
                let message = proto::VersionNumbered { model, version: version.0, request_key: request };
                (NUMBERED, message.encode_to_vec().into())
            }
            Change::VersionDeleted(Number(version)) => {
                (VERSION_DELETED, proto::VersionDeleted { model, version }.encode_to_vec().into())
            }
            Change::AliasMoved { alias, from, to } => {
                let from_version = from.map(|number| number.0);
                let message = proto::AliasMoved { model, alias: alias.to_string(), from_version, to_version: to.0 };
                (ALIAS_MOVED, message.encode_to_vec().into())
            }
            Change::AliasRemoved { alias, version } => {
                let message = proto::AliasRemoved { model, alias: alias.to_string(), version: version.0 };
                (ALIAS_REMOVED, message.encode_to_vec().into())
            }
            Change::StageMoved { version, from, to } => {
                let message = proto::StageMoved {
                    model,
                    version: version.0,
                    from_stage: terms::stage_number(from),
                    to_stage: terms::stage_number(to),
                };
                (STAGE_MOVED, message.encode_to_vec().into())
            }
            Change::TermsSet { terms: set, is_relaxed } => {
                let message =
                    proto::PromotionPolicySet { model, terms: Some(terms::encode(&set)), relaxed: is_relaxed };
                (TERMS_SET, message.encode_to_vec().into())
            }
            Change::Requested {
                promotion,
                moves,
                requester,
                comment,
                terms: needed,
                roles_position,
                request_time,
                expire_time,
            } => {
                let message = proto::PromotionRequested {
                    promotion: named(&promotion),
                    moves: terms::encode_moves(&moves),
                    requester,
                    comment,
                    terms: Some(terms::encode(&needed)),
                    roles_position: roles_position.0,
                    request_time: Some(timestamp(request_time)),
                    expire_time: Some(timestamp(expire_time)),
                };
                (REQUESTED, message.encode_to_vec().into())
            }
            Change::Approved { promotion, approver, role, role_position, comment } => {
                let promotion = named(&promotion);
                let role_position = role_position.0;
                let message = proto::PromotionApproved { promotion, approver, role, role_position, comment };
                (APPROVED, message.encode_to_vec().into())
            }
            Change::Rejected { promotion, principal, comment } => {
                let message = proto::PromotionRejected { promotion: named(&promotion), principal, comment };
                (REJECTED, message.encode_to_vec().into())
            }
            Change::Withdrawn { promotion, principal, comment } => {
                let message = proto::PromotionWithdrawn { promotion: named(&promotion), principal, comment };
                (WITHDRAWN, message.encode_to_vec().into())
            }
            Change::Completed { promotion, principal, signatures } => {
                let signatures = signatures.iter().map(encode_counted).collect();
                let message = proto::PromotionCompleted { promotion: named(&promotion), principal, signatures };
                (COMPLETED, message.encode_to_vec().into())
            }
            Change::Bypassed { moves, principal, justification } => {
                let moves = terms::encode_moves(&moves);
                let message = proto::PromotionBypassed { model, moves, principal, justification };
                (BYPASSED, message.encode_to_vec().into())
            }
        }
    }

    fn decode(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
        let (model, change) = match kind {
            CREATED => {
                let proto::ModelCreated { model, display_name, description, tags } = read(payload)?;
                (model, Change::Created { display_name, description, tags })
            }
            IMPORTED => {
                let proto::ModelImported { model, source, create_time } = read(payload)?;
                let create_time = create_time.as_ref().map(from_timestamp).unwrap_or_default();
                (model, Change::Imported(Origin { source, create_time }))
            }
            RENAMED => {
                let proto::ModelRenamed { model, from_display_name, to_display_name } = read(payload)?;
                (model, Change::Renamed { from: from_display_name, to: to_display_name })
            }
            DESCRIBED => {
                let proto::ModelDescribed { model, description } = read(payload)?;
                (model, Change::Described(description))
            }
            TAGS_SET => {
                let proto::ModelTagsSet { model, tags } = read(payload)?;
                (model, Change::TagsSet(tags))
            }
            TAGS_DELETED => {
                let proto::ModelTagsDeleted { model, keys } = read(payload)?;
                (model, Change::TagsDeleted(keys))
            }
            DELETED => (read::<proto::ModelDeleted>(payload)?.model, Change::Deleted),
            NUMBERED => {
                let proto::VersionNumbered { model, version, request_key } = read(payload)?;
                (model, Change::Numbered { version: Number(version), request: request_key })
            }
            VERSION_DELETED => {
                let proto::VersionDeleted { model, version } = read(payload)?;
                (model, Change::VersionDeleted(Number(version)))
            }
            ALIAS_MOVED => {
                let proto::AliasMoved { model, alias, from_version, to_version } = read(payload)?;
                let (from, to) = (from_version.map(Number), Number(to_version));
                (model, Change::AliasMoved { alias: Alias::stored(alias), from, to })
            }
            ALIAS_REMOVED => {
                let proto::AliasRemoved { model, alias, version } = read(payload)?;
                (model, Change::AliasRemoved { alias: Alias::stored(alias), version: Number(version) })
            }
            STAGE_MOVED => {
                let proto::StageMoved { model, version, from_stage, to_stage } = read(payload)?;
                let (from, to) = (terms::stage(from_stage), terms::stage(to_stage));
                (model, Change::StageMoved { version: Number(version), from, to })
            }
            TERMS_SET => {
                let proto::PromotionPolicySet { model, terms: set, relaxed } = read(payload)?;
                let terms = Arc::new(terms::decode(set.unwrap_or_default()));
                (model, Change::TermsSet { terms, is_relaxed: relaxed })
            }
            BYPASSED => {
                let proto::PromotionBypassed { model, moves, principal, justification } = read(payload)?;
                (model, Change::Bypassed { moves: terms::decode_moves(moves), principal, justification })
            }
            _ => return of_promotion(kind, payload),
        };
        Ok(Event { model: name::<ModelName>(kind, &model)?, change })
    }
}

/// The events that name a promotion.
fn of_promotion(kind: &str, payload: &[u8]) -> Result<Event, DecodeFault> {
    let id = |text: &str| -> Result<(ModelName, String), DecodeFault> {
        let name: PromotionName = name(kind, text)?;
        Ok((name.parent(), name.promotion().to_owned()))
    };
    let (model, change) = match kind {
        REQUESTED => {
            let message: proto::PromotionRequested = read(payload)?;
            let (model, promotion) = id(&message.promotion)?;
            let time = |time: Option<prost_types::Timestamp>| {
                time.as_ref().map(from_timestamp).ok_or_else(|| malformed(kind, "it has no time"))
            };
            let change = Change::Requested {
                promotion,
                moves: terms::decode_moves(message.moves),
                requester: message.requester,
                comment: message.comment,
                terms: Arc::new(terms::decode(message.terms.unwrap_or_default())),
                roles_position: Position(message.roles_position),
                request_time: time(message.request_time)?,
                expire_time: time(message.expire_time)?,
            };
            (model, change)
        }
        APPROVED => {
            let message: proto::PromotionApproved = read(payload)?;
            let (model, promotion) = id(&message.promotion)?;
            let proto::PromotionApproved { approver, role, role_position, comment, .. } = message;
            let role_position = Position(role_position);
            (model, Change::Approved { promotion, approver, role, role_position, comment })
        }
        REJECTED => {
            let proto::PromotionRejected { promotion, principal, comment } = read(payload)?;
            let (model, promotion) = id(&promotion)?;
            (model, Change::Rejected { promotion, principal, comment })
        }
        WITHDRAWN => {
            let proto::PromotionWithdrawn { promotion, principal, comment } = read(payload)?;
            let (model, promotion) = id(&promotion)?;
            (model, Change::Withdrawn { promotion, principal, comment })
        }
        COMPLETED => {
            let proto::PromotionCompleted { promotion, principal, signatures } = read(payload)?;
            let (model, promotion) = id(&promotion)?;
            let signatures = signatures.into_iter().map(|counted| decode_counted(kind, counted));
            let signatures = signatures.collect::<Result<_, _>>()?;
            (model, Change::Completed { promotion, principal, signatures })
        }
        _ => return Err(DecodeFault::UnknownKind(kind.to_owned())),
    };
    Ok(Event { model, change })
}

#[cfg(test)]
mod tests {
    use cairn_kernel::Revision;

    use super::*;
    use crate::model::{CountedSignature, PolicyScope};

    #[test]
    fn a_promotions_event_leads_back_to_its_model() {
        let model: ModelName = "projects/p/models/m".parse().unwrap();
        let counted = |version, trusted_by| CountedSignature {
            version: Number(version),
            fingerprint: "f".into(),
            trusted_by,
            policy_revision: Revision(3),
        };
        let project = counted(1, PolicyScope::Project(model.parent()));
        for signatures in [vec![], vec![project, counted(2, PolicyScope::Model(model.clone()))]] {
            let change = Change::Completed { promotion: "1".into(), principal: "users/ada".into(), signatures };
            let event = Event { model: model.clone(), change };
            let (kind, payload) = Model::encode(&event);
            assert_eq!(Model::decode(kind, &payload).unwrap(), event);
        }
    }
}
