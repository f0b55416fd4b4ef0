use std::sync::Arc;

use cairn_contract::cairn::registry::events::v1::PromotionRequested;
use cairn_kernel::{Revision, Time};
use cairn_projection::QueryFault;
use cairn_search::{Column, SearchFault, Sql, after, fingerprint, marks, order_by, token};
use prost::Message;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Query, SearchError};
use crate::model::{ModelName, Move, PolicyScope, PromotionName, Terms};
use crate::stored::terms;

/// Where a promotion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromotionState {
    Pending,
    Completed,
    Rejected,
    Withdrawn,
    Expired,
}

/// A promotion as the read model has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PromotionRecord {
    pub name: PromotionName,
    pub moves: Vec<Move>,
    pub terms: Arc<Terms>,
    pub state: PromotionState,
    pub requester: String,
    pub comment: String,
    pub approvals: Vec<ApprovalRecord>,
    pub create_time: Time,
    pub expire_time: Time,
    pub end_time: Option<Time>,
    pub ender: String,
    pub end_comment: String,
    pub revision: Revision,
}

/// Somebody's yes.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalRecord {
    pub approver: String,
    pub role: String,
    pub comment: String,
    pub approve_time: Time,
}

/// A page of promotions.
#[derive(Clone, Debug, Default)]
pub struct PromotionPage {
    pub promotions: Vec<PromotionRecord>,
    /// Empty: there is no further page.
    pub next_page_token: String,
}

/// When a policy was set, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    pub create_time: Time,
    pub update_time: Time,
    pub setter: String,
    pub revision: Revision,
}

const COLUMNS: &str =
    "SELECT id, project, model, promotion, moves, state, requester, comment, create_us, expire_us, end_us,
  ender, end_comment, etag FROM promotion";

impl Query {
    /// A promotion by its name. `now` decides whether it still waits.
    pub async fn promotion(&self, name: &PromotionName, now: Time) -> Result<Option<PromotionRecord>, QueryFault> {
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(" WHERE project = ").bind(name.project().to_owned());
        sql.push(" AND model = ").bind(name.model().to_owned());
        sql.push(" AND promotion = ").bind(name.promotion().to_owned());
        self.ask(move |db| {
            let found = sql.rows(db, |row| Ok((row.get(0)?, record(row, now)?)))?;
            found.into_iter().next().map(|(id, record)| complete(db, id, record)).transpose()
        })
        .await
    }

    /// The promotions of a model, newest first.
    pub async fn promotions(
        &self,
        model: &ModelName,
        state: Option<PromotionState>,
        now: Time,
        limit: usize,
        page_token: &str,
    ) -> Result<PromotionPage, SearchError> {
        let fingerprint = fingerprint(&(model, state));
        let start = marks(&fingerprint, page_token)?;
        if start.as_ref().is_some_and(|marks| marks.len() != 2) {
            return Err(SearchFault::PageToken.into());
        }
        let columns = [Column::descending("create_us"), Column::descending("id")];
        let mut sql = Sql::default();
        sql.push(COLUMNS).push(" WHERE project = ").bind(model.project().to_owned());
        sql.push(" AND model = ").bind(model.model().to_owned());
        match state {
            None => {}
            Some(PromotionState::Pending) => {
                sql.push(" AND state = 'PENDING' AND expire_us > ").bind(now.micros());
            }
            Some(PromotionState::Expired) => {
                sql.push(" AND state = 'PENDING' AND expire_us <= ").bind(now.micros());
            }
            Some(state) => {
                sql.push(" AND state = ").bind(state.as_str().to_owned());
            }
        }
        if let Some(marks) = &start {
            after(&mut sql, &columns, marks);
        }
        order_by(&mut sql, &columns);
        sql.push(" LIMIT ").bind(limit as i64 + 1);
        let page = self
            .ask(move |db| {
                let mut found = sql.rows(db, |row| Ok((row.get::<_, i64>(0)?, record(row, now)?)))?;
                let has_more = found.len() > limit;
                found.truncate(limit);
                let next_page_token = match found.last() {
                    Some((id, last)) if has_more => {
                        token(&fingerprint, vec![Value::Integer(last.create_time.micros()), Value::Integer(*id)])
                    }
                    _ => String::new(),
                };
                let promotions = found.into_iter().map(|(id, record)| complete(db, id, record));
                Ok(PromotionPage { promotions: promotions.collect::<Result<_, _>>()?, next_page_token })
            })
            .await?;
        Ok(page)
    }

    /// When the policy of a project or model was set. `None`: never.
    pub async fn policy(&self, scope: &PolicyScope) -> Result<Option<PolicyRecord>, QueryFault> {
        let (project, model) = match scope {
            PolicyScope::Project(project) => (project.project().to_owned(), String::new()),
            PolicyScope::Model(model) => (model.project().to_owned(), model.model().to_owned()),
        };
        self.ask(move |db| {
            db.prepare_cached(
                "SELECT create_us, update_us, setter, etag FROM policy WHERE project = ?1 AND model = ?2",
            )?
            .query_row(params![project, model], |row| {
                Ok(PolicyRecord {
                    create_time: Time::from_micros(row.get(0)?),
                    update_time: Time::from_micros(row.get(1)?),
                    setter: row.get(2)?,
                    revision: Revision(row.get::<_, i64>(3)? as u64),
                })
            })
            .optional()
        })
        .await
    }
}

impl PromotionState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Rejected => "REJECTED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Expired => "EXPIRED",
        }
    }
}

fn record(row: &Row<'_>, now: Time) -> rusqlite::Result<PromotionRecord> {
    let [project, model, promotion]: [String; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
    let name = PromotionName::new(&project, &model, &promotion);
    let asked: Vec<u8> = row.get(4)?;
    let asked = PromotionRequested::decode(asked.as_slice())
        .map_err(|fault| rusqlite::Error::FromSqlConversionFailure(4, Type::Blob, fault.into()))?;
    let expire_time = Time::from_micros(row.get(9)?);
    let state = match row.get::<_, String>(5)?.as_str() {
        "COMPLETED" => PromotionState::Completed,
        "REJECTED" => PromotionState::Rejected,
        "WITHDRAWN" => PromotionState::Withdrawn,
        _ if now >= expire_time => PromotionState::Expired,
        _ => PromotionState::Pending,
    };
    Ok(PromotionRecord {
        name: name.map_err(|fault| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, fault.into()))?,
        moves: terms::decode_moves(asked.moves),
        terms: Arc::new(terms::decode(asked.terms.unwrap_or_default())),
        state,
        requester: row.get(6)?,
        comment: row.get(7)?,
        approvals: vec![],
        create_time: Time::from_micros(row.get(8)?),
        expire_time,
        end_time: row.get::<_, Option<i64>>(10)?.map(Time::from_micros),
        ender: row.get(11)?,
        end_comment: row.get(12)?,
        revision: Revision(row.get::<_, i64>(13)? as u64),
    })
}

fn complete(db: &Connection, id: i64, mut record: PromotionRecord) -> rusqlite::Result<PromotionRecord> {
    record.approvals = db
        .prepare_cached(
            "SELECT approver, role, comment, approve_us FROM approval WHERE promotion = ?1 ORDER BY approve_us, approver",
        )?
        .query_map([id], |row| {
            Ok(ApprovalRecord {
                approver: row.get(0)?,
                role: row.get(1)?,
                comment: row.get(2)?,
                approve_time: Time::from_micros(row.get(3)?),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(record)
}
