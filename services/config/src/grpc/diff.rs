use std::collections::{BTreeMap, BTreeSet};

use cairn_contract::cairn::config::v1 as proto;
use cairn_service::{Ctx, Refusal, Reply, field, refuse};
use tonic::{Request, Response, Status};

use super::configs::Configs;
use super::entries::in_force;
use super::{rejected, value};
use crate::model::{EnvironmentName, Key, Rejection};
use crate::query::{InForce, Query};

type Side = BTreeMap<Key, InForce>;

impl Configs {
    pub(super) async fn diff(&self, request: Request<proto::DiffConfigRequest>) -> Reply<proto::DiffConfigResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let environment: EnvironmentName = field("environment", &request.environment)?;
        let query = self.0.reading(&ctx, "").await?;
        let (left, right) = if request.other.is_empty() {
            revisions(&query, &environment, request.from_revision, request.to_revision).await?
        } else {
            if request.from_revision.is_some() || request.to_revision.is_some() {
                let problem = "two environments are compared as they are now; leave it out, or leave out `other`";
                return Err(refuse(Refusal::invalid("from_revision", problem)));
            }
            let other: EnvironmentName = field("other", &request.other)?;
            ctx.require(&ctx.method().permission, &field("other", other.as_str())?)?;
            (in_force(&query, &environment).await?.1, in_force(&query, &other).await?.1)
        };
        Ok(Response::new(proto::DiffConfigResponse { differences: differences(&left, &right) }))
    }
}

/// What an environment said itself in two of its revisions.
async fn revisions(
    query: &Query,
    environment: &EnvironmentName,
    from: Option<u32>,
    to: Option<u32>,
) -> Result<(Side, Side), Status> {
    let (last, _) = in_force(query, environment).await?;
    let to = to.unwrap_or(last);
    let from = from.unwrap_or(to.saturating_sub(1));
    let said = async |revision| {
        let said = query.own_at(environment, revision).await.map_err(refuse)?;
        let not_found = || Rejection::RevisionNotFound { environment: environment.clone(), revision };
        said.ok_or_else(|| rejected(not_found()))
    };
    Ok((said(from).await?, said(to).await?))
}

fn differences(left: &Side, right: &Side) -> Vec<proto::EntryDifference> {
    let keys: BTreeSet<&Key> = left.keys().chain(right.keys()).collect();
    let shown = |entry: Option<&InForce>| entry.map(|entry| value::shown(entry.value.value()));
    let origin = |entry: Option<&InForce>| entry.map(|entry| entry.origin.to_string()).unwrap_or_default();
    let difference = |key: &Key| {
        let (one, other) = (left.get(key), right.get(key));
        (one.map(|entry| &entry.value) != other.map(|entry| &entry.value)).then(|| proto::EntryDifference {
            key: key.to_string(),
            left: shown(one),
            right: shown(other),
            left_origin: origin(one),
            right_origin: origin(other),
        })
    };
    keys.into_iter().filter_map(difference).collect()
}
