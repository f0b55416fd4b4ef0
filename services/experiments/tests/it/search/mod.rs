//! Searches answer as a naive reading of the same rules does, whichever way they are carried out.

mod injection;
mod naive;
mod random;

use cairn_experiments::query::{RunRecord, RunSearch};
use cairn_experiments::search::{run_filter, run_order};
use futures::future::join_all;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use self::naive::naive;
use self::random::{draft, filter, order};
use crate::support::{Service, call, metrics, project};

const RUNS: usize = 60;

#[test]
fn every_search_answers_as_a_naive_one_would_s3_15() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (service, runs, experiments) = runtime.block_on(populated());
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    let scope = prop_oneof![Just(vec![0]), Just(vec![1]), Just(vec![0, 1])];
    let searches = (filter(), order(), scope, 1_usize..20, prop::bool::ANY);
    let outcome = runner.run(&searches, |(filter, order, scope, limit, may_drive)| {
        let (parsed, terms) = (run_filter(&filter).unwrap(), run_order(&order).unwrap());
        let scope: Vec<String> = scope.iter().map(|at| experiments[*at].clone()).collect();
        let expected = naive(&runs, &scope, &parsed, &terms);
        let search = RunSearch {
            experiments: Some(scope),
            filter: parsed,
            order: terms,
            limit,
            driver_rows_max: if may_drive { 5000 } else { 0 },
            ..RunSearch::new(project())
        };
        let found = runtime.block_on(pages(&service, search));
        prop_assert_eq!(found, expected, "filter {}, order {:?}", filter, order);
        Ok(())
    });
    outcome.unwrap();
}

/// The ids of all that a search finds, page by page.
async fn pages(service: &Service, mut search: RunSearch) -> Vec<String> {
    let mut found = vec![];
    loop {
        let page = service.app.query().search_runs(search.clone()).await.unwrap();
        found.extend(page.runs.iter().map(|run| run.name.run().to_owned()));
        if page.next_page_token.is_empty() {
            return found;
        }
        assert_eq!(page.runs.len(), search.limit, "only the last page may be short");
        search.page_token = page.next_page_token;
    }
}

/// Runs in two experiments, many of which are alike.
async fn populated() -> (Service, Vec<RunRecord>, Vec<String>) {
    let service = Service::new();
    let experiments = [service.experiment("a").await, service.experiment("b").await];
    let mut runner = TestRunner::deterministic();
    let mut runs = vec![];
    let mut work = vec![];
    for at in 0..RUNS {
        let (draft, points, datasets) = draft().new_tree(&mut runner).unwrap().current();
        let (service, experiment) = (&service, &experiments[at % 2]);
        work.push(async move {
            let name = service.app.create_run(&call(), experiment, draft).await.unwrap().value.name;
            service.log(&name, metrics(points)).await;
            service.app.log_inputs(&call(), &name, datasets, vec![]).await.unwrap();
            service.app.run(&call(), &name).await.unwrap()
        });
    }
    runs.extend(join_all(work).await);
    (service, runs, experiments.map(|experiment| experiment.experiment().to_owned()).into())
}
