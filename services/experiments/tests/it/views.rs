use cairn_eventstore::{Direction, EventStore, Stored};
use cairn_experiments::Config;
use cairn_experiments::app::{NewBatch, RunDraft};
use cairn_experiments::model::{Run, RunName, RunState};
use cairn_experiments::query::{RunDetail, RunRecord, RunSearch};
use cairn_kernel::{Aggregate, Expected, Revision, Time};
use futures::future::join_all;

use crate::support::{Service, call, pairs, points, project};

const RUNS: usize = 1000;

/// Does something different with each run, by its number.
async fn live(service: &Service, number: usize, run: &RunName) {
    let value = number.to_string();
    let batch = NewBatch {
        metrics: points("loss", &[(0, number as f64), (1, f64::NAN)]),
        params: pairs(&[("depth", &value)]),
        tags: pairs(&[("k", &value), ("gone", "1")]),
        ..NewBatch::default()
    };
    service.log(run, batch).await;
    let (set, delete) = (pairs(&[("mlflow.runName", &value)]), vec!["gone".to_owned()]);
    if number.is_multiple_of(2) {
        service.app.tag_run(&call(), run, Expected::Any, set, delete).await.unwrap();
    }
    if number.is_multiple_of(3) {
        let end = Some(Time::from_millis(number as i64));
        service.app.finish_run(&call(), run, Expected::Any, RunState::Failed, end).await.unwrap();
    }
    if number.is_multiple_of(5) {
        service.app.delete_run(&call(), run, Expected::Any).await.unwrap();
    }
}

async fn populated() -> (Service, Vec<RunName>) {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let runs = join_all((0..RUNS).map(|number| {
        let (service, experiment) = (&service, &experiment);
        async move {
            let draft = RunDraft { display_name: format!("run {number}"), ..RunDraft::default() };
            let run = service.app.create_run(&call(), experiment, draft).await.unwrap().value.name;
            live(service, number, &run).await;
            run
        }
    }))
    .await;
    (service, runs)
}

#[tokio::test]
async fn a_runs_row_is_the_fold_of_its_events_for_a_thousand_runs_s1_26() {
    let (service, runs) = populated().await;
    for name in &runs {
        let events = service.store.read(&name.stream(), Revision(0), Direction::Forwards, 100).await.unwrap();
        let history: Vec<_> = events.iter().map(|event| Run::decode(&event.kind, &event.payload).unwrap()).collect();
        let folded = Run::replay(&history);
        let row = service.app.run(&call(), name).await.unwrap();
        assert_eq!(row.display_name, folded.display_name);
        assert_eq!((row.state, row.end_time, row.is_deleted), (folded.state, folded.end_time, folded.is_deleted));
        assert_eq!(row.params, folded.params.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>());
        assert_eq!(row.tags, folded.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>());
        assert!(row.metrics.iter().map(|metric| &metric.key).eq(folded.metric_names()));
        assert_eq!(row.revision, events.last().unwrap().revision);
    }
}

#[tokio::test]
async fn read_models_built_anew_equal_those_that_lived() {
    let (service, runs) = populated().await;
    let rebuilt = Service::over(service.store.clone(), Config::default());
    rebuilt.view.reached(service.view.position(), call().deadline).await.unwrap();
    assert_eq!(all(&rebuilt).await, all(&service).await);
    assert_eq!(rebuilt.view.state().quarantined, 0);
    for run in runs.iter().take(50) {
        let history = |service: &Service| {
            let (app, run) = (service.app.clone(), run.clone());
            async move { format!("{:?}", app.metrics().history(&run, "loss", None, 100).await.unwrap()) }
        };
        assert_eq!(history(&rebuilt).await, history(&service).await);
    }
}

/// Everything shown of every run, as text: NaN equals itself there.
async fn all(service: &Service) -> Vec<String> {
    let search = RunSearch { limit: RUNS, detail: RunDetail::Full, ..RunSearch::new(project()) };
    let page = service.app.query().search_runs(search).await.unwrap();
    page.runs.iter().map(|run: &RunRecord| format!("{run:?}")).collect()
}
