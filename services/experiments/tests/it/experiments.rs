use cairn_experiments::app::{ExperimentChange, NewExperiment, RunDraft};
use cairn_experiments::query::{ExperimentSearch, LifecycleFilter, Visible};
use cairn_experiments::search::{experiment_filter, experiment_order};
use cairn_kernel::{Expected, Revision};

use crate::support::{Service, call, pairs, project, request};

#[tokio::test]
async fn an_experiment_is_created_read_listed_changed_deleted_and_restored_s4_40() {
    let service = Service::new();
    let name = service.experiment("fraud").await;
    let change = ExperimentChange {
        display_name: Some("fraud 2".into()),
        set_tags: pairs(&[("team", "risk"), ("old", "1")]),
        delete_tags: vec![],
    };
    let changed = service.app.change_experiment(&call(), &name, Expected::Any, change).await.unwrap().value;
    assert_eq!((changed.display_name.as_str(), changed.tags.len()), ("fraud 2", 2));
    let change = ExperimentChange { delete_tags: vec!["old".into()], ..ExperimentChange::default() };
    let changed = service.app.change_experiment(&call(), &name, Expected::Any, change).await.unwrap().value;
    assert_eq!(changed.tags, pairs(&[("team", "risk")]));

    let deleted = service.app.delete_experiment(&call(), &name, Expected::Any).await.unwrap().value;
    assert!(deleted.is_deleted);
    assert_eq!(names(&service, "", LifecycleFilter::Active).await, ["Default"]);
    assert_eq!(names(&service, "", LifecycleFilter::Deleted).await, ["fraud 2"]);
    let restored = service.app.restore_experiment(&call(), &name, Expected::Any).await.unwrap().value;
    assert!(!restored.is_deleted);
    assert_eq!(names(&service, "tags.team = 'risk'", LifecycleFilter::All).await, ["fraud 2"]);
}

#[tokio::test]
async fn the_default_experiment_is_there_without_anybody_creating_it() {
    let service = Service::new();
    let name = project().experiment("0").unwrap();
    assert_eq!(service.app.experiment(&call(), &name).await.unwrap().display_name, "Default");
    let elsewhere = "projects/q/experiments/0".parse().unwrap();
    assert!(service.app.create_run(&call(), &elsewhere, RunDraft::default()).await.is_ok());
}

#[tokio::test]
async fn a_display_name_belongs_to_one_experiment_even_a_deleted_one() {
    let service = Service::new();
    let first = service.experiment("a").await;
    service.app.delete_experiment(&call(), &first, Expected::Any).await.unwrap();
    let new = |display_name: &str| NewExperiment { display_name: display_name.into(), ..NewExperiment::default() };
    let refused = service.app.create_experiment(&call(), &project(), new("a")).await.unwrap_err();
    assert_eq!(refused.reason, "EXPERIMENT_EXISTS");

    service.app.restore_experiment(&call(), &first, Expected::Any).await.unwrap();
    let rename = ExperimentChange { display_name: Some("b".into()), ..ExperimentChange::default() };
    service.app.change_experiment(&call(), &first, Expected::Any, rename.clone()).await.unwrap();
    let second = service.app.create_experiment(&call(), &project(), new("a")).await.unwrap().value.name;
    let refused = service.app.change_experiment(&call(), &second, Expected::Any, rename).await.unwrap_err();
    assert_eq!(refused.reason, "EXPERIMENT_EXISTS");
}

#[tokio::test]
async fn each_edit_is_a_revision_and_runs_keep_theirs_s4_34() {
    let service = Service::new();
    let name = service.experiment("a").await;
    let before = service.app.create_run(&call(), &name, RunDraft::default()).await.unwrap().value;
    let change = ExperimentChange { set_tags: pairs(&[("k", "v")]), ..ExperimentChange::default() };
    service.app.change_experiment(&call(), &name, Expected::Any, change).await.unwrap();
    let after = service.app.create_run(&call(), &name, RunDraft::default()).await.unwrap().value;
    assert_eq!((before.experiment_revision, after.experiment_revision), (1, 2));

    let revisions = service.app.query().experiment_revisions(&name, u32::MAX, 10).await.unwrap();
    let tags: Vec<_> = revisions.iter().map(|revision| (revision.number, revision.tags.clone())).collect();
    assert_eq!(tags, [(2, pairs(&[("k", "v")])), (1, pairs(&[]))]);
    assert_eq!(service.app.query().experiment_revisions(&name, 2, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let service = Service::new();
    let name = service.experiment("a").await;
    let stale = Expected::Exactly(Revision(7));
    let refused = service.app.delete_experiment(&call(), &name, stale).await.unwrap_err();
    assert_eq!(refused.reason, "ETAG_MISMATCH");
    let rename = ExperimentChange { display_name: Some("b".into()), ..ExperimentChange::default() };
    let refused = service.app.change_experiment(&call(), &name, stale, rename).await.unwrap_err();
    assert_eq!(refused.reason, "ETAG_MISMATCH");
    assert!(service.app.query().experiment_by_display_name(&project(), "a").await.unwrap().is_some());
}

#[tokio::test]
async fn creating_twice_with_one_request_id_creates_once() {
    let service = Service::new();
    let new = NewExperiment { display_name: "a".into(), ..NewExperiment::default() };
    let first = service.app.create_experiment(&request("r"), &project(), new.clone()).await.unwrap().value;
    let again = service.app.create_experiment(&request("r"), &project(), new).await.unwrap().value;
    assert_eq!(first, again);
}

#[tokio::test]
async fn a_list_shows_only_what_may_be_seen_page_by_page() {
    let service = Service::new();
    let mut seen = vec![];
    for display_name in ["a", "b", "c", "d"] {
        seen.push(service.experiment(display_name).await.experiment().to_owned());
    }
    seen.remove(1);
    let mut search = ExperimentSearch {
        project: project(),
        visible: Visible { experiments: seen, ..Visible::default() },
        lifecycle: LifecycleFilter::Active,
        filter: vec![],
        order: experiment_order(&["name DESC".to_owned()]).unwrap(),
        limit: 2,
        page_token: String::new(),
    };
    let first = service.app.query().search_experiments(search.clone()).await.unwrap();
    search.page_token = first.next_page_token.clone();
    let second = service.app.query().search_experiments(search.clone()).await.unwrap();
    let names: Vec<_> = first.experiments.iter().chain(&second.experiments).map(|e| e.display_name.as_str()).collect();
    assert_eq!(names, ["d", "c", "a"]);
    assert!(second.next_page_token.is_empty());
    search.lifecycle = LifecycleFilter::All;
    assert!(service.app.query().search_experiments(search).await.is_err(), "a token of another search was accepted");
}

async fn names(service: &Service, filter: &str, lifecycle: LifecycleFilter) -> Vec<String> {
    let search = ExperimentSearch {
        project: project(),
        visible: Visible::all(),
        lifecycle,
        filter: experiment_filter(filter).unwrap(),
        order: vec![],
        limit: 100,
        page_token: String::new(),
    };
    let page = service.app.query().search_experiments(search).await.unwrap();
    page.experiments.into_iter().map(|experiment| experiment.display_name).collect()
}
