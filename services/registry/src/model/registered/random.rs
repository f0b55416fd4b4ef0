//! Random commands by four people over one model, and what must hold whatever they do.

use proptest::prelude::*;

use super::signed::{by_project, evidence, signed};
use super::spec::{NOW, champion, create, strict};
use super::*;
use crate::model::version::Facts;

/// What somebody tries. People and promotions are small numbers, so that they meet.
#[derive(Clone, Debug)]
enum Try {
    /// Somebody is given the approving role, now.
    Grant(usize),
    Number,
    DeleteVersion(u32),
    Alias(u32),
    RemoveAlias,
    Stage(u32, usize),
    Terms {
        approvals: u32,
        needs_signature: bool,
        may_relax: bool,
    },
    /// The key is trusted from now on, or no longer.
    Trust(bool),
    Request(usize, u32),
    Approve(usize, usize),
    Reject(usize, usize),
    Withdraw(usize, usize),
    Complete(usize, usize),
    Later,
    Delete,
    Create,
}

const PEOPLE: usize = 4;

fn person(at: usize) -> String {
    format!("users/{at}")
}

fn tries() -> impl Strategy<Value = Try> {
    prop_oneof![
        1 => (0..PEOPLE).prop_map(Try::Grant),
        3 => Just(Try::Number),
        1 => (1..6u32).prop_map(Try::DeleteVersion),
        2 => (1..6u32).prop_map(Try::Alias),
        1 => Just(Try::RemoveAlias),
        2 => ((1..6u32), 0..4usize).prop_map(|(version, stage)| Try::Stage(version, stage)),
        1 => ((1..3u32), any::<bool>(), any::<bool>()).prop_map(|(approvals, needs_signature, may_relax)| {
            Try::Terms { approvals, needs_signature, may_relax }
        }),
        2 => any::<bool>().prop_map(Try::Trust),
        4 => ((0..PEOPLE), 1..6u32).prop_map(|(who, version)| Try::Request(who, version)),
        6 => ((0..PEOPLE), 0..6usize).prop_map(|(who, which)| Try::Approve(who, which)),
        1 => ((0..PEOPLE), 0..6usize).prop_map(|(who, which)| Try::Reject(who, which)),
        1 => ((0..PEOPLE), 0..6usize).prop_map(|(who, which)| Try::Withdraw(who, which)),
        2 => ((0..PEOPLE), 0..6usize).prop_map(|(who, which)| Try::Complete(who, which)),
        1 => Just(Try::Later),
        1 => Just(Try::Delete),
        1 => Just(Try::Create),
    ]
}

/// The world around the model: the log's position, the clock, and since when each person holds the role.
struct World {
    model: Model,
    history: Vec<Event>,
    position: u64,
    now: Time,
    roles: Vec<Option<Position>>,
    asked: Vec<String>,
    default: Option<Arc<Terms>>,
    /// Since which event of its policy the project trusts the key, if it does.
    trusted: Option<u64>,
}

impl World {
    fn command(&mut self, tried: &Try) -> Option<Command> {
        let (default, now) = (self.default.clone(), self.now);
        let which = |at: usize| self.asked.get(at % self.asked.len().max(1)).cloned().unwrap_or_default();
        let evidence = self.evidence();
        Some(match *tried {
            Try::Grant(who) => {
                self.position += 1;
                self.roles[who].get_or_insert(Position(self.position));
                return None;
            }
            Try::Trust(is_trusted) => {
                self.position += 1;
                self.trusted = is_trusted.then_some(self.position);
                return None;
            }
            Try::Later => {
                self.now = now.after(std::time::Duration::from_hours(40));
                return None;
            }
            Try::Number => Command::Number { versions_max: 100, request: String::new() },
            Try::DeleteVersion(version) => Command::DeleteVersion { version: Number(version), default },
            Try::Alias(version) => Command::SetAlias { alias: champion(), version: Number(version), default },
            Try::RemoveAlias => Command::RemoveAlias { alias: champion(), default },
            Try::Stage(version, stage) => Command::Transition {
                version: Number(version),
                stage: Stage::ALL[stage],
                archive_existing: stage % 2 == 0,
                default,
            },
            Try::Terms { approvals, needs_signature, may_relax } => {
                let terms = Arc::new(Terms { approvals, needs_signature, ..Terms::clone(&strict()) });
                Command::SetTerms { terms, default, may_relax }
            }
            Try::Request(who, version) => {
                let promotion = self.asked.len().to_string();
                self.asked.push(promotion.clone());
                Command::Request {
                    promotion,
                    moves: vec![Move { version: Number(version), target: Target::Alias(champion()) }],
                    requester: person(who),
                    comment: String::new(),
                    default,
                    roles_position: Position(self.position),
                    now,
                }
            }
            Try::Approve(who, promotion) => Command::Approve {
                promotion: which(promotion),
                approver: Approver {
                    principal: person(who),
                    is_person: true,
                    held: self.roles[who].map(|since| ("roles/manager".to_owned(), since)).into_iter().collect(),
                },
                comment: String::new(),
                evidence,
                default,
                now,
            },
            Try::Reject(who, promotion) => {
                let (promotion, principal) = (which(promotion), person(who));
                Command::Reject { promotion, principal, comment: String::new(), now }
            }
            Try::Withdraw(who, promotion) => {
                let (promotion, principal) = (which(promotion), person(who));
                Command::Withdraw { promotion, principal, comment: String::new(), now }
            }
            Try::Complete(who, promotion) => {
                Command::Complete { promotion: which(promotion), principal: person(who), evidence, default, now }
            }
            Try::Delete => Command::Delete { principal: person(0), default },
            Try::Create => create(),
        })
    }

