use cairn_experiments::app::WatchFrom;
use cairn_experiments::model::{Points, RunName, RunState};
use cairn_kernel::{Expected, Position};
use futures::StreamExt;

use crate::support::{Service, call, metrics, points};

#[tokio::test]
async fn out_of_order_steps_nan_and_infinities_are_kept_s3_11() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let mut batch = Points::builder();
    for (step, time_ms, value) in [
        (5, 30, f64::INFINITY),
        (-1, 10, f64::NAN),
        (5, 30, f64::INFINITY),
        (0, 20, f64::NEG_INFINITY),
        (i64::MAX, 5, 0.1),
    ] {
        batch.push("m", None, step, time_ms, value);
    }
    service.log(&run, metrics(batch.finish())).await;
    let rows = service.app.metrics().history(&run, "m", None, 100).await.unwrap().rows;
    let rows: Vec<_> = rows.iter().map(|row| (row.step, row.time_ms, row.value.to_bits())).collect();
    let bits = f64::to_bits;
    let expected = [
        (i64::MAX, 5, bits(0.1)),
        (-1, 10, bits(f64::NAN)),
        (0, 20, bits(f64::NEG_INFINITY)),
        (5, 30, bits(f64::INFINITY)),
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_long_history_reads_the_same_in_pages_and_at_once() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let mut sent = vec![];
    // Batches of many sizes, some of them from the past, so that chunks of every size overlap.
    for round in 0..400_i64 {
        let mut batch = Points::builder();
        for n in 0..(round % 37) + 1 {
            let time_ms = if round % 5 == 0 { n * 100 } else { round * 1000 + n };
            batch.push("m", None, round, time_ms, (round * n) as f64);
            sent.push((time_ms, round, ((round * n) as f64).to_bits()));
        }
        service.log(&run, metrics(batch.finish())).await;
    }
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(history(&service, &run, usize::MAX >> 1).await, sent);
    assert_eq!(history(&service, &run, 100).await, sent);
}

#[tokio::test]
async fn a_page_begins_where_the_last_one_ended_whatever_was_logged_since() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    service.log(&run, metrics(points("m", &[(0, 0.0), (1, 1.0), (2, 2.0)]))).await;
    let first = service.app.metrics().history(&run, "m", None, 2).await.unwrap();
    let mut late = Points::builder();
    late.push("m", None, 9, 0, 9.0);
    service.log(&run, metrics(late.finish())).await;
    let second = service.app.metrics().history(&run, "m", first.next, 2).await.unwrap();
    assert_eq!(second.rows.iter().map(|row| row.value).collect::<Vec<_>>(), [2.0]);
    assert!(second.next.is_none());
}

#[tokio::test]
async fn a_sample_of_a_long_curve_is_short_and_has_its_peak_s4_36() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let values: Vec<(i64, f64)> =
        (0..30_000).map(|step| (step, if step == 17_777 { 1e6 } else { (step as f64).sin() })).collect();
    for batch in values.chunks(10_000) {
        service.log(&run, metrics(points("m", batch))).await;
    }
    let sample = service.app.metrics().sample(&run, "m", i64::MIN..=i64::MAX, 500).await.unwrap();
    assert!(sample.rows.len() <= 500);
    assert_eq!(sample.total_count, 30_000);
    assert!(sample.rows.iter().any(|row| row.value == 1e6));
    let part = service.app.metrics().sample(&run, "m", 10..=12, 500).await.unwrap();
    assert_eq!(part.rows.iter().map(|row| row.step).collect::<Vec<_>>(), [10, 11, 12]);
}

#[tokio::test]
async fn a_watcher_sees_history_then_live_points_then_the_end() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    service.log(&run, metrics(points("m", &[(0, 0.0), (1, 1.0)]))).await;
    let mut watch = Box::pin(service.app.watch_metrics(&run, WatchFrom::default()).await.unwrap());
    let history = watch.next().await.unwrap().unwrap();
    assert_eq!((history.points.len(), history.is_live, history.ended), (2, true, None));

    service.log(&run, metrics(points("m", &[(2, 2.0)]))).await;
    let live = watch.next().await.unwrap().unwrap();
    assert_eq!(live.points, [("m".to_owned(), 2, 0, 2.0)]);
    service.app.finish_run(&call(), &run, Expected::Any, RunState::Failed, None).await.unwrap();
    let last = watch.next().await.unwrap().unwrap();
    assert_eq!((last.points.len(), last.ended), (0, Some(RunState::Failed)));
    assert!(watch.next().await.is_none());

    let from = WatchFrom { after: history.position, ..WatchFrom::default() };
    let mut resumed = Box::pin(service.app.watch_metrics(&run, from).await.unwrap());
    assert_eq!(resumed.next().await.unwrap().unwrap().points, live.points);
    let from = WatchFrom { after: Position::START, metrics: ["other".to_owned()].into() };
    let mut filtered = Box::pin(service.app.watch_metrics(&run, from).await.unwrap());
    assert!(filtered.next().await.unwrap().unwrap().points.is_empty());
}

async fn history(service: &Service, run: &RunName, page: usize) -> Vec<(i64, i64, u64)> {
    let (mut rows, mut after) = (vec![], None);
    loop {
        let read = service.app.metrics().history(run, "m", after, page).await.unwrap();
        rows.extend(read.rows.iter().map(|row| (row.time_ms, row.step, row.value.to_bits())));
        match read.next {
            Some(next) => after = Some(next),
            None => return rows,
        }
    }
}
