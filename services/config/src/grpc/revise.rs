//! Changes of entries: each a revision.

use std::collections::BTreeSet;

use cairn_contract::cairn::config::v1 as proto;
use cairn_eventstore::{CommandFault, Work};
use cairn_kernel::{Aggregate, Expected, Name, Position, StreamName};
use cairn_service::{Ctx, Refusal, Reply, field, refuse};
use tonic::{Code, Request, Status};

use super::configs::Configs;
use super::entries::in_force;
use super::environments::seen;
use super::{rejected, value};
use crate::desk::text;
use crate::model::scope::{Act, CHANGES_MAX, Change, Command};
use crate::model::{EnvironmentName, Json, Key, Reference, Rejection, Scope, Secret, SecretName, Text};
use crate::query::InForce;

/// How often a change is worked out again because somebody changed the environment meanwhile.
const ATTEMPTS_MAX: usize = 8;

/// What is asked of one environment.
#[derive(Clone)]
pub(super) struct Revision<'a> {
    pub environment: &'a EnvironmentName,
    pub expected: Option<u32>,
    pub changes: Vec<Change>,
    pub reason: Text,
    pub rolled_back_to: Option<u32>,
    pub staged: bool,
}

impl Configs {
    /// Carries out one command, waits until it shows, and gives where it is stored.
    pub(super) async fn act(&self, ctx: &Ctx, request_id: &str, scope: &Name, act: Act) -> Result<Position, Status> {
        let command = Command { scope: scope.clone(), act };
        let (order, stream) = (ctx.order(request_id), stream(scope));
        let done = self.0.commands.execute::<Scope>(&order, &stream, Expected::Any, command).await.map_err(refuse)?;
        self.0.settle(ctx, done.position).await?;
        Ok(done.position)
    }

