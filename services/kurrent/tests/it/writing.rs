use std::time::Duration;

use cairn_kurrent_protocol::shared::{self, Empty};
use cairn_kurrent_protocol::streams::append_resp::{self, success, wrong_expected_version as wrong};
use cairn_kurrent_protocol::streams::{AppendResp, DeleteReq, TombstoneReq, append_req, delete_req, tombstone_req};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::house::{
    ADMIN, APPEND_BYTES_MAX, EVENT_BYTES_MAX, Expect, House, events, named, of, pass, proposed, revisions, stream,
    stream_from, trailer,
};

/// How an append ended: the last revision, or what was there instead of what was expected.
fn outcome(appended: AppendResp) -> Result<Option<u64>, Option<u64>> {
    match appended.result.unwrap() {
        append_resp::Result::Success(done) => Ok(match done.current_revision_option.unwrap() {
            success::CurrentRevisionOption::CurrentRevision(revision) => Some(revision),
            success::CurrentRevisionOption::NoStream(_) => None,
        }),
        append_resp::Result::WrongExpectedVersion(refused) => {
            let old = refused.current_revision_option_20_6_0.unwrap();
            Err(match refused.current_revision_option.unwrap() {
                wrong::CurrentRevisionOption::CurrentRevision(revision) => {
                    assert_eq!(old, wrong::CurrentRevisionOption2060::CurrentRevision2060(revision));
                    Some(revision)
                }
                wrong::CurrentRevisionOption::CurrentNoStream(_) => {
                    assert_eq!(old, wrong::CurrentRevisionOption2060::NoStream2060(Empty {}));
                    None
                }
            })
        }
    }
}

async fn delete(
    house: &House,
    name: &str,
    expected: delete_req::options::ExpectedStreamRevision,
) -> Result<(), Status> {
    let options =
        delete_req::Options { stream_identifier: Some(named(name)), expected_stream_revision: Some(expected) };
    house.client().delete(of(ADMIN, DeleteReq { options: Some(options) })).await.map(drop)
}

async fn tombstone(house: &House, name: &str) -> Result<(), Status> {
    let any = tombstone_req::options::ExpectedStreamRevision::Any(Empty {});
    let options = tombstone_req::Options { stream_identifier: Some(named(name)), expected_stream_revision: Some(any) };
    house.client().tombstone(of(ADMIN, TombstoneReq { options: Some(options) })).await.map(drop)
}

const ANY: delete_req::options::ExpectedStreamRevision = delete_req::options::ExpectedStreamRevision::Any(Empty {});

fn some(count: usize) -> Vec<append_req::ProposedMessage> {
    (0..count).map(|n| proposed("Said", &format!("{{\"n\":{n}}}"))).collect()
}

#[tokio::test]
async fn an_append_is_held_against_what_is_expected() {
    let house = House::new().await;
    for (start, expected, ends) in [
        (0, Expect::Any(Empty {}), Ok(Some(0))),
        (0, Expect::NoStream(Empty {}), Ok(Some(0))),
        (0, Expect::StreamExists(Empty {}), Err(None)),
        (0, Expect::Revision(0), Err(None)),
        (2, Expect::Any(Empty {}), Ok(Some(2))),
        (2, Expect::NoStream(Empty {}), Err(Some(1))),
        (2, Expect::StreamExists(Empty {}), Ok(Some(2))),
        (2, Expect::Revision(1), Ok(Some(2))),
        (2, Expect::Revision(0), Err(Some(1))),
        (2, Expect::Revision(9), Err(Some(1))),
    ] {
        let name = format!("app.{}", Uuid::new_v4());
        if start > 0 {
            house.append(&name, Expect::NoStream(Empty {}), some(start)).await.unwrap();
        }
        let appended = house.append(&name, expected, some(1)).await.unwrap();
        assert_eq!(outcome(appended), ends, "{start} {expected:?}");
    }
    house.stop().await;
}

