use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use cairn_contract::cairn::config::v1 as proto;
use cairn_kernel::{NameFault, Time};
use cairn_service::{Ctx, Page, Refusal, Reply, field, refuse, timestamp};
use tonic::{Request, Response, Status};

use super::configs::Configs;
use super::environments::seen;
use super::revise::Revision;
use super::{rejected, value};
use crate::desk::text;
use crate::model::scope::Change;
use crate::model::{EnvironmentName, Key, Rejection};
use crate::query::{InForce, Query};

impl Configs {
    pub(super) async fn config(&self, request: Request<proto::GetConfigRequest>) -> Reply<proto::Config> {
        let (ctx, request) = Ctx::accept(request)?;
        let environment: EnvironmentName = field("environment", &request.environment)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(config(&query, &environment).await?))
    }

    pub(super) async fn entry(&self, request: Request<proto::GetEntryRequest>) -> Reply<proto::Entry> {
        let (ctx, request) = Ctx::accept(request)?;
        let (environment, key) = entry_name(&request.name)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        Ok(Response::new(show(&query, &environment, &key).await?))
    }

    pub(super) async fn set(&self, request: Request<proto::SetEntryRequest>) -> Reply<proto::Entry> {
        let (ctx, request) = Ctx::accept(request)?;
        let (environment, key) = entry_name(&request.name)?;
        let (expected, reason) = (seen(&request.etag)?, text("reason", &request.reason)?);
        let changes = vec![Change { key: key.clone(), value: Some(value::given("value", request.value)?) }];
        let revision =
            Revision { environment: &environment, expected, changes, reason, rolled_back_to: None, staged: false };
        let (at, _) = self.revise(&ctx, &request.request_id, revision).await?;
        Ok(ctx.reply(show(&self.0.query, &environment, &key).await?, at))
    }

    pub(super) async fn remove(&self, request: Request<proto::DeleteEntryRequest>) -> Reply<proto::Entry> {
        let (ctx, request) = Ctx::accept(request)?;
        let (environment, key) = entry_name(&request.name)?;
        let (expected, reason) = (seen(&request.etag)?, text("reason", &request.reason)?);
        let before = in_force(&self.0.query, &environment).await?.1.remove(&key);
        let changes = vec![Change { key: key.clone(), value: None }];
        let revision =
            Revision { environment: &environment, expected, changes, reason, rolled_back_to: None, staged: false };
        let (at, _) = self.revise(&ctx, &request.request_id, revision).await?;
        // Removing what is not there changes nothing, and has nothing to tell.
        let nothing =
            || proto::Entry { name: environment.entry(key.as_str()), key: key.to_string(), ..Default::default() };
        let entry = before.map_or_else(nothing, |before| told(&environment, &key, &before));
        Ok(ctx.reply(entry, at))
    }

    pub(super) async fn revisions(
        &self,
        request: Request<proto::ListConfigRevisionsRequest>,
    ) -> Reply<proto::ListConfigRevisionsResponse> {
        let (ctx, request) = Ctx::accept(request)?;
        let environment: EnvironmentName = field("environment", &request.environment)?;
        let page = Page::read("revisions", &[environment.as_str()], request.page_size, &request.page_token)?;
        let query = self.0.reading(&ctx, &request.as_of).await?;
        if !environment.is_platform() && query.environment(&environment).await.map_err(refuse)?.is_none() {
            return Err(rejected(Rejection::EnvironmentNotFound(environment)));
        }
        let found = query.revisions(&environment, &page).await.map_err(refuse)?;
        let numbered: Vec<(String, proto::ConfigRevision)> =
            found.into_iter().map(|revision| (revision.revision.to_string(), revision)).collect();
        let (numbered, next_page_token) = page.cut(numbered, |(number, _)| number);
        let revisions = numbered.into_iter().map(|(_, revision)| revision).collect();
        Ok(Response::new(proto::ListConfigRevisionsResponse { revisions, next_page_token }))
    }
}

/// Everything that an environment says.
pub(super) async fn config(query: &Query, environment: &EnvironmentName) -> Result<proto::Config, Status> {
    let (revision, entries) = in_force(query, environment).await?;
    let mut digest = Context::new(&SHA256);
    for (key, entry) in &entries {
        for part in [key.as_str(), entry.value.text()] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    Ok(proto::Config {
        environment: environment.to_string(),
        entries: entries.iter().map(|(key, entry)| told(environment, key, entry)).collect(),
        revision,
        digest: hex::encode(digest.finish()),
    })
}

/// What is in force in an environment, and its own last revision.
pub(super) async fn in_force(
    query: &Query,
    environment: &EnvironmentName,
) -> Result<(u32, BTreeMap<Key, InForce>), Status> {
    let found = query.in_force(environment).await.map_err(refuse)?;
    found.ok_or_else(|| rejected(Rejection::EnvironmentNotFound(environment.clone())))
}

async fn show(query: &Query, environment: &EnvironmentName, key: &Key) -> Result<proto::Entry, Status> {
    let (_, entries) = in_force(query, environment).await?;
    let entry = entries.get(key).map(|entry| told(environment, key, entry));
    entry.ok_or_else(|| rejected(Rejection::EntryNotFound { environment: environment.clone(), key: key.clone() }))
}

fn told(environment: &EnvironmentName, key: &Key, entry: &InForce) -> proto::Entry {
    proto::Entry {
        name: environment.entry(key.as_str()),
        key: key.to_string(),
        value: Some(value::shown(entry.value.value())),
        origin: entry.origin.to_string(),
        revision: entry.revision,
        author: entry.author.clone(),
        set_time: Some(timestamp(Time::from_micros(entry.set_micros))),
    }
}

fn entry_name(name: &str) -> Result<(EnvironmentName, Key), Status> {
    EnvironmentName::of_entry(name).map_err(|fault: NameFault| refuse(Refusal::invalid("name", fault)))
}
