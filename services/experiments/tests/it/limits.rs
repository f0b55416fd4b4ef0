use cairn_experiments::Config;
use cairn_experiments::app::NewBatch;
use cairn_experiments::model::{EntryKind, Limit, Points};

use crate::support::{Service, call, pairs, points};

fn tagged(keys: &[&str]) -> NewBatch {
    NewBatch { tags: keys.iter().map(|key| ((*key).to_owned(), "v".to_owned())).collect(), ..NewBatch::default() }
}

#[tokio::test]
async fn the_fourth_tag_of_three_is_dropped_with_a_warning_and_the_run_goes_on_s1_46_s1_57() {
    let service = Service::with(Config { tag_keys_per_run_max: 3, ..Config::default() });
    let run = service.run(&service.experiment("a").await).await;
    let logged = service.app.log_batch(&call(), &run, tagged(&["a", "b", "c", "d", "mlflow.user"])).await.unwrap();
    let dropped = &logged.value.batch.dropped;
    assert_eq!(dropped.len(), 1);
    assert_eq!((dropped[0].kind, dropped[0].limit, dropped[0].key.as_str()), (EntryKind::Tag, Limit::Run, "d"));
    assert_eq!(logged.value.batch.tag_count, 4);

    service.log(&run, tagged(&["a", "d"])).await;
    let run = service.app.run(&call(), &run).await.unwrap();
    assert_eq!((run.dropped[0].key.as_str(), run.dropped[0].count), ("d", 2));
    assert_eq!(run.tags.len(), 5, "three, and two that clients keep for themselves");
}

#[tokio::test]
async fn metric_names_beyond_the_limit_are_dropped_and_counted_s1_46_s1_58() {
    let service = Service::with(Config { metric_names_per_run_max: 3, ..Config::default() });
    let run = service.run(&service.experiment("a").await).await;
    let mut batch = Points::builder();
    for key in ["a", "b", "c", "d", "d", "a"] {
        batch.push(key, None, 0, 0, 1.0);
    }
    let batch = NewBatch { metrics: batch.finish(), ..NewBatch::default() };
    let logged = service.app.log_batch(&call(), &run, batch).await.unwrap().value.batch;
    assert_eq!((logged.metric_count, logged.dropped[0].count), (4, 2));
    service.log(&run, NewBatch { metrics: points("a", &[(1, 2.0)]), ..NewBatch::default() }).await;
    let run = service.app.run(&call(), &run).await.unwrap();
    assert_eq!(run.metrics.iter().map(|metric| metric.key.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(run.metrics[0].value, 2.0);
}

#[tokio::test]
async fn params_beyond_the_limit_are_dropped() {
    let service = Service::with(Config { params_per_run_max: 1, ..Config::default() });
    let run = service.run(&service.experiment("a").await).await;
    let batch = NewBatch { params: pairs(&[("a", "1"), ("b", "2")]), ..NewBatch::default() };
    let logged = service.app.log_batch(&call(), &run, batch).await.unwrap().value.batch;
    assert_eq!((logged.param_count, logged.dropped[0].key.as_str()), (1, "b"));
}

#[tokio::test]
async fn tags_of_a_project_are_counted_over_all_its_runs_s1_47_s1_59() {
    let config = Config { tags_per_project_max: 3, ..Config::default() };
    let service = Service::with(config.clone());
    let experiment = service.experiment("a").await;
    let first = service.run(&experiment).await;
    service.log(&first, tagged(&["a", "b"])).await;
    let second = service.run(&experiment).await;
    let logged = service.app.log_batch(&call(), &second, tagged(&["a", "c", "d"])).await.unwrap().value.batch;
    assert_eq!(logged.dropped.len(), 1);
    assert_eq!((logged.dropped[0].key.as_str(), logged.dropped[0].limit), ("d", Limit::Project));

    // Another process counts what the log says.
    let other = Service::over(service.store.clone(), config);
    other.view.reached(service.view.position(), call().deadline).await.unwrap();
    let logged = other.app.log_batch(&call(), &second, tagged(&["c", "e"])).await.unwrap().value.batch;
    assert_eq!(logged.dropped.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["e"]);
}

#[tokio::test]
async fn a_run_gone_wild_leaves_the_room_of_its_project_to_the_others() {
    let service = Service::with(Config { tag_keys_per_run_max: 3, tags_per_project_max: 6, ..Config::default() });
    let experiment = service.experiment("a").await;
    let wild = service.run(&experiment).await;
    for round in 0..10 {
        let keys: Vec<String> = (0..10).map(|n| format!("wild-{round}-{n}")).collect();
        service.log(&wild, tagged(&keys.iter().map(String::as_str).collect::<Vec<_>>())).await;
    }
    let other = service.run(&experiment).await;
    let logged = service.app.log_batch(&call(), &other, tagged(&["a", "b", "c"])).await.unwrap().value.batch;
    assert_eq!(logged.dropped, []);
    // And nothing slips into a run past its project's limit.
    let third = service.run(&experiment).await;
    let logged = service.app.log_batch(&call(), &third, tagged(&["c", "d", "e", "f", "g"])).await.unwrap().value.batch;
    assert_eq!((logged.tag_count, logged.dropped.len()), (1, 4));
}

#[tokio::test]
async fn an_explosion_of_names_leaves_a_bounded_trace() {
    let service = Service::with(Config { metric_names_per_run_max: 10, ..Config::default() });
    let run = service.run(&service.experiment("a").await).await;
    for round in 0..10 {
        let mut batch = Points::builder();
        (0..1000).for_each(|n| batch.push(&format!("m-{round}-{n}"), None, 0, 0, 1.0));
        service.log(&run, NewBatch { metrics: batch.finish(), ..NewBatch::default() }).await;
    }
    let run = service.app.run(&call(), &run).await.unwrap();
    assert_eq!(run.metrics.len(), 10);
    assert_eq!(run.dropped.len(), 101, "a hundred names, and one row for the rest");
    assert_eq!(run.dropped.iter().map(|entry| entry.count).sum::<u64>(), 9990);
}
