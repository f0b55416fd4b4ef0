//! A display name in a project, and the experiment it belongs to. Uniqueness is the stream: one for each name.

use cairn_kernel::Aggregate;

use super::{ExperimentName, experiment};

/// Who a display name belongs to. A deleted experiment keeps its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NameClaim {
    holder: Option<ExperimentName>,
}

/// What may be asked of a display name.
#[derive(Clone, Debug)]
pub enum Command {
    Claim { experiment: ExperimentName, display_name: String },
    Release { experiment: ExperimentName, display_name: String },
}

/// What happened to a display name.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Claimed { experiment: ExperimentName, display_name: String },
    Released { experiment: ExperimentName, display_name: String },
}

impl Aggregate for NameClaim {
    const CATEGORY: &'static str = "experiments.experiment_name";
    type Command = Command;
    type Event = Event;
    type Rejection = experiment::Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Self::Rejection> {
        match (command, &self.holder) {
            (Command::Claim { experiment, display_name }, None) => {
                Ok(vec![Event::Claimed { experiment, display_name }])
            }
            (Command::Claim { experiment, .. }, Some(holder)) if *holder == experiment => Ok(vec![]),
            (Command::Claim { display_name, .. }, Some(holder)) => {
                Err(experiment::Rejection::NameTaken { display_name, holder: holder.clone() })
            }
            (Command::Release { experiment, display_name }, Some(holder)) if *holder == experiment => {
                Ok(vec![Event::Released { experiment, display_name }])
            }
            (Command::Release { .. }, _) => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Claimed { experiment, .. } => self.holder = Some(experiment.clone()),
            Event::Released { .. } => self.holder = None,
        }
    }
}

impl NameClaim {
    /// The experiment that has the name.
    pub fn holder(&self) -> Option<&ExperimentName> {
        self.holder.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use cairn_testkit::given;

    use super::*;

    fn experiment(id: &str) -> ExperimentName {
        format!("projects/p/experiments/{id}").parse().unwrap()
    }

    fn claim(id: &str) -> Command {
        Command::Claim { experiment: experiment(id), display_name: "a".into() }
    }

    fn release(id: &str) -> Command {
        Command::Release { experiment: experiment(id), display_name: "a".into() }
    }

    #[test]
    fn a_name_has_one_holder_until_that_one_releases_it() {
        let claimed = |id| Event::Claimed { experiment: experiment(id), display_name: "a".into() };
        let released = Event::Released { experiment: experiment("1"), display_name: "a".into() };
        given::<NameClaim>([])
            .when(claim("1"))
            .then([claimed("1")])
            .when(claim("1"))
            .nothing()
            .when(release("2"))
            .nothing()
            .when(release("1"))
            .then([released])
            .when(claim("2"))
            .then([claimed("2")])
            .when(claim("1"))
            .rejected(experiment::Rejection::NameTaken { display_name: "a".into(), holder: experiment("2") });
    }
}
