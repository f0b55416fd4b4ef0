use std::sync::Arc;

use cairn_eventstore::Commands;
use cairn_experiments::app::WatchFrom;
use cairn_experiments::metrics::{MetricStore, conformance};
use cairn_experiments::model::{Points, RunState};
use cairn_experiments::{Config, open};
use cairn_kernel::{Expected, Position, SystemClock};
use cairn_service::AsOfReads;
use futures::StreamExt;

use crate::support::{Service, call, metrics, points};

#[tokio::test]
async fn the_embedded_store_of_points_does_what_every_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    conformance::all(|log| {
        let part = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        let folder = folder.path().join(part);
        async move {
            let clock = Arc::new(SystemClock);
            let commands = Commands::new(Arc::clone(&log), clock.clone(), 0);
            let past = AsOfReads::none(Arc::clone(&log), clock.clone());
            let (app, _) = open(log, commands, clock, &folder, past, Config::default()).unwrap();
            Arc::clone(app.metrics()) as Arc<dyn MetricStore>
        }
    })
    .await;
}

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
async fn a_sample_of_a_long_curve_is_short_and_has_its_peak() {
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

#[tokio::test]
async fn a_watcher_that_comes_back_gets_all_it_missed_and_nothing_twice() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let mut positions = vec![];
    for step in 0..600 {
        let logged = service.app.log_batch(&call(), &run, metrics(points("m", &[(step, 0.0)]))).await.unwrap();
        positions.push(logged.position);
    }
    service.app.finish_run(&call(), &run, Expected::Any, RunState::Finished, None).await.unwrap();
    for seen in [0, 1, 255, 256, 257, 400, 599] {
        let from = WatchFrom { after: positions[seen], ..WatchFrom::default() };
        let mut watch = Box::pin(service.app.watch_metrics(&run, from).await.unwrap());
        let mut steps = vec![];
        while let Some(watched) = watch.next().await {
            steps.extend(watched.unwrap().points.into_iter().map(|(_, step, _, _)| step));
        }
        assert_eq!(steps, (seen as i64 + 1..600).collect::<Vec<_>>(), "after {seen}");
    }
}
