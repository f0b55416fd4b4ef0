use std::time::Duration;

use cairn_contract::cairn::auth::v1 as proto;
use cairn_contract::cairn::auth::v1::access_change::{Change, Grant};
use cairn_contract::cairn::auth::v1::replay_decision_request::Rules;
use cairn_eventstore::{Direction, EventStore, Filter, NewEvent, Write};
use cairn_kernel::{Expected, Position, StreamName};
use proptest::prelude::*;
use tonic::Status;
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::suite::Suite;

impl Suite {
    /// Gives the project another title, which takes a manager.
    async fn rename(&self, principal: &str, title: &str) -> Result<(), Status> {
        let project = proto::Project { name: "projects/default".into(), title: title.into(), ..Default::default() };
        let update = proto::UpdateProjectRequest { project: Some(project), ..Default::default() };
        self.projects().update_project(self.by_user(principal, update)).await.map(drop)
    }

    async fn withdraw(&self, binding: &str) {
        let request = proto::DeleteBindingRequest { name: binding.into(), ..Default::default() };
        self.access().delete_binding(self.by_admin(request)).await.unwrap();
    }

    /// The ids of all decisions that have left a trace, in the order of the log.
    async fn decisions(&self) -> Vec<String> {
        let page = self.ground.store.read_all(Position(0), Direction::Forwards, &Filter::all(), 10_000).await.unwrap();
        let mut ids: Vec<String> = page.events.iter().filter_map(|event| event.metadata().decision_id).collect();
        ids.dedup();
        ids
    }

    /// Appends so many more events under the decision that the last title was given under.
    async fn follow_up(&self, count: usize) {
        let last = self.events("ProjectDescribed").await.pop().unwrap();
        let events = (0..count).map(|_| NewEvent {
            id: Uuid::new_v4(),
            kind: "test.Followed".into(),
            payload: Default::default(),
            metadata: last.metadata.clone(),
        });
        let write = Write::new(StreamName::stored("test-a"), Expected::Any, events.collect());
        self.ground.store.append(vec![write]).await.unwrap();
    }

    async fn replay(&self, id: &str, rules: Rules) -> proto::ReplayDecisionResponse {
        let request = proto::ReplayDecisionRequest { name: format!("decisions/{id}"), rules: rules.into() };
        self.access().replay_decision(self.by_admin(request)).await.unwrap().into_inner()
    }

    async fn preview(&self, changes: Vec<Change>, page_size: i32, page_token: &str) -> proto::PreviewChangesResponse {
        let changes = changes.into_iter().map(|change| proto::AccessChange { change: Some(change) }).collect();
        let page_token = page_token.to_owned();
        let request = proto::PreviewChangesRequest { changes, page_size, page_token, ..Default::default() };
        self.access().preview_changes(self.by_admin(request)).await.unwrap().into_inner()
    }
}

fn decision_of(refused: &Status) -> String {
    refused.get_details_error_info().unwrap().metadata["decision_id"].clone()
}

#[tokio::test]
async fn what_was_decided_is_decided_again_by_the_roles_of_then_and_of_today() {
    let suite = Suite::begun().await;
    let ada = suite.user(Some(("roles/viewer", "projects/default"))).await;
    let refused = decision_of(&suite.rename(&ada, "mine").await.unwrap_err());
    let binding = suite.grant(&ada, "roles/manager", "projects/default").await.unwrap().name;
    suite.rename(&ada, "ours").await.unwrap();
    let allowed = suite.decisions().await.pop().unwrap();

    let told = suite.replay(&refused, Rules::Then).await;
    assert_eq!((told.was_allowed, told.agrees, told.principal.as_str()), (false, true, ada.as_str()));
    let told = suite.replay(&refused, Rules::Today).await;
    assert_eq!((told.was_allowed, told.agrees), (false, false), "she may by now");
    assert_eq!(told.replayed.unwrap().binding, binding);

    suite.withdraw(&binding).await;
    let told = suite.replay(&allowed, Rules::Unspecified).await;
    assert_eq!((told.was_allowed, told.agrees, told.permission.as_str()), (true, true, "auth.projects.update"));
    assert_eq!(told.replayed.unwrap().binding, binding);
    let told = suite.replay(&allowed, Rules::Today).await;
    assert!(!told.agrees && !told.replayed.unwrap().allowed, "she may no longer");

    let explain = proto::ExplainDecisionRequest { name: format!("decisions/{allowed}") };
    let told = suite.access().explain_decision(suite.by_admin(explain)).await.unwrap().into_inner();
    assert_eq!((told.allowed, told.binding, told.grant_count), (true, binding, 2));
    assert_eq!((told.principal, told.resource), (ada.clone(), "projects/default".to_owned()));
    let nosy = proto::ReplayDecisionRequest { name: format!("decisions/{allowed}"), ..Default::default() };
    assert!(suite.access().replay_decision(suite.by_user(&ada, nosy)).await.is_err());
}

