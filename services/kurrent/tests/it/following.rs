use cairn_kurrent::Config;
use cairn_kurrent_protocol::shared::Empty;
use cairn_kurrent_protocol::streams::read_req::options::filter_options::{Expression, Filter, Window};
use cairn_kurrent_protocol::streams::read_req::options::stream_options::RevisionOption;
use cairn_kurrent_protocol::streams::read_req::options::{FilterOption, FilterOptions};
use cairn_kurrent_protocol::streams::read_resp::Content;
use tonic::Code;

use crate::house::{ADMIN, Expect, House, all_from, at, followed, next, options_of, proposed, stream, stream_from};

async fn write(house: &House, name: &str, kind: &str) {
    house.append(name, Expect::Any(Empty {}), vec![proposed(kind, "{}")]).await.unwrap();
}

/// What was said, in a word.
fn word(content: &Content) -> String {
    match content {
        Content::Event(event) => {
            let event = event.event.as_ref().unwrap();
            format!("{}@{}", event.metadata["type"], event.stream_revision)
        }
        Content::Confirmation(_) => "confirmed".into(),
        Content::Checkpoint(checkpoint) => format!("checkpoint {}", checkpoint.commit_position),
        Content::CaughtUp(_) => "caught up".into(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_is_followed_from_history_into_what_happens() {
    let house = House::new().await;
    for _ in 0..7 {
        write(&house, "app.a", "Said").await;
    }
    let asked = stream_from("app.a", RevisionOption::Revision(1));
    let mut answers = house.follow_as(ADMIN, followed(asked)).await.unwrap();
    for expected in ["confirmed", "Said@2", "Said@3", "Said@4", "Said@5", "Said@6", "caught up"] {
        assert_eq!(word(&next(&mut answers).await.unwrap()), expected);
    }
    write(&house, "app.b", "Other").await;
    write(&house, "app.a", "Said").await;
    assert_eq!(word(&next(&mut answers).await.unwrap()), "Said@7");
    house.stop().await;
}

#[tokio::test]
async fn checkpoints_tell_how_far_the_log_was_considered_and_no_further() {
    let house = House::new().await;
    let before = house.head();
    for kind in ["No", "No", "Yes", "No", "No", "No", "No", "Yes", "No"] {
        write(&house, "app.a", kind).await;
    }
    let expression = Expression { regex: "^Yes$".into(), prefix: vec![] };
    let filter = FilterOptions {
        filter: Some(Filter::EventType(expression)),
        window: Some(Window::Max(2)),
        checkpoint_interval_multiplier: 2,
    };
    let options = options_of::Options {
        filter_option: Some(FilterOption::Filter(filter.clone())),
        ..followed(all_from(at(before)))
    };
    let mut answers = house.follow_as(ADMIN, options).await.unwrap();
    let mut told = vec![];
    while told.last().is_none_or(|last| last != "caught up") {
        told.push(word(&next(&mut answers).await.unwrap()));
    }
    let at = |n: u64| format!("checkpoint {}", before + n);
    assert_eq!(told, ["confirmed", "Yes@2", &at(4), "Yes@7", &at(9), "caught up"]);
    // Four more that are not wanted, and nobody is left in doubt.
    for _ in 0..4 {
        write(&house, "app.a", "No").await;
    }
    assert_eq!(word(&next(&mut answers).await.unwrap()), at(13));
    let none = FilterOptions { checkpoint_interval_multiplier: 0, ..filter };
    let options = options_of::Options {
        filter_option: Some(FilterOption::Filter(none)),
        ..followed(all_from(crate::house::at(0)))
    };
    assert_eq!(house.follow_as(ADMIN, options).await.unwrap_err().code(), Code::InvalidArgument);
    house.stop().await;
}

#[tokio::test]
async fn whoever_follows_is_told_that_it_stops_and_never_that_all_is_told() {
    let house = House::new().await;
    let mut of_stream = house.follow_as(ADMIN, followed(stream("app.a"))).await.unwrap();
    let mut of_all = house.follow_as(ADMIN, followed(all_from(at(house.head())))).await.unwrap();
    for answers in [&mut of_stream, &mut of_all] {
        assert_eq!(word(&next(answers).await.unwrap()), "confirmed");
        assert_eq!(word(&next(answers).await.unwrap()), "caught up");
    }
    house.begin_to_stop();
    for answers in [&mut of_stream, &mut of_all] {
        assert_eq!(next(answers).await.unwrap_err().code(), Code::Unavailable);
    }
    drop((of_stream, of_all));
    house.stop().await;
}

#[tokio::test]
async fn subscriptions_have_places_that_are_given_back() {
    let house = House::with(Config { subscriptions_max: 2, ..Config::default() }).await;
    let follow = async || house.follow_as(ADMIN, followed(stream("app.a"))).await;
    let (one, _two) = (follow().await.unwrap(), follow().await.unwrap());
    assert_eq!(follow().await.unwrap_err().code(), Code::ResourceExhausted);
    drop(one);
    while follow().await.is_err() {
        tokio::task::yield_now().await;
    }
    house.begin_to_stop();
}
