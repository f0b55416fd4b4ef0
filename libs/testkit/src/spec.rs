use std::fmt::Debug;

use cairn_kernel::Aggregate;

/// A stream with this history.
///
/// ```ignore
/// given::<Model>([registered(1)])
///     .when(Promote { version: Version(1), alias: prod() })
///     .rejected(Rejection::VersionNotReady(Version(1)));
/// ```
#[must_use = "a history alone tests nothing: ask it something with `when`"]
pub fn given<A: Aggregate>(history: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given { history: history.into_iter().collect() }
}

/// A history, and nothing asked yet.
pub struct Given<A: Aggregate> {
    history: Vec<A::Event>,
}

/// A command that was judged.
#[must_use = "a decision alone tests nothing: say what is expected with `then`, `nothing` or `rejected`"]
pub struct Judged<A: Aggregate> {
    history: Vec<A::Event>,
    outcome: Result<Vec<A::Event>, A::Rejection>,
}

impl<A: Aggregate> Given<A> {
    /// Asks the aggregate with this history to carry out a command.
    pub fn when(self, command: A::Command) -> Judged<A> {
        let outcome = A::replay(&self.history).decide(command);
        Judged { history: self.history, outcome }
    }

    /// The state after the history.
    pub fn state(&self) -> A {
        A::replay(&self.history)
    }
}

impl<A: Aggregate> Judged<A>
where
    A::Event: Debug + PartialEq,
    A::Rejection: PartialEq,
{
    /// Exactly these events are decided. Gives the stream after them, for a further `when`.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Given<A> {
        let expected: Vec<A::Event> = expected.into_iter().collect();
        let Ok(decided) = &self.outcome else { self.fail(&list("expected events", &expected)) };
        if *decided != expected {
            self.fail(&list("expected events", &expected));
        }
        let mut history = self.history;
        history.extend(expected);
        Given { history }
    }

    /// The command succeeds and changes nothing, as everything does that was done before.
    #[track_caller]
    pub fn nothing(self) -> Given<A> {
        self.then([])
    }

    /// The command is refused for exactly this reason.
    #[track_caller]
    pub fn rejected(self, expected: A::Rejection) {
        if self.outcome.as_ref().err() != Some(&expected) {
            self.fail(&format!("expected a rejection\n  {expected:?}: {expected}\n"));
        }
    }

    #[track_caller]
    fn fail(&self, expected: &str) -> ! {
        let found = match &self.outcome {
            Ok(events) => list("decided events", events),
            Err(rejection) => format!("was rejected\n  {rejection:?}: {rejection}\n"),
        };
        panic!("{}{found}{expected}", list("given", &self.history));
    }
}

fn list<T: Debug>(title: &str, items: &[T]) -> String {
    let mut text = format!("{title}\n");
    if items.is_empty() {
        text.push_str("  (none)\n");
    }
    for item in items {
        text.push_str(&format!("  {item:?}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use cairn_kernel::{Code, Description, Fault};

    use super::*;

    #[derive(Clone, Default)]
    struct Door {
        is_open: bool,
    }

    #[derive(Clone, Debug, PartialEq)]
    enum Event {
        Opened,
        Closed,
    }

    #[derive(Clone)]
    enum Command {
        Open,
        Close,
        Paint,
    }

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("doors are not painted")]
    struct NotPainted;

    impl Fault for NotPainted {
        const DOMAIN: &'static str = "test.cairn";

        fn describe(&self) -> Description {
            (Code::InvalidArgument, "NOT_PAINTED", vec![])
        }
    }

    impl Aggregate for Door {
        const CATEGORY: &'static str = "test.door";
        type Command = Command;
        type Event = Event;
        type Rejection = NotPainted;

        fn decide(&self, command: Command) -> Result<Vec<Event>, NotPainted> {
            match command {
                Command::Open if self.is_open => Ok(vec![]),
                Command::Open => Ok(vec![Event::Opened]),
                Command::Close => Ok(if self.is_open { vec![Event::Closed] } else { vec![] }),
                Command::Paint => Err(NotPainted),
            }
        }

        fn evolve(&mut self, event: &Event) {
            self.is_open = *event == Event::Opened;
        }
    }

    /// What the failing test would print.
    fn complaint(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *catch_unwind(test).expect_err("the expectation was wrong, so this must fail").downcast().expect("a message")
    }

    #[test]
    fn steps_follow_each_other() {
        given::<Door>([]).when(Command::Open).then([Event::Opened]).when(Command::Open).nothing();
        given::<Door>([Event::Opened])
            .when(Command::Close)
            .then([Event::Closed])
            .when(Command::Paint)
            .rejected(NotPainted);
        assert!(given::<Door>([Event::Opened]).state().is_open);
    }

    #[test]
    fn a_failure_shows_history_decision_and_expectation() {
        let wrong_events = complaint(|| drop(given::<Door>([Event::Closed]).when(Command::Open).then([Event::Closed])));
        assert_eq!(wrong_events, "given\n  Closed\ndecided events\n  Opened\nexpected events\n  Closed\n");
        let not_refused = complaint(|| given::<Door>([Event::Opened]).when(Command::Open).rejected(NotPainted));
        assert!(
            not_refused
                .ends_with("decided events\n  (none)\nexpected a rejection\n  NotPainted: doors are not painted\n")
        );
        let refused = complaint(|| drop(given::<Door>([]).when(Command::Paint).nothing()));
        assert_eq!(
            refused,
            "given\n  (none)\nwas rejected\n  NotPainted: doors are not painted\nexpected events\n  (none)\n"
        );
    }
}
