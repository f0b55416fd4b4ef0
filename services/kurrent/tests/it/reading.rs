use cairn_kurrent_protocol::shared::Empty;
use cairn_kurrent_protocol::streams::read_req::options::all_options::AllOption;
use cairn_kurrent_protocol::streams::read_req::options::stream_options::RevisionOption;
use cairn_kurrent_protocol::streams::read_req::options::{ControlOption, UuidOption, uuid_option};
use cairn_kurrent_protocol::streams::read_resp::Content;
use tonic::Code;

use crate::house::{
    ADMIN, Expect, House, all, all_from, at, backwards, events, limited, options_of, proposed, revisions, stream,
    stream_from,
};

async fn written(house: &House, name: &str, count: usize) {
    let events = (0..count).map(|n| proposed("Said", &format!("{{\"n\":{n}}}"))).collect();
    house.append(name, Expect::Any(Empty {}), events).await.unwrap();
}

#[tokio::test]
async fn a_stream_is_read_from_anywhere_both_ways() {
    let house = House::new().await;
    written(&house, "app.a", 8).await;
    let from = |revision| stream_from("app.a", RevisionOption::Revision(revision));
    let end = || stream_from("app.a", RevisionOption::End(Empty {}));
    for (asked, expected) in [
        (stream("app.a"), (0..8).collect::<Vec<_>>()),
        (from(5), vec![5, 6, 7]),
        (limited(from(2), 4), vec![2, 3, 4, 5]),
        (limited(stream("app.a"), 0), vec![]),
        (from(8), vec![]),
        (end(), vec![]),
        (backwards(end()), (0..8).rev().collect()),
        (backwards(from(2)), vec![2, 1, 0]),
        (limited(backwards(from(99)), 2), vec![7, 6]),
        (backwards(stream("app.a")), vec![0]),
    ] {
        assert_eq!(revisions(&house.read(asked.clone()).await.unwrap()), expected, "{asked:?}");
    }
    house.stop().await;
}

#[tokio::test]
async fn whoever_knows_of_ends_is_told_where_a_stream_has_them() {
    let house = House::new().await;
    written(&house, "app.a", 4).await;
    let knowing = |options| options_of::Options { control_option: Some(ControlOption { compatibility: 1 }), ..options };
    let told = house.read(knowing(limited(stream("app.a"), 1))).await.unwrap();
    assert!(matches!(told[1..], [Content::LastStreamPosition(3)]), "{told:?}");
    let told = house.read(knowing(stream_from("app.a", RevisionOption::Revision(9)))).await.unwrap();
    assert!(matches!(told[..], [Content::FirstStreamPosition(0), Content::LastStreamPosition(3)]), "{told:?}");
    house.stop().await;
}

#[tokio::test]
async fn the_log_is_read_both_ways_and_a_position_counts_forwards_alone() {
    let house = House::new().await;
    let before = house.head();
    written(&house, "app.a", 7).await;
    let head = house.head();
    let positions = async |options| -> Vec<u64> {
        let told = house.read(options).await.unwrap();
        events(&told).iter().map(|event| event.commit_position).collect()
    };
    assert_eq!(positions(all()).await, (1..=head).collect::<Vec<_>>());
    assert_eq!(positions(all_from(at(before + 3))).await, (before + 3..=head).collect::<Vec<_>>());
    assert_eq!(positions(limited(backwards(all_from(at(head))), 2)).await, [head - 1, head - 2]);
    assert_eq!(positions(backwards(all_from(AllOption::End(Empty {})))).await, (1..=head).rev().collect::<Vec<_>>());
    for nothing in [
        all_from(AllOption::End(Empty {})),
        all_from(at(head + 1)),
        backwards(all()),
        backwards(all_from(at(1))),
        limited(all(), 0),
    ] {
        assert_eq!(positions(nothing.clone()).await, [0; 0], "{nothing:?}");
    }
    for beyond in
        [all_from(at(head + 2)), backwards(all_from(at(u64::MAX))), crate::house::followed(all_from(at(head + 1)))]
    {
        let refused = house.follow_as(ADMIN, beyond).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("Trying to read from an invalid position."), "{refused}");
    }
    house.stop().await;
}

#[tokio::test]
async fn names_that_lead_nowhere_have_nothing_behind_them() {
    let house = House::new().await;
    written(&house, "app.a", 2).await;
    // The last is how the log itself calls what a program keeps.
    for name in ["$ce-app", "$$auth.user-users/admin", "$all", "app.missing", "eventstore.stream-app.a"] {
        let told = house.read(stream(name)).await.unwrap();
        assert!(matches!(told[..], [Content::StreamNotFound(_)]), "{name}: {told:?}");
    }
    house.stop().await;
}

#[tokio::test]
async fn an_event_of_the_platform_is_json_with_who_and_why() {
    let house = House::new().await;
    let position = house.run("projects/a/runs/r").await;
    let name = "experiments.run-projects/a/runs/r";
    let told = house.read(stream(name)).await.unwrap();
    let [event] = events(&told)[..] else { panic!("{told:?}") };
    assert_eq!((event.stream_revision, event.commit_position), (0, position.0));
    assert_eq!(event.metadata["type"], "cairn.experiments.events.v1.RunCreated");
    assert_eq!(event.metadata["content-type"], "application/json");
    let data: serde_json::Value = serde_json::from_slice(&event.data).unwrap();
    assert_eq!((&data["run"], &data["display_name"]), (&"projects/a/runs/r".into(), &"first try".into()));
    let said: serde_json::Value = serde_json::from_slice(&event.custom_metadata).unwrap();
    assert_eq!(
        said,
        serde_json::json!({
            "principal": ADMIN, "action": "experiments.run.change", "resource": "projects/a/runs/r",
            "$correlationId": "request-1",
        })
    );
    house.stop().await;
}

#[tokio::test]
async fn a_question_that_is_none_is_refused() {
    let house = House::new().await;
    let unsaid = options_of::Options { uuid_option: None, ..stream("app.a") };
    let formless = options_of::Options { uuid_option: Some(UuidOption { content: None }), ..stream("app.a") };
    let nowhere = options_of::Options { stream_option: None, ..stream("app.a") };
    let countless = options_of::Options { count_option: None, ..stream("app.a") };
    let backwards_for_ever = backwards(crate::house::followed(all()));
    for asked in [unsaid, formless, nowhere, countless, backwards_for_ever] {
        assert_eq!(house.follow_as(ADMIN, asked).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let structured = uuid_option::Content::Structured(Empty {});
    let options = options_of::Options { uuid_option: Some(UuidOption { content: Some(structured) }), ..all() };
    let told = house.read(options).await.unwrap();
    let value = events(&told)[0].id.as_ref().unwrap().value.as_ref().unwrap();
    assert!(matches!(value, cairn_kurrent_protocol::shared::uuid::Value::Structured(_)), "{value:?}");
    house.stop().await;
}