#[tokio::test]
async fn nothing_is_an_append_too_and_writes_nothing() {
    let house = House::new().await;
    let head = house.head();
    let appended = house.append("app.a", Expect::Any(Empty {}), vec![]).await.unwrap();
    assert_eq!(outcome(appended), Ok(None));
    house.append("app.a", Expect::Any(Empty {}), some(3)).await.unwrap();
    let appended = house.append("app.a", Expect::Revision(2), vec![]).await.unwrap();
    assert_eq!(outcome(appended), Ok(Some(2)));
    let refused = house.append("app.a", Expect::Revision(1), vec![]).await.unwrap();
    assert_eq!(outcome(refused), Err(Some(2)));
    assert_eq!(house.head(), head + 3);
    house.stop().await;
}

#[tokio::test]
async fn what_is_malformed_is_refused_with_its_trailers() {
    let house = House::new().await;
    let append = async |event| house.append("app.a", Expect::Any(Empty {}), vec![event]).await.unwrap_err();
    let mut nameless = proposed("Said", "{}");
    nameless.metadata.remove("type");
    let refused = append(nameless).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(trailer(&refused, "exception"), "missing-required-metadata-property");
    let anonymous = append_req::ProposedMessage { id: None, ..proposed("Said", "{}") };
    assert_eq!(append(anonymous).await.code(), Code::InvalidArgument);
    let refused = append(proposed("Said", &"x".repeat(EVENT_BYTES_MAX))).await;
    assert_eq!(trailer(&refused, "exception"), "maximum-append-event-size-exceeded");
    assert_eq!(trailer(&refused, "maximum-append-event-size"), EVENT_BYTES_MAX.to_string());
    let many = (0..6).map(|_| proposed("Said", &"x".repeat(EVENT_BYTES_MAX - 4))).collect();
    let refused = house.append("app.a", Expect::Any(Empty {}), many).await.unwrap_err();
    assert_eq!(trailer(&refused, "exception"), "maximum-append-size-exceeded");
    assert_eq!(trailer(&refused, "maximum-append-size"), APPEND_BYTES_MAX.to_string());
    let twin = proposed("Said", "{}");
    let refused = house.append("app.a", Expect::Any(Empty {}), vec![twin.clone(), twin]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for name in ["", "experiments.run-projects/a/runs/r", "$all", "$$$x", "elsewhere"] {
        let refused = house.append(name, Expect::Any(Empty {}), some(1)).await.unwrap_err();
        let expected = if name.is_empty() { "" } else { "access-denied" };
        assert_eq!(trailer(&refused, "exception"), expected, "{name:?}");
        assert!(refused.details().is_empty(), "clients take details for an error of another protocol");
    }
    assert_eq!(house.read(stream("app.a")).await.map(|told| events(&told).len()).unwrap(), 0);
    house.stop().await;
}

#[tokio::test]
async fn an_id_is_one_however_it_is_written() {
    let house = House::new().await;
    let id = Uuid::from_u128(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef);
    let (most, least) = id.as_u64_pair();
    let structured = shared::uuid::Value::Structured(shared::uuid::Structured {
        most_significant_bits: most.cast_signed(),
        least_significant_bits: least.cast_signed(),
    });
    let event =
        append_req::ProposedMessage { id: Some(shared::Uuid { value: Some(structured) }), ..proposed("Said", "{}") };
    house.append("app.a", Expect::Any(Empty {}), vec![event.clone()]).await.unwrap();
    let again = append_req::ProposedMessage { id: Some(crate::house::text(id)), ..event };
    assert_eq!(outcome(house.append("app.a", Expect::Any(Empty {}), vec![again]).await.unwrap()), Ok(Some(0)));
    let told = house.read(stream("app.a")).await.unwrap();
    assert_eq!(events(&told)[0].id, Some(crate::house::text(id)));
    assert_eq!(events(&told).len(), 1);
    house.stop().await;
}

#[tokio::test]
async fn a_deleted_stream_comes_back_behind_what_was_deleted() {
    let house = House::new().await;
    let refused = delete(&house, "app.a", ANY).await.unwrap_err();
    assert_eq!((trailer(&refused, "exception"), trailer(&refused, "actual-version")), ("wrong-expected-version", "-1"));
    house.append("app.a", Expect::Any(Empty {}), some(3)).await.unwrap();
    let wrong = delete_req::options::ExpectedStreamRevision::Revision(1);
    let refused = delete(&house, "app.a", wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(
        refused.message(),
        "Delete failed due to WrongExpectedVersion. Stream: app.a, Expected version: 1, Actual version: 2"
    );
    delete(&house, "app.a", ANY).await.unwrap();
    let head = house.head();
    delete(&house, "app.a", ANY).await.unwrap();
    assert_eq!(house.head(), head, "a deleted stream is deleted");
    let gone = house.read(stream("app.a")).await.unwrap();
    assert!(matches!(&gone[..], [cairn_kurrent_protocol::streams::read_resp::Content::StreamNotFound(_)]), "{gone:?}");
    let refused = house.append("app.a", Expect::StreamExists(Empty {}), some(1)).await.unwrap_err();
    assert_eq!(trailer(&refused, "exception"), "stream-deleted");
    assert_eq!(outcome(house.append("app.a", Expect::Revision(1), some(1)).await.unwrap()), Err(Some(2)));
    let three = some(1);
    assert_eq!(outcome(house.append("app.a", Expect::NoStream(Empty {}), three.clone()).await.unwrap()), Ok(Some(3)));
    assert_eq!(outcome(house.append("app.a", Expect::NoStream(Empty {}), three).await.unwrap()), Ok(Some(3)));
    assert_eq!(revisions(&house.read(stream("app.a")).await.unwrap()), [3]);
    house.stop().await;
}

#[tokio::test]
async fn a_tombstone_is_for_good() {
    let house = House::new().await;
    house.append("app.a", Expect::Any(Empty {}), some(1)).await.unwrap();
    tombstone(&house, "app.a").await.unwrap();
    let refusals = [
        tombstone(&house, "app.a").await.unwrap_err(),
        delete(&house, "app.a", ANY).await.unwrap_err(),
        house.append("app.a", Expect::Any(Empty {}), some(1)).await.unwrap_err(),
        house.append("$$app.a", Expect::Any(Empty {}), some(1)).await.unwrap_err(),
        // Refused as a whole, before anything is answered.
        house.follow_as(ADMIN, stream("app.a")).await.unwrap_err(),
        house.follow_as(ADMIN, stream("$$app.a")).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert_eq!(trailer(&refused, "exception"), "stream-deleted");
        assert!(trailer(&refused, "stream-name").ends_with("app.a"));
    }
    house.stop().await;
}

#[tokio::test]
async fn limits_are_kept_to_when_a_stream_is_read() {
    let house = House::new().await;
    let say = async |said: &str| {
        house.append("$$app.a", Expect::Any(Empty {}), vec![proposed("$metadata", said)]).await.unwrap();
    };
    house.append("app.a", Expect::Any(Empty {}), some(4)).await.unwrap();
    pass(&house, Duration::from_secs(60));
    house.append("app.a", Expect::Any(Empty {}), some(4)).await.unwrap();
    for (said, shown) in [
        (r#"{"$maxCount": 3}"#, vec![5, 6, 7]),
        (r#"{"$tb": 6}"#, vec![6, 7]),
        (r#"{"$tb": 60}"#, vec![]),
        (r#"{"$maxAge": 30}"#, vec![4, 5, 6, 7]),
        (r#"{"$maxAge": 90, "$maxCount": 5}"#, vec![3, 4, 5, 6, 7]),
        ("{}", (0..8).collect::<Vec<_>>()),
    ] {
        say(said).await;
        assert_eq!(revisions(&house.read(stream("app.a")).await.unwrap()), shown, "{said}");
        let end = cairn_kurrent_protocol::streams::read_req::options::stream_options::RevisionOption::End(Empty {});
        let back = house.read(crate::house::backwards(stream_from("app.a", end))).await.unwrap();
        assert_eq!(revisions(&back), shown.into_iter().rev().collect::<Vec<_>>(), "{said} backwards");
    }
    let said = house.read(stream("$$app.a")).await.unwrap();
    assert_eq!(revisions(&said), [5], "of what is said the last counts");
    assert_eq!(events(&said)[0].stream_identifier, Some(named("$$app.a")));
    house.stop().await;
}
