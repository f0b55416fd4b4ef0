use cairn_contract::cairn::registry::events::v1 as proto;
use cairn_eventstore::Recorded;
use prost::Message;
use rusqlite::{Connection, params};

use super::revision;
use crate::model::ModelName;
use crate::model::registered::{Change, Event};

pub(super) fn apply(tx: &Connection, recorded: &Recorded, event: &Event) -> rusqlite::Result<()> {
    let name = &event.model;
    match &event.change {
        Change::TermsSet { .. } => remember_policy(tx, recorded, name.project(), name.model()),
        Change::Requested { promotion, requester, comment, expire_time, request_time, .. } => {
            tx.prepare_cached(
                "INSERT INTO promotion (project, model, promotion, moves, state, requester, comment, create_us,
                   expire_us, ender, end_comment, etag)
                 VALUES (?1, ?2, ?3, ?4, 'PENDING', ?5, ?6, ?7, ?8, '', '', ?9)",
            )?
            .execute(params![
                name.project(),
                name.model(),
                promotion,
                kept(&recorded.payload),
                requester,
                comment,
                request_time.micros(),
                expire_time.micros(),
                revision(recorded),
            ])?;
            Ok(())
        }
        Change::Approved { promotion, approver, role, comment, .. } => {
            tx.prepare_cached(
                "INSERT OR IGNORE INTO approval (promotion, approver, role, comment, approve_us)
                 SELECT id, ?4, ?5, ?6, ?7 FROM promotion WHERE project = ?1 AND model = ?2 AND promotion = ?3",
            )?
            .execute(params![
                name.project(),
                name.model(),
                promotion,
                approver,
                role,
                comment,
                recorded.time.micros()
            ])?;
            touch(tx, name, promotion, recorded)
        }
        Change::Rejected { promotion, principal, comment } => {
            end(tx, name, promotion, recorded, "REJECTED", principal, comment)
        }
        Change::Withdrawn { promotion, principal, comment } => {
            end(tx, name, promotion, recorded, "WITHDRAWN", principal, comment)
        }
        Change::Completed { promotion, principal, .. } => {
            end(tx, name, promotion, recorded, "COMPLETED", principal, "")
        }
        _ => Ok(()),
    }
}

/// Who set a policy and when. What it says, the stream's state has.
pub(super) fn remember_policy(
    tx: &Connection,
    recorded: &Recorded,
    project: &str,
    model: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO policy (project, model, create_us, update_us, setter, etag) VALUES (?1, ?2, ?3, ?3, ?4, ?5)
         ON CONFLICT (project, model) DO UPDATE SET update_us = ?3, setter = ?4, etag = ?5",
    )?
    .execute(params![
        project,
        model,
        recorded.time.micros(),
        recorded.metadata().principal,
        revision(recorded)
    ])?;
    Ok(())
}

/// What was asked for, and under which terms.
fn kept(payload: &[u8]) -> Vec<u8> {
    let message = proto::PromotionRequested::decode(payload).unwrap_or_default();
    let moves = message.moves;
    proto::PromotionRequested { moves, terms: message.terms, ..proto::PromotionRequested::default() }.encode_to_vec()
}

fn touch(tx: &Connection, name: &ModelName, promotion: &str, recorded: &Recorded) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE promotion SET etag = ?4 WHERE project = ?1 AND model = ?2 AND promotion = ?3")?
        .execute(params![name.project(), name.model(), promotion, revision(recorded)])?;
    Ok(())
}

fn end(
    tx: &Connection,
    name: &ModelName,
    promotion: &str,
    recorded: &Recorded,
    state: &str,
    principal: &str,
    comment: &str,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE promotion SET state = ?4, end_us = ?5, ender = ?6, end_comment = ?7
         WHERE project = ?1 AND model = ?2 AND promotion = ?3",
    )?
    .execute(params![
        name.project(),
        name.model(),
        promotion,
        state,
        recorded.time.micros(),
        principal,
        comment
    ])?;
    touch(tx, name, promotion, recorded)
}
