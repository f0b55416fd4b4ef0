use cairn_kurrent_protocol::shared;
use cairn_kurrent_protocol::streams::batch_append_req::options::{DeadlineOption, ExpectedStreamPosition};
use cairn_kurrent_protocol::streams::batch_append_req::{Options, ProposedMessage};
use cairn_kurrent_protocol::streams::{BatchAppendReq, BatchAppendResp, batch_append_resp};
use futures::stream;
use prost::Name;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::house::{ADMIN, APPEND_BYTES_MAX, House, VIEWER, named, of, proposed, revisions, stream as whole, text};

fn options(name: &str, expected: ExpectedStreamPosition) -> Options {
    Options {
        stream_identifier: Some(named(name)),
        expected_stream_position: Some(expected),
        // As some clients do: a moment where a length should be.
        deadline_option: Some(DeadlineOption::Deadline(prost_types::Duration { seconds: 1_800_000_000, nanos: 0 })),
    }
}

fn part(id: Uuid, options: Option<Options>, count: usize, size: usize, is_final: bool) -> BatchAppendReq {
    let event = || {
        let event = proposed("Said", &"x".repeat(size));
        ProposedMessage {
            id: event.id,
            metadata: event.metadata,
            custom_metadata: event.custom_metadata,
            data: event.data,
        }
    };
    BatchAppendReq {
        correlation_id: Some(text(id)),
        options,
        proposed_messages: (0..count).map(|_| event()).collect(),
        is_final,
    }
}

async fn answers(house: &House, principal: &str, sent: Vec<BatchAppendReq>) -> Result<Vec<BatchAppendResp>, Status> {
    let mut answers = house.client().batch_append(of(principal, stream::iter(sent))).await?.into_inner();
    let mut told = vec![];
    while let Some(answer) = answers.message().await? {
        told.push(answer);
    }
    Ok(told)
}

/// How a batch ended: its last revision, or a code and the name of what else is said.
fn outcome(answer: &BatchAppendResp) -> Result<u64, (Code, String)> {
    use batch_append_resp::success::CurrentRevisionOption;
    match answer.result.as_ref().unwrap() {
        batch_append_resp::Result::Success(done) => match done.current_revision_option {
            Some(CurrentRevisionOption::CurrentRevision(revision)) => Ok(revision),
            _ => panic!("nothing was appended"),
        },
        batch_append_resp::Result::Error(status) => {
            let [detail] = &status.details[..] else { panic!("{status:?}") };
            Err((status.code.into(), detail.type_url.rsplit('/').next().unwrap().to_owned()))
        }
    }
}

const ANY: ExpectedStreamPosition = ExpectedStreamPosition::Any(());

#[tokio::test]
async fn a_batch_in_parts_is_one_append_and_each_is_answered_for_itself() {
    let house = House::new().await;
    let [one, two, three] = std::array::from_fn(|_| Uuid::new_v4());
    let sent = vec![
        part(one, Some(options("app.a", ANY)), 2, 10, false),
        part(two, Some(options("app.b", ANY)), 1, 10, true),
        part(one, None, 2, 10, false),
        part(one, None, 0, 0, true),
        part(three, Some(options("app.a", ExpectedStreamPosition::StreamPosition(1))), 1, 10, true),
    ];
    let told = answers(&house, ADMIN, sent).await.unwrap();
    let ids: Vec<_> = told.iter().map(|answer| answer.correlation_id.clone().unwrap()).collect();
    assert_eq!(ids, [two, one, three].map(text));
    let wrong = (Code::AlreadyExists, shared::WrongExpectedVersion::full_name());
    assert_eq!(told.iter().map(outcome).collect::<Vec<_>>(), [Ok(0), Ok(3), Err(wrong)]);
    assert_eq!(told[2].stream_identifier, Some(named("app.a")));
    assert_eq!(revisions(&house.read(whole("app.a")).await.unwrap()), [0, 1, 2, 3]);
    house.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_one_batch_is_told_and_the_others_go_on() {
    let house = House::new().await;
    let id = Uuid::new_v4;
    let late = Options {
        deadline_option: Some(DeadlineOption::Deadline21100(prost_types::Timestamp { seconds: 1, nanos: 0 })),
        ..options("app.a", ANY)
    };
    let sent = vec![
        part(id(), Some(options("experiments.run-x", ANY)), 1, 10, true),
        part(id(), Some(options("app.a", ANY)), 7, 900, true),
        part(id(), Some(options("app.a", ANY)), 1, 2_000, true),
        part(id(), None, 1, 10, true),
        part(id(), Some(late), 1, 10, true),
        part(id(), Some(options("app.a", ANY)), 1, 10, true),
    ];
    let told = answers(&house, ADMIN, sent).await.unwrap();
    let said: Vec<_> = told.iter().map(outcome).collect();
    assert_eq!(
        said,
        [
            Err((Code::PermissionDenied, shared::AccessDenied::full_name())),
            Err((Code::InvalidArgument, shared::MaximumAppendSizeExceeded::full_name())),
            Err((Code::InvalidArgument, shared::MaximumAppendEventSizeExceeded::full_name())),
            Err((Code::InvalidArgument, shared::BadRequest::full_name())),
            Err((Code::DeadlineExceeded, shared::Timeout::full_name())),
            Ok(0),
        ]
    );
    house.stop().await;
}

#[tokio::test]
async fn each_batch_takes_the_right_and_the_call_takes_a_caller() {
    let house = House::new().await;
    let sent = || vec![part(Uuid::new_v4(), Some(options("app.a", ANY)), 1, 10, true)];
    let told = answers(&house, VIEWER, sent()).await.unwrap();
    assert_eq!(outcome(&told[0]), Err((Code::PermissionDenied, shared::AccessDenied::full_name())));
    assert_eq!(answers(&house, "", sent()).await.unwrap_err().code(), Code::Unauthenticated);
    house.stop().await;
}

#[tokio::test]
async fn batches_that_are_never_complete_do_not_pile_up() {
    let house = House::new().await;
    let sent: Vec<_> = (0..20).map(|_| part(Uuid::new_v4(), Some(options("app.a", ANY)), 1, 900, false)).collect();
    const { assert!(20 * 900 > 2 * APPEND_BYTES_MAX) };
    assert_eq!(answers(&house, ADMIN, sent).await.unwrap_err().code(), Code::ResourceExhausted);
    house.stop().await;
}