    /// Makes a revision. Gives where it is stored, and the number of the revision that is the last then.
    pub(super) async fn revise(
        &self,
        ctx: &Ctx,
        request_id: &str,
        revision: Revision<'_>,
    ) -> Result<(Position, u32), Status> {
        if !revision.environment.is_platform() {
            if revision.staged {
                let problem = "is for settings of the platform: here, programs watch";
                return Err(refuse(Refusal::invalid("staged", problem)));
            }
            return self.append(ctx, request_id, revision).await;
        }
        let asked = revision.expected;
        for attempt in 1.. {
            self.0.view.caught_up(ctx.deadline()).await.map_err(refuse)?;
            let judged = self.check_settings(revision.environment, &revision.changes).await?;
            // What was judged together must be what comes into force together.
            let expected = asked.or(Some(judged));
            match self.append(ctx, request_id, Revision { expected, ..revision.clone() }).await {
                Err(status) if is_lost(&status, asked, attempt) => {}
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt answers")
    }

    /// Appends a revision, on which every secret that it refers to must be there.
    async fn append(&self, ctx: &Ctx, request_id: &str, revision: Revision<'_>) -> Result<(Position, u32), Status> {
        let Revision { environment, expected, changes, reason, rolled_back_to, staged } = revision;
        let scope = environment.scope();
        let secrets = referred(&scope, &changes).map_err(rejected)?;
        let id = environment.id();
        let revise = Act::Revise { id: id.clone(), expected, changes, reason, rolled_back_to, staged };
        let command = Command { scope: scope.clone(), act: revise };
        let attempt = |mut work: Work| {
            let (command, secrets, scope) = (command.clone(), secrets.clone(), scope.clone());
            async move {
                if !work.is_repeat() {
                    for secret in &secrets {
                        let stream = StreamName::of(Secret::CATEGORY, secret);
                        if !work.witness::<Secret>(&stream).await?.state.is_there() {
                            let text = format!("secret://{secret}");
                            return Err(CommandFault::Rejected(Rejection::ReferenceInvalid(text)));
                        }
                    }
                }
                let state = work.decide::<Scope>(&stream(&scope), Expected::Any, command).await?;
                Ok((state, work))
            }
        };
        let (state, position) = self.0.commands.transact(&ctx.order(request_id), attempt).await.map_err(refuse)?;
        self.0.settle(ctx, position).await?;
        Ok((position, state.environment(&id).map_or(0, |environment| environment.revision())))
    }

    /// Refuses settings that no process could take over. Gives the revision that they were judged on top of.
    async fn check_settings(&self, environment: &EnvironmentName, changes: &[Change]) -> Result<u32, Status> {
        let (revision, mut values) = in_force(&self.0.query, environment).await?;
        for change in changes {
            match &change.value {
                Some(_) if !self.0.settings.keys().iter().any(|known| known == change.key.as_str()) => {
                    let known = self.0.settings.keys().join(", ");
                    let problem = format!("is no setting that changes while the suite runs; these do: {known}");
                    return Err(rejected(Rejection::ValueInvalid { key: change.key.clone(), problem }));
                }
                Some(value) => {
                    let entry = InForce {
                        value: value.clone(),
                        origin: environment.clone(),
                        revision,
                        author: String::new(),
                        set_micros: 0,
                    };
                    values.insert(change.key.clone(), entry);
                }
                None => drop(values.remove(&change.key)),
            }
        }
        let values = values.into_iter().map(|(key, entry)| (key.to_string(), entry.value.value().clone())).collect();
        let Some(problem) = self.0.settings.problem(&values) else { return Ok(revision) };
        let key = changes.first().map_or_else(|| Key::stored(""), |change| change.key.clone());
        Err(rejected(Rejection::ValueInvalid { key, problem }))
    }

    async fn told(&self, environment: &EnvironmentName, number: u32) -> Result<proto::ConfigRevision, Status> {
        let found = self.0.query.revision(environment, number).await.map_err(refuse)?;
        // Changes that changed nothing before the first revision: there is none to tell of.
        Ok(found.unwrap_or_else(|| proto::ConfigRevision { name: environment.revision(0), ..Default::default() }))
    }

    pub(super) async fn revise_several(
        &self,
        request: Request<proto::ReviseConfigRequest>,
    ) -> Reply<proto::ConfigRevision> {
        let (ctx, request) = Ctx::accept(request)?;
        let environment: EnvironmentName = field("environment", &request.environment)?;
        if request.changes.is_empty() || request.changes.len() > CHANGES_MAX {
            let problem = format!("must be 1 to {CHANGES_MAX}");
            return Err(refuse(Refusal::invalid("changes", problem)));
        }
        let mut keys = BTreeSet::new();
        let mut changes = vec![];
        for proto::EntryChange { key, value } in request.changes {
            let key: Key = field("changes.key", &key)?;
            if !keys.insert(key.clone()) {
                return Err(refuse(Refusal::invalid("changes", format!("{key} is there twice"))));
            }
            let value: Option<Json> = value.map(|value| value::given("changes.value", Some(value))).transpose()?;
            changes.push(Change { key, value });
        }
        let (expected, reason) = (seen(&request.etag)?, text("reason", &request.reason)?);
        let staged = request.staged;
        let revision = Revision { environment: &environment, expected, changes, reason, rolled_back_to: None, staged };
        let (at, number) = self.revise(&ctx, &request.request_id, revision).await?;
        Ok(ctx.reply(self.told(&environment, number).await?, at))
    }

    pub(super) async fn roll_back(
        &self,
        request: Request<proto::RollBackConfigRequest>,
    ) -> Reply<proto::ConfigRevision> {
        let (ctx, request) = Ctx::accept(request)?;
        let environment: EnvironmentName = field("environment", &request.environment)?;
        let (asked, reason) = (seen(&request.etag)?, text("reason", &request.reason)?);
        for attempt in 1.. {
            self.0.view.caught_up(ctx.deadline()).await.map_err(refuse)?;
            let Some((now, changes)) = self.way_back(&environment, request.revision).await? else {
                let revision = request.revision;
                return Err(rejected(Rejection::RevisionNotFound { environment, revision }));
            };
            // The way back begins where the environment is: it must still be there.
            let revision = Revision {
                environment: &environment,
                expected: asked.or(Some(now)),
                changes,
                reason: reason.clone(),
                rolled_back_to: Some(request.revision),
                staged: false,
            };
            match self.revise(&ctx, &request.request_id, revision).await {
                Err(status) if is_lost(&status, asked, attempt) => {}
                outcome => {
                    let (at, number) = outcome?;
                    return Ok(ctx.reply(self.told(&environment, number).await?, at));
                }
            }
        }
        unreachable!("the last attempt answers")
    }

    /// The revision an environment is at, and the changes that lead back to an earlier one.
    async fn way_back(&self, environment: &EnvironmentName, to: u32) -> Result<Option<(u32, Vec<Change>)>, Status> {
        let query = &self.0.query;
        let (revision, _) = in_force(query, environment).await?;
        let now = query.own_at(environment, revision).await.map_err(refuse)?;
        let then = query.own_at(environment, to).await.map_err(refuse)?;
        let (Some(now), Some(then)) = (now, then) else { return Ok(None) };
        let gone = now.into_keys().filter(|key| !then.contains_key(key));
        let mut changes: Vec<Change> = gone.map(|key| Change { key, value: None }).collect();
        changes.extend(then.into_iter().map(|(key, entry)| Change { key, value: Some(entry.value) }));
        Ok(Some((revision, changes)))
    }
}

/// Whether a change lost a race that its caller did not ask to be told of, and is to be worked out again: from a view that
/// has seen the winner.
fn is_lost(status: &Status, asked: Option<u32>, attempt: usize) -> bool {
    asked.is_none() && attempt < ATTEMPTS_MAX && status.code() == Code::Aborted
}

fn stream(scope: &Name) -> StreamName {
    StreamName::of(Scope::CATEGORY, scope)
}

/// The secrets that changes refer to: of the same project only, or a reference would tell what there is elsewhere.
fn referred(scope: &Name, changes: &[Change]) -> Result<BTreeSet<SecretName>, Rejection> {
    let mut secrets = BTreeSet::new();
    for value in changes.iter().filter_map(|change| change.value.as_ref()) {
        for reference in Reference::all_in(value).map_err(Rejection::ReferenceInvalid)? {
            if reference.secret.name().parent().as_ref() != Some(scope) {
                return Err(Rejection::ReferenceInvalid(format!("secret://{}", reference.secret)));
            }
            secrets.insert(reference.secret);
        }
    }
    Ok(secrets)
}
