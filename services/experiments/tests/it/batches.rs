use crate::support::{Service, batch, call, points};

#[tokio::test]
async fn a_batch_sent_five_times_is_stored_once_and_answered_alike_s1_30_s1_42_s1_43() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    let mut answers = vec![];
    for _ in 0..5 {
        let batch = batch("b-1", "aa", points("loss", &[(0, 1.0), (1, 2.0)]));
        answers.push(service.app.log_batch(&call(), &run, batch).await.unwrap().value);
    }
    assert_eq!(answers.iter().map(|answer| answer.is_replayed).collect::<Vec<_>>(), [false, true, true, true, true]);
    assert!(answers.iter().all(|answer| answer.batch == answers[0].batch));
    assert_eq!(answers[0].batch.metric_count, 2);
    assert_eq!(service.app.run(&call(), &run).await.unwrap().metrics[0].count, 2);
    let recorded = service.app.query().batch(&run, "b-1").await.unwrap().unwrap();
    assert_eq!(recorded.sha256, "aa");
}

#[tokio::test]
async fn a_batch_id_with_another_content_is_a_conflict_that_shows_both_digests_s1_44() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    service.log(&run, batch("b-1", "aa", points("loss", &[(0, 1.0)]))).await;
    let changed = batch("b-1", "bb", points("loss", &[(0, 1.5)]));
    let refused = service.app.log_batch(&call(), &run, changed).await.unwrap_err();
    assert_eq!(refused.reason, "BATCH_CONFLICT");
    for value in [("logged_sha256", "aa".to_owned()), ("given_sha256", "bb".to_owned())] {
        assert!(refused.metadata.contains(&value), "{value:?} is missing");
    }
    assert_eq!(service.app.run(&call(), &run).await.unwrap().metrics[0].value, 1.0);
}

#[tokio::test]
async fn a_batch_that_says_nothing_new_uses_its_id_all_the_same() {
    let service = Service::new();
    let run = service.run(&service.experiment("a").await).await;
    service.log(&run, batch("empty", "aa", points("loss", &[]))).await;
    let refused = service.app.log_batch(&call(), &run, batch("empty", "bb", points("loss", &[(0, 1.0)]))).await;
    assert_eq!(refused.unwrap_err().reason, "BATCH_CONFLICT");
}

#[tokio::test]
async fn the_same_batch_id_names_another_batch_in_another_run() {
    let service = Service::new();
    let experiment = service.experiment("a").await;
    for digest in ["aa", "bb"] {
        let run = service.run(&experiment).await;
        let logged = service.app.log_batch(&call(), &run, batch("b-1", digest, points("loss", &[(0, 1.0)]))).await;
        assert!(!logged.unwrap().value.is_replayed);
    }
}
