use cairn_kernel::Expected;
use cairn_registry::app::ModelChange;
use cairn_registry::model::{Number, Stage};

use crate::support::{Service, call, pairs};

/// Everything that the read models say of a project.
async fn all(service: &Service) -> String {
    service.view.reached(service.head(), call().deadline).await.unwrap();
    let mut text = String::new();
    for number in 0..6 {
        let name = format!("projects/p/models/m{number}").parse().unwrap();
        text.push_str(&format!("{:?}\n", service.app.query().model(&name).await.unwrap()));
        for version in 1..4 {
            text.push_str(&format!(
                "{:?}\n",
                service.app.query().version(&name.version(Number(version))).await.unwrap()
            ));
        }
    }
    text
}

#[tokio::test]
async fn read_models_built_from_nothing_are_those_that_grew_with_the_log() {
    let service = Service::new();
    for number in 0..6 {
        let model = service.tagged(&format!("m{number}"), &[("k", "v"), ("gone", "1")]).await;
        for _ in 0..3 {
            service.version(&model, &[("t", "1")], &[("auc", 0.5)]).await;
        }
        let first = model.version(Number(1));
        service.set_alias(&first, "champion").await;
        service.app.transition(&call(), &first, Expected::Any, Stage::Production, false).await.unwrap();
        let change = ModelChange { delete_tags: vec!["gone".into()], ..ModelChange::default() };
        service.app.change_model(&call(), &model, Expected::Any, change).await.unwrap();
        match number % 3 {
            0 => drop(service.app.delete_version(&call(), &first, Expected::Any).await.unwrap()),
            1 => drop(service.app.delete_model(&call(), &model, Expected::Any).await.unwrap()),
            _ => {
                let set = pairs(&[("t", "2")]);
                service.app.change_version(&call(), &first, Expected::Any, None, set, vec![]).await.unwrap();
            }
        }
    }
    let live = all(&service).await;
    let again = Service::over(service.store.clone());
    assert_eq!(all(&again).await, live);
    assert!(live.contains("champion") && live.contains("None"));
}
