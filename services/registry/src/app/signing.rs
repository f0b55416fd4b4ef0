use std::sync::Arc;

use cairn_eventstore::{CommandFault, Direction, ReadFault, Work};
use cairn_kernel::{Expected, Revision, Time};
use cairn_service::Refusal;

use super::{App, Call, Made, Reading};
use crate::model::registered::Rejection;
use crate::model::signing::{Command, Found, Trust, TrustedKey, judge};
use crate::model::version::Facts;
use crate::model::{ModelName, PolicyScope, SigningPolicy};

/// Whose signatures count, and whether there must be one.
#[derive(Clone, Debug, PartialEq)]
pub struct Signing {
    pub scope: PolicyScope,
    pub policy: Arc<SigningPolicy>,
    /// `None`: it was never set.
    pub revision: Option<Revision>,
    /// When it was first and last set.
    pub times: Option<(Time, Time)>,
}

/// A policy about to be set.
#[derive(Clone, Debug)]
pub struct NewSigningPolicy {
    pub keys: Vec<TrustedKey>,
    pub is_required: bool,
}

impl App {
    /// The policy of a project, or what a model adds to that of its project.
    pub async fn signing_policy(&self, reading: &Reading, scope: &PolicyScope) -> Result<Signing, Refusal> {
        let stream = scope.signing_stream();
        let loaded = self.loaded::<SigningPolicy>(reading, &stream).await?;
        let mut times = None;
        if let Some(last) = loaded.revision {
            let time = async |at| {
                let events = self.inner.commands.store().read(&stream, at, Direction::Forwards, 1).await?;
                Ok::<_, ReadFault>(events.first().map(|event| event.time))
            };
            times = time(Revision(0)).await?.zip(time(last).await?);
        }
        Ok(Signing { scope: scope.clone(), policy: loaded.state, revision: loaded.revision, times })
    }

    /// Whose signatures count for a model then.
    pub(super) async fn trust_in(&self, reading: &Reading, model: &ModelName) -> Result<Trust, Refusal> {
        let mut policies = vec![];
        for scope in model.signing_scopes() {
            let loaded = self.loaded::<SigningPolicy>(reading, &scope.signing_stream()).await?;
            policies.push((scope, loaded.state, loaded.revision));
        }
        Ok(Trust::by(policies))
    }

    /// Sets a policy as a whole, for versions that are registered from then on.
    pub async fn set_signing_policy(
        &self,
        call: &Call,
        scope: &PolicyScope,
        expected: Expected,
        new: NewSigningPolicy,
    ) -> Result<Made<Signing>, Refusal> {
        if let PolicyScope::Model(model) = scope {
            self.reached(self.head(), call.deadline).await?;
            self.model_in(&self.present(), model).await?;
        }
        let NewSigningPolicy { keys, is_required } = new;
        let command = Command { scope: scope.clone(), keys: Arc::new(keys), is_required };
        let stream = scope.signing_stream();
        let done = self.inner.commands.execute::<SigningPolicy>(&call.order, &stream, expected, command).await?;
        Ok(Made { value: self.signing_policy(&self.present(), scope).await?, position: done.position })
    }
}

/// What a version is, with what its files and their signature are worth under the policies of this moment, on which the
/// registration depends from then on.
pub(super) async fn checked(
    work: &mut Work,
    model: &ModelName,
    facts: &Arc<Facts>,
    found: &Found,
) -> Result<Arc<Facts>, CommandFault<Rejection>> {
    // A repeat was judged when it was none.
    if work.is_repeat() {
        return Ok(Arc::clone(facts));
    }
    let mut policies = vec![];
    for scope in model.signing_scopes() {
        policies.push(work.witness::<SigningPolicy>(&scope.signing_stream()).await?.state);
    }
    let signature_check =
        judge(&policies, found).map_err(|rejection| CommandFault::Rejected(Rejection::from(rejection)))?;
    Ok(Arc::new(Facts { manifest: found.manifest.clone(), signature_check, ..Facts::clone(facts) }))
}

/// Whose signatures count by these policies at this moment, on which what is decided depends from then on.
pub(super) async fn trust(work: &mut Work, scopes: &[PolicyScope]) -> Result<Trust, CommandFault<Rejection>> {
    let mut policies = vec![];
    for scope in scopes {
        let loaded = work.witness::<SigningPolicy>(&scope.signing_stream()).await?;
        policies.push((scope.clone(), loaded.state, loaded.revision));
    }
    Ok(Trust::by(policies))
}
