//! What promotions need in a project, for its models that do not say it themselves.

use std::sync::Arc;

use cairn_kernel::Aggregate;

use super::{ProjectName, Terms, registered};

/// The policy of a project. One without events asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefaultPolicy {
    pub terms: Option<Arc<Terms>>,
}

/// Sets the terms. `may_relax`: whether who asks may do without promotions at all.
#[derive(Clone, Debug)]
pub struct Command {
    pub project: ProjectName,
    pub terms: Arc<Terms>,
    pub may_relax: bool,
}

/// The terms are others.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub project: ProjectName,
    pub terms: Arc<Terms>,
    pub is_relaxed: bool,
}

impl Aggregate for DefaultPolicy {
    const CATEGORY: &'static str = "registry.policy";
    type Command = Command;
    type Event = Event;
    type Rejection = registered::Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Self::Rejection> {
        let Command { project, terms, may_relax } = command;
        if self.terms.as_ref() == Some(&terms) {
            return Ok(vec![]);
        }
        let is_relaxed = self.terms.as_ref().is_some_and(|current| !terms.ask_no_less_than(current));
        if is_relaxed && !may_relax {
            return Err(registered::Rejection::PolicyRelaxed);
        }
        Ok(vec![Event { project, terms, is_relaxed }])
    }

    fn evolve(&mut self, event: &Event) {
        self.terms = Some(Arc::clone(&event.terms));
    }
}

#[cfg(test)]
mod tests {
    use cairn_testkit::given;

    use super::*;
    use crate::model::Stage;

    #[test]
    fn a_policy_is_tightened_by_its_keepers_and_loosened_only_by_who_may_do_without() {
        let project: ProjectName = "projects/p".parse().unwrap();
        let strict = Arc::new(Terms { stages: [Stage::Production].into(), ..Terms::default() });
        let loose = Arc::new(Terms::default());
        let set =
            |terms: &Arc<Terms>, may_relax| Command { project: project.clone(), terms: Arc::clone(terms), may_relax };
        let event =
            |terms: &Arc<Terms>, is_relaxed| Event { project: project.clone(), terms: Arc::clone(terms), is_relaxed };
        given::<DefaultPolicy>([])
            .when(set(&strict, false))
            .then([event(&strict, false)])
            .when(set(&strict, false))
            .nothing()
            .when(set(&loose, false))
            .rejected(registered::Rejection::PolicyRelaxed);
        given::<DefaultPolicy>([event(&strict, false)]).when(set(&loose, true)).then([event(&loose, true)]);
    }
}
