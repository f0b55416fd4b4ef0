use cairn_experiments::app::{NewBatch, RunDraft};
use cairn_experiments::model::RunState;
use cairn_experiments::model::run::Dataset;
use cairn_experiments::query::{LifecycleFilter, RunSearch};
use cairn_kernel::{Expected, Time};

use crate::support::{Service, call, metrics, pairs, points, project, request};

#[tokio::test]
async fn a_run_keeps_what_it_logs_s3_10_s4_41() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let draft = RunDraft {
        display_name: "first".into(),
        user: "ada".into(),
        start_time: Some(Time::from_millis(1000)),
        params: pairs(&[("depth", "5")]),
        tags: pairs(&[("team", "risk")]),
        ..RunDraft::default()
    };
    let run = service.app.create_run(&call(), &experiment, draft).await.unwrap().value;
    assert_eq!(run.params, [("depth".to_owned(), "5".to_owned())]);
    let tags = [("mlflow.runName".to_owned(), "first".to_owned()), ("team".to_owned(), "risk".to_owned())];
    assert_eq!(run.tags, tags);
    assert_eq!((run.state, run.user.as_str(), run.start_time.millis()), (RunState::Running, "ada", 1000));

    service.log(&run.name, metrics(points("loss", &[(0, 0.5), (2, f64::NAN), (1, 0.25)]))).await;
    let end = Some(Time::from_millis(9000));
    let ended = service.app.finish_run(&call(), &run.name, Expected::Any, RunState::Finished, end).await;
    let ended = ended.unwrap().value;
    assert_eq!((ended.state, ended.end_time), (RunState::Finished, end));
    let metric = &ended.metrics[0];
    assert!(metric.value.is_nan() && metric.step == 2);
    assert_eq!((metric.min, metric.max, metric.count), (Some(0.25), Some(0.5), 3));

    let refused = service.app.finish_run(&call(), &run.name, Expected::Any, RunState::Failed, None).await.unwrap_err();
    assert_eq!(refused.reason, "RUN_ALREADY_TERMINAL");
    let name = &run.name;
    let amended = service.app.amend_run(&call(), name, Some(RunState::Running), None, Some("again".into())).await;
    let amended = amended.unwrap().value;
    assert_eq!((amended.state, amended.display_name.as_str()), (RunState::Running, "again"));
}

#[tokio::test]
async fn a_param_logged_again_with_another_value_fails_the_whole_batch_s1_27() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let log = |params: &[(&str, &str)]| NewBatch { params: pairs(params), ..NewBatch::default() };
    service.log(&run, log(&[("depth", "5")])).await;
    service.log(&run, log(&[("depth", "5")])).await;
    let refused = service.app.log_batch(&call(), &run, log(&[("a", "1"), ("depth", "6")])).await.unwrap_err();
    assert_eq!(refused.reason, "PARAM_IMMUTABLE");
    assert!(refused.metadata.contains(&("logged", "5".to_owned())));
    let params = service.app.run(&call(), &run).await.unwrap().params;
    assert_eq!(params, [("depth".to_owned(), "5".to_owned())]);
}

#[tokio::test]
async fn a_run_is_found_under_its_own_experiment_only() {
    let service = Service::new();
    let (mine, other) = (service.experiment("a").await, service.experiment("b").await);
    let run = service.run(&mine).await;
    let misnamed = other.run(run.run()).unwrap();
    assert_eq!(service.app.run(&call(), &misnamed).await.unwrap_err().reason, "RUN_NOT_FOUND");
    assert_eq!(service.app.run_state(&misnamed).await.unwrap_err().reason, "RUN_NOT_FOUND");
    let refused = service.app.delete_run(&call(), &misnamed, Expected::Any).await.unwrap_err();
    assert_eq!(refused.reason, "RUN_NOT_FOUND");
    assert_eq!(service.app.run_name(&project(), run.run()).await.unwrap(), run);
}

#[tokio::test]
async fn deleting_an_experiment_deletes_its_runs_and_restoring_brings_them_back() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let (kept, deleted) = (service.run(&experiment).await, service.run(&experiment).await);
    service.app.delete_run(&call(), &deleted, Expected::Any).await.unwrap();
    service.app.delete_experiment(&call(), &experiment, Expected::Any).await.unwrap();
    assert!(service.app.run(&call(), &kept).await.unwrap().is_deleted);
    let refused = service.app.log_batch(&call(), &kept, metrics(points("m", &[(0, 1.0)]))).await.unwrap_err();
    assert_eq!(refused.reason, "EXPERIMENT_DELETED");

    service.app.restore_experiment(&call(), &experiment, Expected::Any).await.unwrap();
    assert!(!service.app.run(&call(), &kept).await.unwrap().is_deleted);
    assert!(service.app.run(&call(), &deleted).await.unwrap().is_deleted, "it was deleted by itself");
    let refused = service.app.log_batch(&call(), &deleted, metrics(points("m", &[(0, 1.0)]))).await.unwrap_err();
    assert_eq!(refused.reason, "RUN_DELETED");
}

