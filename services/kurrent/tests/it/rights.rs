use cairn_eventstore::{Direction, EventStore, Filter};
use cairn_kernel::Position;
use cairn_kurrent_protocol::shared::Empty;
use tonic::Code;

use crate::house::{ADMIN, Expect, GUEST, House, MANAGER, VIEWER, all, events, followed, proposed, stream, trailer};

#[tokio::test]
async fn everybody_sees_their_part_of_the_log() {
    let house = House::new().await;
    house.run("projects/a/runs/one").await;
    house.run("projects/b/runs/two").await;
    house.append("app.a", Expect::Any(Empty {}), vec![proposed("Said", "{}")]).await.unwrap();
    let seen = async |principal| -> Vec<String> {
        let told = house.read_as(principal, all()).await.unwrap();
        let name = |event: &&_| {
            let event: &cairn_kurrent_protocol::streams::read_resp::read_event::RecordedEvent = event;
            String::from_utf8(event.stream_identifier.clone().unwrap().stream_name.to_vec()).unwrap()
        };
        events(&told).iter().map(name).collect()
    };
    assert_eq!(seen(ADMIN).await.len() as u64, house.head());
    assert_eq!(
        seen(MANAGER).await,
        ["auth.project-projects/a", "auth.binding-projects/a/bindings/m", "experiments.run-projects/a/runs/one"]
    );
    assert_eq!(seen(VIEWER).await, ["app.a"], "the log of the platform takes another right");
    house.stop().await;
}

#[tokio::test]
async fn what_may_not_be_seen_and_what_is_not_there_look_the_same() {
    let house = House::new().await;
    house.run("projects/b/runs/two").await;
    house.append("app.a", Expect::Any(Empty {}), vec![proposed("Said", "{}")]).await.unwrap();
    for name in
        ["experiments.run-projects/b/runs/two", "experiments.run-projects/b/runs/none", "app.a", "app.none", "$$app.a"]
    {
        for asked in [stream(name), followed(stream(name))] {
            let refused = house.follow_as(MANAGER, asked).await.unwrap_err();
            assert_eq!(
                (refused.code(), trailer(&refused, "exception")),
                (Code::PermissionDenied, "access-denied"),
                "{name}"
            );
        }
    }
    // In a project of their own they are told what is not there, and may wait for it.
    assert_eq!(house.read_as(MANAGER, stream("experiments.run-projects/a/runs/none")).await.unwrap().len(), 1);
    assert!(house.follow_as(MANAGER, followed(stream("experiments.run-projects/a/runs/none"))).await.is_ok());
    house.begin_to_stop();
}

#[tokio::test]
async fn whoever_is_refused_is_on_record() {
    let house = House::new().await;
    for (principal, code) in
        [(VIEWER, Code::PermissionDenied), (GUEST, Code::PermissionDenied), ("", Code::Unauthenticated)]
    {
        let refused = house.append_as(principal, "app.a", Expect::Any(Empty {}), vec![proposed("Said", "{}")]).await;
        assert_eq!(refused.unwrap_err().code(), code, "{principal:?}");
    }
    let refused =
        house.append_as(ADMIN, "auth.user-users/x", Expect::Any(Empty {}), vec![proposed("Said", "{}")]).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(house.follow_as(GUEST, all()).await.unwrap_err().code(), Code::PermissionDenied);
    let page = house.store.read_all(Position::START, Direction::Forwards, &Filter::all(), 1_000).await.unwrap();
    let recorded: Vec<_> = page
        .events
        .iter()
        .filter(|event| event.stream.category() == "ledger.access")
        .map(|event| (event.metadata().principal, event.kind.rsplit('.').next().unwrap().to_owned()))
        .collect();
    let said = |principal: &str, kind: &str| (principal.to_owned(), kind.to_owned());
    let denied = |principal| said(principal, "AccessDenied");
    assert_eq!(recorded, [denied(VIEWER), denied(GUEST), said(ADMIN, "CommandRejected"), denied(GUEST)]);
    house.stop().await;
}
