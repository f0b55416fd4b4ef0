//! A display name in a project, and the model it belongs to. Uniqueness is the stream: one for each name.

use cairn_kernel::Aggregate;

use super::{ModelName, registered};

/// Who a display name belongs to. A deleted model has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NameClaim {
    holder: Option<ModelName>,
}

/// What may be asked of a display name.
#[derive(Clone, Debug)]
pub enum Command {
    Claim { model: ModelName, display_name: String },
    Release { model: ModelName, display_name: String },
}

/// What happened to a display name.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Claimed { model: ModelName, display_name: String },
    Released { model: ModelName, display_name: String },
}

impl Aggregate for NameClaim {
    const CATEGORY: &'static str = "registry.model_name";
    type Command = Command;
    type Event = Event;
    type Rejection = registered::Rejection;

    fn decide(&self, command: Command) -> Result<Vec<Event>, Self::Rejection> {
        match (command, &self.holder) {
            (Command::Claim { model, display_name }, None) => Ok(vec![Event::Claimed { model, display_name }]),
            (Command::Claim { model, .. }, Some(holder)) if *holder == model => Ok(vec![]),
            (Command::Claim { display_name, .. }, Some(holder)) => {
                Err(registered::Rejection::NameTaken { display_name, holder: holder.clone() })
            }
            (Command::Release { model, display_name }, Some(holder)) if *holder == model => {
                Ok(vec![Event::Released { model, display_name }])
            }
            (Command::Release { .. }, _) => Ok(vec![]),
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Claimed { model, .. } => self.holder = Some(model.clone()),
            Event::Released { .. } => self.holder = None,
        }
    }
}

impl NameClaim {
    /// The model that has the name.
    pub fn holder(&self) -> Option<&ModelName> {
        self.holder.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use cairn_testkit::given;

    use super::*;

    fn model(id: &str) -> ModelName {
        format!("projects/p/models/{id}").parse().unwrap()
    }

    fn claim(id: &str) -> Command {
        Command::Claim { model: model(id), display_name: "a".into() }
    }

    fn release(id: &str) -> Command {
        Command::Release { model: model(id), display_name: "a".into() }
    }

    #[test]
    fn a_name_has_one_holder_until_that_one_releases_it() {
        let claimed = |id| Event::Claimed { model: model(id), display_name: "a".into() };
        given::<NameClaim>([])
            .when(claim("1"))
            .then([claimed("1")])
            .when(claim("1"))
            .nothing()
            .when(release("2"))
            .nothing()
            .when(release("1"))
            .then([Event::Released { model: model("1"), display_name: "a".into() }])
            .when(claim("2"))
            .then([claimed("2")])
            .when(claim("1"))
            .rejected(registered::Rejection::NameTaken { display_name: "a".into(), holder: model("2") });
    }
}