#[tokio::test]
async fn deleting_a_run_hides_the_runs_nested_in_it_three_levels_down_s3_16() {
    let service = Service::new();
    let top = service.run(&service.experiment("a").await).await;
    let middle = service.nested(&top).await;
    let bottom = service.nested(&middle).await;
    assert_eq!(listed(&service, None).await, 3);
    assert_eq!(listed(&service, Some(top.run())).await, 1);
    let parent = service.app.run(&call(), &bottom).await.unwrap().parent.unwrap();
    assert_eq!(parent, (middle.run().to_owned(), Some(middle.clone())));

    service.app.delete_run(&call(), &top, Expected::Any).await.unwrap();
    assert_eq!(listed(&service, None).await, 0);
    assert!(!service.app.run(&call(), &bottom).await.unwrap().is_deleted, "hidden is not deleted");
    service.app.delete_run(&call(), &middle, Expected::Any).await.unwrap();
    service.app.restore_run(&call(), &top, Expected::Any).await.unwrap();
    assert_eq!(listed(&service, None).await, 1, "what lies below the middle one stays hidden");
    service.app.restore_run(&call(), &middle, Expected::Any).await.unwrap();
    assert_eq!(listed(&service, None).await, 3);
}

#[tokio::test]
async fn restoring_a_run_shows_nothing_below_a_run_that_is_still_deleted() {
    let service = Service::new();
    let top = service.run(&service.experiment("a").await).await;
    let middle = service.nested(&top).await;
    let bottom = service.nested(&middle).await;
    service.app.delete_run(&call(), &middle, Expected::Any).await.unwrap();
    service.app.delete_run(&call(), &top, Expected::Any).await.unwrap();
    service.app.restore_run(&call(), &middle, Expected::Any).await.unwrap();
    assert_eq!(listed(&service, None).await, 0, "the top one is deleted: {bottom} must stay hidden");
}

#[tokio::test]
async fn whether_a_run_is_hidden_depends_on_where_it_is_nested_now() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let (gone, kept) = (service.run(&experiment).await, service.run(&experiment).await);
    let moved = service.nested(&gone).await;
    let below = service.nested(&moved).await;
    service.app.delete_run(&call(), &gone, Expected::Any).await.unwrap();
    assert_eq!(listed(&service, None).await, 1, "only {kept}: {below} is hidden too");
    let nest = |run: &str| pairs(&[("mlflow.parentRunId", run)]);
    service.app.tag_run(&call(), &moved, Expected::Any, nest(kept.run()), vec![]).await.unwrap();
    assert_eq!(listed(&service, None).await, 3);
    service.app.tag_run(&call(), &moved, Expected::Any, nest(gone.run()), vec![]).await.unwrap();
    assert_eq!(listed(&service, None).await, 1);
    let none = vec!["mlflow.parentRunId".to_owned()];
    service.app.tag_run(&call(), &moved, Expected::Any, [].into(), none).await.unwrap();
    assert_eq!(listed(&service, None).await, 3);
}

#[tokio::test]
async fn models_noted_at_the_same_moment_are_all_noted() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let note = |n: usize| {
        let (app, run) = (service.app.clone(), run.clone());
        async move { app.append_to_tag(&call(), &run, "history", serde_json::json!({ "model": n })).await.unwrap() }
    };
    futures::future::join_all((0..20).map(note)).await;
    let tags = service.app.run(&call(), &run).await.unwrap().tags;
    let (_, history) = tags.iter().find(|(key, _)| key == "history").unwrap();
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(history).unwrap().len(), 20);
}

#[tokio::test]
async fn data_sets_and_models_are_noted_once() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let dataset = Dataset {
        display_name: "iris".into(),
        digest: "d1".into(),
        schema: "{}".into(),
        tags: pairs(&[("mlflow.data.context", "training")]),
        ..Dataset::default()
    };
    for _ in 0..2 {
        let (datasets, models) = (vec![dataset.clone(), dataset.clone()], vec!["m-1".to_owned()]);
        service.app.log_inputs(&call(), &run, datasets, models).await.unwrap();
        service.app.log_outputs(&call(), &run, vec![("m-2".to_owned(), 7)]).await.unwrap();
    }
    let run = service.app.run(&call(), &run).await.unwrap();
    assert_eq!(run.datasets, [dataset]);
    assert_eq!((run.input_models, run.output_models), (vec!["m-1".to_owned()], vec![("m-2".to_owned(), 7)]));
}

#[tokio::test]
async fn a_run_created_twice_with_one_request_id_is_one_run() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    let first = service.app.create_run(&request("r"), &experiment, RunDraft::default()).await.unwrap();
    let again = service.app.create_run(&request("r"), &experiment, RunDraft::default()).await.unwrap();
    assert_eq!(first.value.name, again.value.name);
    assert_eq!(listed(&service, None).await, 1);
}

async fn listed(service: &Service, parent: Option<&str>) -> usize {
    let search = RunSearch {
        parent: parent.map(str::to_owned),
        lifecycle: LifecycleFilter::Active,
        ..RunSearch::new(project())
    };
    service.app.query().search_runs(search).await.unwrap().runs.len()
}