#[tokio::test]
async fn a_change_is_thought_through_on_what_was_asked_for() {
    let suite = Suite::begun().await;
    let ada = suite.user(None).await;
    let bob = suite.user(Some(("roles/viewer", "projects/default"))).await;
    let binding = suite.grant(&ada, "roles/manager", "projects/default").await.unwrap().name;
    for title in ["a", "b", "c"] {
        suite.rename(&ada, title).await.unwrap();
    }
    let refused = decision_of(&suite.rename(&bob, "d").await.unwrap_err());
    // Several events stand under one decision.
    suite.follow_up(3).await;

    let without = suite.preview(vec![Change::Withdraw(binding.clone())], 0, "").await;
    let flips: Vec<_> = without.flips.iter().map(|flip| (flip.principal.as_str(), flip.allowed_today)).collect();
    assert_eq!(flips, [(ada.as_str(), true); 3]);
    assert!(without.flips.iter().all(|flip| !flip.allowed_after) && without.examined_count > 4);
    let disabled = suite.preview(vec![Change::Disable(ada.clone())], 0, "").await;
    assert_eq!(disabled.flips.len(), 3);

    let grant = |resource: &str| {
        let grant = Grant { principal: bob.clone(), role: "roles/manager".into(), resource: resource.into() };
        Change::Grant(grant)
    };
    let with = suite.preview(vec![grant("projects/default")], 0, "").await;
    let [flip] = with.flips.as_slice() else { panic!("{with:?}") };
    assert_eq!(
        (flip.decision.as_str(), flip.allowed_today, flip.allowed_after),
        (&*format!("decisions/{refused}"), false, true)
    );
    assert_eq!(suite.preview(vec![grant("projects/other")], 0, "").await.flips, []);
    assert!(suite.rename(&bob, "d").await.is_err(), "nothing was changed");

    // Page by page it is the same.
    let (mut paged, mut token) = (vec![], String::new());
    loop {
        let page = suite.preview(vec![Change::Withdraw(binding.clone())], 1, &token).await;
        assert!(page.flips.len() <= 1);
        paged.extend(page.flips);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, without.flips);
    for change in [grant("nonsense//"), Change::Withdraw("bindings/none".into()), Change::Disable("robots/r".into())] {
        let changes = vec![proto::AccessChange { change: Some(change) }];
        let request = proto::PreviewChangesRequest { changes, ..Default::default() };
        assert!(suite.access().preview_changes(suite.by_admin(request)).await.is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn every_decision_of_any_history_is_the_same_when_it_is_taken_again(acts in prop::collection::vec((0..6u8, 0..3usize), 5..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let suite = Suite::begun().await;
            let mut people = vec![];
            for _ in 0..3 {
                people.push((suite.user(None).await, vec![]));
            }
            for (act, who) in acts {
                suite.ground.clock.advance(Duration::from_millis(7));
                let (person, bindings) = &mut people[who];
                match act {
                    0 | 1 => {
                        let role = if act == 0 { "roles/manager" } else { "roles/viewer" };
                        // Nothing is given to who is disabled.
                        let binding = suite.grant(person, role, "projects/default").await;
                        bindings.extend(binding.map(|binding| binding.name));
                    }
                    2 => {
                        if let Some(binding) = bindings.pop() {
                            suite.withdraw(&binding).await;
                        }
                    }
                    3 => {
                        let request = proto::DisableUserRequest { name: person.clone(), ..Default::default() };
                        let _ = suite.users().disable_user(suite.by_admin(request)).await;
                    }
                    4 => {
                        let request = proto::EnableUserRequest { name: person.clone(), ..Default::default() };
                        let _ = suite.users().enable_user(suite.by_admin(request)).await;
                    }
                    _ => {
                        let _ = suite.rename(person, "t").await;
                    }
                }
            }
            for id in suite.decisions().await {
                let told = suite.replay(&id, Rules::Then).await;
                assert!(told.agrees, "{told:?}");
            }
        });
    }
}
