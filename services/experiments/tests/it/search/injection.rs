use cairn_experiments::app::RunDraft;
use cairn_experiments::query::{RunSearch, Visible};
use cairn_experiments::search::{run_filter, run_order};

use crate::support::{Service, call, pairs, project};

/// Texts that would do something if they ever became SQL.
const HOSTILE: [&str; 7] =
    ["'; DROP TABLE run; --", "\" OR 1=1 --", "') OR ('1'='1", "?1", "a\0b", "%' UNION SELECT * FROM run --", "[]]*"];

#[tokio::test]
async fn what_a_caller_writes_is_never_sql() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    for text in HOSTILE {
        let draft = RunDraft { tags: pairs(&[(text, text)]), ..RunDraft::default() };
        service.app.create_run(&call(), &experiment, draft).await.unwrap();
    }
    for text in HOSTILE {
        // In backticks as a key, in quotes as a value: whichever quote the text does not hold.
        let quote = if text.contains('\'') { '"' } else { '\'' };
        if quote == '"' && text.contains('"') {
            continue;
        }
        let filter = format!("tags.`{text}` = {quote}{text}{quote}");
        let search = RunSearch {
            experiments: Some(vec![experiment.experiment().to_owned()]),
            filter: run_filter(&filter).unwrap(),
            order: run_order(&[format!("params.`{text}`"), format!("metrics.`{text}` DESC")]).unwrap(),
            ..RunSearch::new(project())
        };
        let found = service.app.query().search_runs(search.clone()).await.unwrap();
        assert_eq!(found.runs.len(), 1, "{filter}");
        let elsewhere = RunSearch { experiments: Some(vec![text.to_owned()]), filter: vec![], ..search };
        assert!(service.app.query().search_runs(elsewhere).await.unwrap().runs.is_empty());
    }
    let all = service.app.query().search_runs(RunSearch::new(project())).await.unwrap();
    assert_eq!(all.runs.len(), HOSTILE.len());
}

#[tokio::test]
async fn a_forged_page_token_is_refused() {
    let service = Service::new();
    for page_token in ["x", "e30", "eyJzZWFyY2giOiIiLCJtYXJrcyI6W119"] {
        let search = RunSearch { page_token: page_token.into(), ..RunSearch::new(project()) };
        assert!(service.app.query().search_runs(search).await.is_err(), "{page_token} was accepted");
    }
}

#[tokio::test]
async fn runs_that_may_not_be_seen_are_not_found() {
    let service = Service::new();
    let (shown, hidden) = (service.experiment("a").await, service.experiment("b").await);
    let (first, single, _) = (service.run(&shown).await, service.run(&hidden).await, service.run(&hidden).await);
    let visible = Visible {
        experiments: vec![shown.experiment().to_owned()],
        runs: vec![single.run().to_owned()],
        ..Visible::default()
    };
    let search = RunSearch { visible, ..RunSearch::new(project()) };
    let found = service.app.query().search_runs(search).await.unwrap().runs;
    let mut found: Vec<_> = found.iter().map(|run| run.name.clone()).collect();
    found.sort();
    let mut expected = vec![first, single];
    expected.sort();
    assert_eq!(found, expected);
    let nothing = RunSearch { visible: Visible::default(), ..RunSearch::new(project()) };
    assert!(service.app.query().search_runs(nothing).await.unwrap().runs.is_empty());
}
