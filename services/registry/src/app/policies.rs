use std::sync::Arc;

use cairn_kernel::{Expected, Position};
use cairn_service::Refusal;

use super::{App, Call, Made};
use crate::model::registered::Command;
use crate::model::{DefaultPolicy, PolicyScope, ProjectName, Terms, policy};
use crate::query::PolicyRecord;

/// What promotions of a project or model need, and where that is said.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub scope: PolicyScope,
    pub terms: Arc<Terms>,
    /// The project whose policy it is, if the model has none of its own.
    pub inherited_from: Option<ProjectName>,
    /// `None`: it was never set.
    pub record: Option<PolicyRecord>,
    /// Names this state of it.
    pub etag: String,
}

impl App {
    /// The policy in force for a project or a model.
    pub async fn policy(&self, call: &Call, scope: &PolicyScope) -> Result<Policy, Refusal> {
        let reading = self.reading(call).await?;
        match scope {
            PolicyScope::Project(project) => {
                let state = self.state::<DefaultPolicy>(&reading, &project.policy_stream()).await?;
                let record = reading.query.policy(scope).await?;
                let etag = record.as_ref().map(|record| record.revision.to_string()).unwrap_or_default();
                let terms = state.terms.clone().unwrap_or_default();
                Ok(Policy { scope: scope.clone(), terms, inherited_from: None, record, etag })
            }
            PolicyScope::Model(model) => {
                // The etag is the model's: the policy is part of its state.
                let etag = self.model_in(&reading, model).await?.revision.to_string();
                let (state, default) = self.load(&reading, model).await?;
                let project = PolicyScope::Project(model.parent());
                let (source, inherited_from) = match (state.terms(), &default) {
                    (None, Some(_)) => (&project, Some(model.parent())),
                    _ => (scope, None),
                };
                let record = reading.query.policy(source).await?;
                let terms = state.terms_in_force(default.as_ref());
                Ok(Policy { scope: scope.clone(), terms, inherited_from, record, etag })
            }
        }
    }

    /// Sets a policy. `may_relax`: whether who asks may do without promotions at all.
    pub async fn set_policy(
        &self,
        call: &Call,
        scope: &PolicyScope,
        expected: Expected,
        terms: Terms,
        may_relax: bool,
    ) -> Result<Made<Policy>, Refusal> {
        let terms = Arc::new(terms);
        let position = match scope {
            PolicyScope::Project(project) => {
                let command = policy::Command { project: project.clone(), terms, may_relax };
                self.set_default(call, project, expected, command).await?
            }
            PolicyScope::Model(model) => {
                let command = |default| Command::SetTerms { terms: Arc::clone(&terms), default, may_relax };
                self.command(call, model, expected, command).await?.1
            }
        };
        self.reached(position, call.deadline).await?;
        Ok(Made { value: self.policy(call, scope).await?, position })
    }

    async fn set_default(
        &self,
        call: &Call,
        project: &ProjectName,
        expected: Expected,
        command: policy::Command,
    ) -> Result<Position, Refusal> {
        let stream = project.policy_stream();
        let done = self.inner.commands.execute::<DefaultPolicy>(&call.order, &stream, expected, command).await;
        Ok(done.map_err(Refusal::from)?.position)
    }
}