    /// Versions with even numbers are signed.
    fn evidence(&self) -> Evidence {
        let facts =
            [1, 2, 3, 4, 5].map(|version| (version, if version % 2 == 0 { signed() } else { Facts::default() }));
        let trusting: Vec<_> = self.trusted.map(|since| (by_project(), since)).into_iter().collect();
        evidence(facts, &trusting)
    }

    fn attempt(&mut self, tried: &Try) {
        let Some(command) = self.command(tried) else { return };
        let Ok(events) = self.model.decide(command) else { return };
        self.judge(&events);
        for event in events {
            self.model.evolve(&event);
            self.history.push(event);
            self.position += 1;
        }
    }

    /// What must hold of every append.
    fn judge(&self, events: &[Event]) {
        let has_moved = events.iter().any(|event| matches!(event.change, Change::AliasMoved { .. }));
        let has_completed = events.iter().any(|event| matches!(event.change, Change::Completed { .. }));
        assert!(!has_moved || has_completed, "the protected alias moved without a promotion: {events:?}");
        for event in events {
            match &event.change {
                Change::Numbered { version, .. } => {
                    let numbers = self.history.iter().filter(|event| matches!(event.change, Change::Numbered { .. }));
                    assert_eq!(version.0 as usize, numbers.count() + 1, "a number is left out or given twice");
                }
                Change::Completed { promotion, signatures, .. } => {
                    self.judge_completed(promotion, signatures, events);
                }
                _ => {}
            }
        }
    }

    /// Enough people approved, none of them who asked, each by a role that they held when it was asked for; and what had
    /// to be signed is, by a key that is trusted now.
    fn judge_completed(&self, promotion: &str, signatures: &[CountedSignature], events: &[Event]) {
        let asked = self.history.iter().find_map(|event| match &event.change {
            Change::Requested { promotion: id, moves, requester, terms, roles_position, .. } if id == promotion => {
                Some((moves, requester, terms, *roles_position))
            }
            _ => None,
        });
        let (moves, requester, terms, roles_position) = asked.expect("what is completed was asked for");
        let mut approvers = BTreeSet::new();
        for event in self.history.iter().chain(events) {
            if let Change::Approved { promotion: id, approver, role_position, .. } = &event.change
                && id == promotion
            {
                assert_ne!(approver, requester, "somebody approved what they asked for");
                let who: usize = approver.trim_start_matches("users/").parse().unwrap();
                let since = self.roles[who].expect("an approver holds the role");
                assert_eq!(*role_position, since);
                assert!(since <= roles_position, "a role given later counted");
                approvers.insert(approver);
            }
        }
        assert!(approvers.len() >= terms.approvals as usize, "too few approved: {approvers:?}");
        let counted: Vec<_> =
            signatures.iter().map(|signature| (signature.version, Some(signature.policy_revision.0))).collect();
        let demanded: Vec<_> = match terms.needs_signature {
            true => moves.iter().map(|step| (step.version, self.trusted)).collect(),
            false => vec![],
        };
        assert_eq!(counted, demanded, "a signature that does not count, or one that was not demanded");
        assert!(demanded.iter().all(|(version, _)| version.0 % 2 == 0), "an unsigned version moved: {demanded:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn in_no_history_does_a_requester_approve_or_a_later_role_or_a_withdrawn_key_count(
        tried in prop::collection::vec(tries(), 1..120)
    ) {
        let mut world = World {
            model: Model::default(),
            history: vec![],
            position: 0,
            now: NOW,
            roles: vec![None; PEOPLE],
            asked: vec![],
            default: Some(strict()),
            trusted: None,
        };
        world.attempt(&Try::Create);
        world.attempt(&Try::Number);
        for one in &tried {
            world.attempt(one);
            prop_assert!(world.model.aliases().values().all(|version| world.model.has(*version)) || world.model.name().is_err());
        }
        prop_assert_eq!(Model::replay(&world.history), world.model);
    }
}
